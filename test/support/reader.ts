import { expect } from 'vitest';
import { Reader, type ReaderGap, type ReaderOptions, type ReaderRange } from '../../src/reader/index.js';

/** A reader on a clock that only the test moves, with a source that notes what it is asked. */
export function readerOf(
  options: Partial<ReaderOptions> & { answer?: (range: ReaderRange) => unknown } = {},
) {
  const time = { nowMs: 1_000_000 };
  const asked: ReaderRange[] = [];
  const { answer = () => [], ...given } = options;
  const gaps = async (range: ReaderRange) => {
    asked.push(range);
    return (await answer(range)) as readonly ReaderGap[];
  };
  const reader = new Reader<string>({ gaps, nowMs: () => time.nowMs, ...given });
  const add = (...numbers: number[]) => numbers.map((number) => reader.add(number, `m${number}`));
  /** A step in short. */
  const step = async (laterMs = 0) => {
    time.nowMs += laterMs;
    const made = await reader.advance();
    return {
      ...made,
      deliver: made.deliver.map(({ number, message }) => {
        expect(message).toBe(`m${number}`);
        return number;
      }),
      skipped: made.skipped.map(({ first, last, why }) => `${first}-${last} ${why}`),
      fetch: made.fetch && `${made.fetch.from}-${made.fetch.to}`,
      offered: made.fetch,
    };
  };
  /** Does what the steps say; fetches bring what `stored` has. Ends after a time. */
  const run = async (stored: readonly number[], forMs: number) => {
    const end = time.nowMs + forMs;
    const seen = { delivered: [] as number[], skipped: [] as string[], fetchedAtMs: [] as number[] };
    for (let laterMs = 0; time.nowMs + laterMs <= end; ) {
      const made = await step(laterMs);
      seen.delivered.push(...made.deliver);
      seen.skipped.push(...made.skipped);
      laterMs = made.againInMs ?? Number.POSITIVE_INFINITY;
      if (made.offered === undefined) continue;
      const { from, to } = made.offered;
      seen.fetchedAtMs.push(time.nowMs);
      add(...stored.filter((number) => number >= from && number <= to));
      reader.fetched(made.offered);
      laterMs = 0;
    }
    time.nowMs = end;
    return seen;
  };
  return { reader, time, asked, add, step, run };
}
