import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { runLedgerSuite } from './ledger.suite.js';

runLedgerSuite({
  name: 'memory',
  skip: [
    {
      test: 'marks, entries and gaps are there when the ledger is opened again',
      reason: 'memory survives nothing',
    },
  ],
  create: async () => {
    let nowMs = Date.now();
    const ledger = new MemoryLedger(() => nowMs);
    return {
      ledger,
      advanceClock: (ms) => {
        nowMs += ms;
      },
      stop: () => ledger.close(),
    };
  },
});
