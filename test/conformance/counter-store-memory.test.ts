import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { run } from './counter-store.suite.js';

const reason = 'nobody but the store can write into its memory';

run({
  name: 'memory',
  create: async () => {
    const store = new MemoryCounterStore();
    return { store, nowMs: Date.now, lose: () => store.lose(), stop: () => store.close() };
  },
  skip: [
    { test: 'reports and leaves what is not a counter word', reason },
    { test: 'reports and leaves what is not even text', reason },
  ],
});
