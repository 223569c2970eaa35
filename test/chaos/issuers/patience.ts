/** What every careful caller of a store does: it does not wait for ever, and it tries again until its deadline. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { CallOptions } from '../../../src/core/options.js';

const pauseMs = 20;
const timeoutByDefaultMs = 10_000;

/** A store has not answered in time. What was asked of it may be done all the same. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** What a promise brings, unless it takes too long. */
export async function inTime<T>(promise: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new NoAnswer(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Tries until it succeeds or the deadline of the call is there. What failed may have been done, so its numbers may be lost;
 * none is used twice by that.
 */
export async function retried<T>(
  { timeoutMs = timeoutByDefaultMs }: CallOptions,
  attempt: () => Promise<T>,
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    try {
      return await inTime(attempt(), deadlineMs - performance.now());
    } catch (error) {
      if (performance.now() + pauseMs >= deadlineMs) throw error;
    }
    await sleep(pauseMs);
  }
}
