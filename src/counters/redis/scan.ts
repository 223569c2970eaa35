/** Walks over all words of a server at a bounded rate: to sweep what nobody can reach any more, and to find what is idle. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Epoch } from '../../core/counter-store.js';
import type { RedisConnection } from './connection.js';
import { isElsewhere } from './failures.js';
import { readWordKey, wordPattern } from './keys.js';
import { idleNotSupported } from './server-check.js';

/** Keys that one step looks at. */
const keysPerStep = 500;
/** Pause between steps, in milliseconds: one step takes Redis about half a millisecond. */
const pauseMs = 20;

interface FoundWord {
  readonly key: string;
  readonly conversation: string;
  readonly generation: number;
}

/** The words of a server, some at a time; ends early, without an error, when `signal` is aborted. */
async function* words(
  connection: RedisConnection,
  prefix: string,
  signal: AbortSignal,
  ofAnyType = false,
): AsyncGenerator<readonly FoundWord[]> {
  const pattern = wordPattern(prefix);
  const ofType = ofAnyType ? [] : ['TYPE', 'string'];
  let cursor = '0';
  do {
    if (signal.aborted) return;
    const scan = ['SCAN', cursor, 'MATCH', pattern, 'COUNT', String(keysPerStep), ...ofType];
    const [next, keys] = (await connection.call(scan)) as [string, string[]];
    yield keys.flatMap((key) => {
      const word = readWordKey(prefix, key);
      return word === undefined ? [] : [{ key, ...word }];
    });
    cursor = next;
    // An aborted sleep is no fault: the loop sees the signal.
    if (cursor !== '0') await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
  } while (cursor !== '0');
}

/**
 * Deletes words of generations before the one that their conversation has now. Nobody can reach them any more (I4). Lanes,
 * foreign keys and all other words stay.
 *
 * @returns how many were deleted; what was deleted until then when `signal` is aborted
 */
export async function sweepWords(
  connection: RedisConnection,
  parts: {
    readonly prefix: string;
    readonly slotOf: (conversation: string) => number;
    readonly generationOf: (conversation: string) => number | undefined;
  },
  signal: AbortSignal,
): Promise<number> {
  let deleted = 0;
  for await (const found of words(connection, parts.prefix, signal)) {
    // One command must not name keys of two slots.
    const stale = new Map<number, string[]>();
    for (const { key, conversation, generation } of found) {
      if (generation >= (parts.generationOf(conversation) ?? 0)) continue;
      const slot = parts.slotOf(conversation);
      const keys = stale.get(slot);
      if (keys === undefined) stale.set(slot, [key]);
      else keys.push(key);
    }
    const unlinked = [...stale.values()].map((keys) => connection.call(['UNLINK', ...keys]));
    for (const count of await answered(unlinked)) deleted += Number(count);
  }
  return deleted;
}

/**
 * Conversations with a word of the generation that nobody has touched for `idleMs`; with 0 all of them, whatever is under the
 * keys. Redis counts whole seconds.
 *
 * @throws TidemarkError `counter_unsupported` when the server does not know, or the user may not ask
 */
export async function* idleWords(
  connection: RedisConnection,
  parts: { readonly prefix: string; readonly epoch: Epoch; readonly idleMs: number },
  signal: AbortSignal,
): AsyncGenerator<readonly string[]> {
  const { prefix, epoch, idleMs } = parts;
  for await (const found of words(connection, prefix, signal, idleMs === 0)) {
    const present = found.filter(({ generation }) => generation === epoch.generation);
    // Without being asked for: not every user may ask, and not every server knows.
    const asked = idleMs === 0 ? [] : present.map(({ key }) => connection.call(['OBJECT', 'IDLETIME', key]));
    const seconds = await answered(asked, (error) => idleNotSupported(connection.endpoint, prefix, error));
    const idle = present.filter((_, index) => {
      if (idleMs === 0) return true;
      const idleSeconds = seconds[index];
      return typeof idleSeconds === 'number' && idleSeconds * 1_000 >= idleMs;
    });
    const names = idle.map(({ conversation }) => conversation);
    // A step may find more keys than were asked for, and no call may name more conversations than the store's trait says.
    for (let at = 0; at < names.length; at += keysPerStep) yield names.slice(at, at + keysPerStep);
  }
}

/**
 * The replies to calls, 0 for each key whose slot is being moved: what is there is left to its new primary.
 *
 * @param explain - what else a refusal means
 */
async function answered(
  calls: readonly Promise<unknown>[],
  explain: (error: unknown) => Error | undefined = () => undefined,
): Promise<readonly unknown[]> {
  const outcomes = await Promise.allSettled(calls);
  return outcomes.map((outcome) => {
    if (outcome.status === 'fulfilled') return outcome.value;
    const error: unknown = outcome.reason;
    if (isElsewhere(error)) return 0;
    throw explain(error) ?? error;
  });
}
