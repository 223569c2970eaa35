import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConnection } from './connection.js';
import { generationOfKey, wordPattern } from './keys.js';

/** Keys that one step looks at. */
const keysPerStep = 500;
/** Pause between steps, in milliseconds: one step takes Redis about half a millisecond. */
const pauseMs = 20;

/**
 * Deletes words of generations before `generation`. Nobody can reach them any more (I4). Lanes, foreign keys and words
 * of this and later generations stay.
 *
 * @returns how many were deleted; what was deleted until then when `signal` is aborted
 */
export async function sweepWords(
  connection: RedisConnection,
  prefix: string,
  generation: number,
  signal: AbortSignal,
): Promise<number> {
  const pattern = wordPattern(prefix);
  let deleted = 0;
  let cursor = '0';
  do {
    if (signal.aborted) return deleted;
    const scan = ['SCAN', cursor, 'MATCH', pattern, 'COUNT', String(keysPerStep), 'TYPE', 'string'];
    const [next, keys] = (await connection.call(scan)) as [string, string[]];
    const stale = keys.filter((key) => (generationOfKey(prefix, key) ?? generation) < generation);
    if (stale.length > 0) deleted += Number(await connection.call(['UNLINK', ...stale]));
    cursor = next;
    // An aborted sleep is no fault: the loop sees the signal.
    if (cursor !== '0') await sleep(pauseMs, undefined, { signal, ref: false }).catch(() => undefined);
  } while (cursor !== '0');
  return deleted;
}
