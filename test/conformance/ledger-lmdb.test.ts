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
    const ledger = await LmdbLedger.open({ folder, nowMs: () => nowMs });
    return {
      ledger,
      advanceClock: (ms) => {
        nowMs += ms;
      },
      stop: async () => {
        await ledger.close();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
});
