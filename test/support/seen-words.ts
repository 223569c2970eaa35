import type { CounterStore, Epoch } from '../../src/core/counter-store.js';
import type { RemovableWord } from '../../src/core/ledger.js';

/** The words of conversations as they are seen now; an empty one where there is none. */
export async function seenWords(
  store: CounterStore,
  epoch: Epoch,
  conversations: readonly string[],
): Promise<RemovableWord[]> {
  const reply = await store.read(epoch, conversations);
  if (reply.status !== 'done') throw new Error(`read: ${reply.status}`);
  return conversations.map((conversation, index) => {
    const result = reply.results[index]!;
    return { conversation, word: result.status === 'present' ? result.word : { last: 0, remaining: 0 } };
  });
}
