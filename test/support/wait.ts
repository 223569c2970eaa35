import { setTimeout as sleep } from 'node:timers/promises';

const pollMs = 10;
const longestWaitMs = 30_000;

/** Asks until there is an answer, and returns it. An error counts as no answer, because servers come and go. */
export async function waitFor<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadlineMs = performance.now() + longestWaitMs;
  let lastError: unknown;
  while (performance.now() < deadlineMs) {
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      lastError = error;
    }
    await sleep(pollMs);
  }
  throw new Error(`waited ${longestWaitMs} ms in vain for ${what}`, { cause: lastError });
}

/** Asks until the answer is yes. */
export async function waitUntil(what: string, ask: () => Promise<boolean>): Promise<void> {
  await waitFor(what, async () => (await ask()) || undefined);
}
