import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { LmdbLedger } from '../../src/ledgers/lmdb/lmdb-ledger.js';
import { runLedgerSuite } from './ledger.suite.js';

runLedgerSuite({
  name: 'lmdb',
  create: async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'tidemark-lmdb-'));
    let nowMs = Date.now();
    const open = () => LmdbLedger.open({ folder, nowMs: () => nowMs });
    let ledger = await open();
    return {
      get ledger() {
        return ledger;
      },
      advanceClock: (ms) => {
        nowMs += ms;
      },
      reopen: async () => {
        await ledger.close();
        ledger = await open();
      },
      stop: async () => {
        await ledger.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
});
