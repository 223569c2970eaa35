import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { seenWords } from '../support/seen-words.js';
import { run } from './counter-store.suite.js';

const reason = 'nobody but the store can write into its memory';

run({
  name: 'memory',
  create: async () => {
    const store = new MemoryCounterStore();
    return {
      store,
      nowMs: Date.now,
      lose: () => store.lose(),
      endGeneration: async () => {
        const epoch = { history: (await store.history(0)).id, generation: 0 };
        for await (const names of store.idle(0, epoch, 0, new AbortController().signal))
          await store.drain(epoch, await seenWords(store, epoch, names));
      },
      stop: () => store.close(),
    };
  },
  skip: [
    { test: 'reports and leaves what is not a counter word', reason },
    { test: 'reports and leaves what is not even text', reason },
    { test: 'reports and leaves a receipt that is none', reason },
    { test: 'reports and leaves open takes that are none', reason },
    { test: 'a word that is none is not tracked', reason },
    { test: 'sweep leaves receipts and open takes', reason: 'not offered: words end with the process' },
  ],
});
