/** What the tests of the Redis store share. */

import type { ConnectionChange, CounterStore, Epoch, TakeReply } from '../../src/core/counter-store.js';
import { TidemarkError } from '../../src/errors.js';
import { waitFor } from '../support/wait.js';

/** The epoch of a slot, as if its history had this generation. */
export async function epochOf(store: CounterStore, slot: number, generation = 1): Promise<Epoch> {
  return { history: (await store.history(slot)).id, generation };
}

/** Makes the word of a conversation: the block (0, size]. */
export async function install(
  store: CounterStore,
  epoch: Epoch,
  conversation: string,
  size = 1_000,
): Promise<void> {
  const block = { start: 0, end: size };
  const grant = { conversation, block, mode: 'install' as const, expiresAtStoreTimeMs: 1e15 };
  const reply = await store.grant(epoch, [grant]);
  if (reply.status !== 'done' || reply.results[0] !== 'granted') throw new Error(JSON.stringify(reply));
}

export function take(store: CounterStore, epoch: Epoch, conversation: string): Promise<TakeReply> {
  return store.take(epoch, [{ conversation, count: 1 }]);
}

/** The number that a take of one gives. */
export async function takeNumber(store: CounterStore, epoch: Epoch, conversation: string): Promise<number> {
  return numberOf(await take(store, epoch, conversation));
}

export function numberOf(reply: TakeReply): number {
  const result = reply.status === 'done' ? reply.results[0] : undefined;
  if (result?.status !== 'taken') throw new Error(JSON.stringify(reply));
  return result.word.last;
}

/** As the generator does: a call that certainly has not run is made again. */
export function onceReachable<T>(what: string, call: () => Promise<T>): Promise<T> {
  return waitFor(what, async () => {
    try {
      return await call();
    } catch (error) {
      if (error instanceof TidemarkError && error.code === 'counter_unavailable') return undefined;
      throw error;
    }
  });
}

/** Every change of the connection, in order. */
export function changesOf(store: CounterStore): ConnectionChange['status'][] {
  const changes: ConnectionChange['status'][] = [];
  store.onConnection(({ status }) => changes.push(status));
  return changes;
}
