import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { runLedgerSuite } from './ledger.suite.js';

runLedgerSuite({
  name: 'memory',
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
