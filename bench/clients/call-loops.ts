/** The callers: loops that ask for the next number as soon as they have one. They must cost little beside the peer. */

import type { Latencies } from './latencies.js';

/** What a call gives: the number, or an object that has it. */
export type Issued = number | { readonly number: number } | { readonly last: number };

export interface CallLoops {
  readonly call: (index: number) => Promise<Issued>;
  /** Which conversation is next; below zero: none any more. */
  readonly pick: () => number;
  readonly underWay: number;
  /** No call begins later, on the clock of `performance.now()`. */
  readonly untilMs: number;
  readonly latencies: Latencies;
  /** The largest number of each conversation so far: a call that begins later must get a larger one. */
  readonly lastNumbers: Float64Array;
}

export interface LoopTimes {
  readonly elapsedMs: number;
  /** Undefined if there were fewer replies. */
  readonly first1000Ms: number | undefined;
}

/** Runs the callers until all have had their last reply. */
export async function runLoops(loops: CallLoops): Promise<LoopTimes> {
  const { call, pick, underWay, untilMs, latencies, lastNumbers } = loops;
  const startMs = performance.now();
  let first1000Ms: number | undefined;
  const caller = async () => {
    // The end of a call is the beginning of the next one: one look at the clock for each.
    let startedAtMs = performance.now();
    while (startedAtMs < untilMs) {
      const index = pick();
      if (index < 0) return;
      const before = lastNumbers[index]!;
      const issued = await call(index);
      const endedAtMs = performance.now();
      latencies.record((endedAtMs - startedAtMs) * 1_000);
      if (latencies.count === 1_000) first1000Ms = endedAtMs - startMs;
      const number = typeof issued === 'number' ? issued : 'last' in issued ? issued.last : issued.number;
      // Every peer promises it, so a benchmark that breaks it measures something else.
      if (!(number > before)) throw new Error(`conversation ${index} got ${number} after ${before}`);
      if (number > lastNumbers[index]!) lastNumbers[index] = number;
      startedAtMs = endedAtMs;
    }
  };
  await Promise.all(Array.from({ length: underWay }, caller));
  return { elapsedMs: performance.now() - startMs, first1000Ms };
}
