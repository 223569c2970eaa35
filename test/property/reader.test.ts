/**
 * A chat client on a virtual clock: messages are pushed with losses, repeats and in any order, fetches and questions
 * take their time and fail. What the reader does is judged by what the server had stored, and when.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Reader, type ReaderFetch, type ReaderGap, type ReaderStep } from '../../src/reader/index.js';
import { randomised, runs, seed } from '../support/runs.js';

const never = Number.POSITIVE_INFINITY;
/** A run takes a few milliseconds. */
const timeoutMs = 60_000 + 20 * runs;

/** What becomes of one number. Times are those of the virtual clock. */
interface Fate {
  /** When the number was issued, after the one before. */
  readonly issuedAfterMs: number;
  readonly kind: 'stored' | 'slow' | 'dead' | 'certain' | 'uncertain';
  /** How long after it was issued its message is stored; not in certain gaps, nor when the sender died. */
  readonly storedAfterMs: number;
  /** How long after that it is pushed, once or more; empty when the push is lost. */
  readonly pushedAfterMs: readonly number[];
  /** How long after it was issued its gap is recorded. */
  readonly recordedAfterMs: number;
}

interface Script {
  readonly fates: readonly Fate[];
  readonly after: number;
  readonly graceMs: number;
  readonly patienceMs: number;
  readonly maxHeld: number;
  readonly maxFetch: number;
  /** Used in turn by fetches and questions. */
  readonly latenciesMs: readonly number[];
  readonly fetchOutcomes: readonly ('ok' | 'ok' | 'failed' | 'part')[];
  readonly answers: readonly ('ok' | 'clipped' | 'first' | 'rejected' | 'nonsense')[];
  readonly tellsAge: boolean;
  /** How often the client is told what `current` is. */
  readonly expectEveryMs: number;
}

const wait = fc.oneof(fc.constant(0), fc.nat(300), fc.nat(20_000));
const fate: fc.Arbitrary<Fate> = fc.record({
  issuedAfterMs: fc.oneof(fc.constant(0), fc.nat(50), fc.nat(3_000)),
  kind: fc.constantFrom('stored', 'stored', 'stored', 'slow', 'dead', 'certain', 'uncertain', 'uncertain'),
  storedAfterMs: fc.oneof(fc.nat(100), fc.nat(25_000), fc.constant(never)),
  pushedAfterMs: fc.oneof(fc.constant([]), fc.array(wait, { maxLength: 3 })),
  recordedAfterMs: fc.oneof(fc.constant(0), fc.nat(2_000)),
});
const script: fc.Arbitrary<Script> = fc.record({
  fates: fc.array(fate, { minLength: 1, maxLength: 40 }),
  after: fc.constantFrom(0, 0, 3, 1_000_000),
  graceMs: fc.constantFrom(0, 2_000, 10_000),
  patienceMs: fc.constantFrom(0, 5_000, 20_000),
  maxHeld: fc.constantFrom(1, 3, 10, 1_000),
  maxFetch: fc.constantFrom(1, 4, 200),
  latenciesMs: fc.array(fc.oneof(fc.nat(20), fc.nat(3_000)), { minLength: 1, maxLength: 7 }),
  fetchOutcomes: fc.array(fc.constantFrom('ok', 'ok', 'failed', 'part'), { maxLength: 30 }),
  answers: fc.array(fc.constantFrom('ok', 'clipped', 'first', 'rejected', 'nonsense'), { maxLength: 30 }),
  tellsAge: fc.boolean(),
  expectEveryMs: fc.constantFrom(100, 2_000, 30_000),
});

interface Truth extends Fate {
  readonly number: number;
  readonly issuedAtMs: number;
  readonly storedAtMs: number;
  /** Never for a number in no gap. */
  readonly recordedAtMs: number;
}

function truthOf({ fates, after }: Script): Truth[] {
  let issuedAtMs = 0;
  return fates.map((of, index) => {
    issuedAtMs += of.issuedAfterMs;
    const isStored = !['dead', 'certain'].includes(of.kind);
    const delayMs = of.kind === 'stored' ? Math.min(of.storedAfterMs, 50) : of.storedAfterMs;
    const isGap = of.kind === 'certain' || of.kind === 'uncertain';
    return {
      ...of,
      number: after + index + 1,
      issuedAtMs,
      storedAtMs: isStored ? issuedAtMs + delayMs : never,
      recordedAtMs: isGap ? issuedAtMs + of.recordedAfterMs : never,
    };
  });
}

interface Recorded {
  readonly first: number;
  last: number;
  readonly certain: boolean;
  readonly recordedAtMs: number;
}

/** The client, the server and the network between them. */
class World {
  nowMs = 0;
  readonly #script: Script;
  readonly #truth: readonly Truth[];
  readonly #end: number;
  readonly #reader: Reader<string>;
  #events: { readonly atMs: number; readonly run: () => void }[] = [];
  #fetches = 0;
  #questions = 0;
  #latencies = 0;
  #timerMs = never;

  /** What the judge knows. */
  readonly #held = new Set<number>();
  readonly #done = new Map<number, 'delivered' | 'skipped' | 'late'>();
  readonly #knownAtMs = new Map<number, number>();
  /** Numbers that the source said to be in a gap, and whether it is certain. */
  readonly #told = new Map<number, boolean>();
  #position: number;
  /** Of the head: since when, and how often the server was asked about it. */
  #head = { sinceMs: 0, fetches: 0, questions: 0 };
  #steps = 0;

  constructor(script: Script) {
    this.#script = script;
    this.#truth = truthOf(script);
    this.#position = script.after;
    this.#end = script.after + this.#truth.length;
    this.#reader = new Reader<string>({
      ...{ after: script.after, graceMs: script.graceMs, patienceMs: script.patienceMs },
      ...{ maxHeld: script.maxHeld, maxFetch: script.maxFetch },
      nowMs: () => this.nowMs,
      gaps: (range) => this.#answer(range.from, range.to),
    });
  }

  async run(): Promise<void> {
    for (const { number, storedAtMs, pushedAfterMs } of this.#truth) {
      if (storedAtMs === never) continue;
      for (const afterMs of pushedAfterMs) this.#at(storedAtMs + afterMs, () => this.#arrive(number));
    }
    const lastMs = this.#truth.at(-1)!.issuedAtMs;
    for (let atMs = 0; ; atMs += this.#script.expectEveryMs) {
      this.#at(Math.min(atMs, lastMs), () => this.#expect());
      if (atMs >= lastMs) break;
    }
    this.#work();
    while (this.#events.length > 0) {
      // Everything that is ready at this moment happens before time goes on.
      await new Promise(setImmediate);
      const next = this.#events.shift()!;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.run();
      await new Promise(setImmediate);
    }
    expect(this.#position, 'everything is delivered or skipped in the end').toBe(this.#end);
    expect(this.#reader.position).toBe(this.#end);
  }

  #at(atMs: number, run: () => void): void {
    const before = this.#events.findLastIndex((event) => event.atMs <= atMs);
    this.#events.splice(before + 1, 0, { atMs, run });
  }

  #latencyMs(): number {
    this.#latencies += 1;
    return this.#script.latenciesMs[this.#latencies % this.#script.latenciesMs.length]!;
  }

  #arrive(number: number): void {
    this.#add(number);
    this.#work();
  }

  #expect(): void {
    const current = this.#truth.findLast((of) => of.issuedAtMs <= this.nowMs)?.number ?? 0;
    this.#reader.expect(current);
    this.#hearOf(current);
    this.#work();
  }

  #hearOf(upTo: number): void {
    for (let number = upTo; number > this.#script.after && !this.#knownAtMs.has(number); number -= 1)
      this.#knownAtMs.set(number, this.nowMs);
  }

  #add(number: number): void {
    const status = this.#reader.add(number, `m${number}`);
    const held = this.#held;
    const done = this.#done.get(number);
    let expected: string = 'duplicate';
    if (done === 'skipped') {
      expected = 'late';
      this.#done.set(number, 'late');
    } else if (done === undefined && !held.has(number)) {
      this.#hearOf(number);
      held.add(number);
      const isFull = held.size > this.#script.maxHeld;
      const highest = Math.max(...held);
      if (isFull) held.delete(highest);
      expected = isFull && highest === number ? 'dropped' : 'held';
    }
    expect([number, status]).toEqual([number, expected]);
  }

  #answer(from: number, to: number): Promise<readonly ReaderGap[]> {
    const { answers, tellsAge } = this.#script;
    const how = answers[this.#questions] ?? 'ok';
    this.#questions += 1;
    this.#head.questions += 1;
    expect(from, 'only the head is asked about').toBe(this.#position + 1);
    expect(to).toBeLessThan(Math.min(...this.#held, this.#end + 1));
    const askedAtMs = this.nowMs;
    return new Promise((resolve, reject) => {
      this.#at(askedAtMs + this.#latencyMs(), () => {
        if (how === 'rejected') return reject(new Error('away'));
        const told = this.#truth.filter(
          (of) => of.recordedAtMs <= askedAtMs && of.number >= from && of.number <= to,
        );
        const gaps: Recorded[] = [];
        for (const { number, kind, recordedAtMs } of told) {
          const gap = { first: number, last: number, certain: kind === 'certain', recordedAtMs };
          const before = gaps.at(-1);
          const isOne = before?.last === number - 1 && before.certain === gap.certain;
          if (isOne && before.recordedAtMs === recordedAtMs) before.last = number;
          else if (how !== 'first' || gaps.length < 2) gaps.push(gap);
          else break;
        }
        const last = gaps.at(-1);
        // What is behind the range that was asked for is none of the reader's business.
        if (how !== 'clipped' && last?.last === to) last.last += 5;
        if (how === 'nonsense') {
          gaps.reverse();
          gaps.unshift({ first: to + 1, last: to + 9, certain: true, recordedAtMs: 0 });
          gaps.unshift({ first: Number.NaN, last: to, certain: true, recordedAtMs: 0 });
          gaps.unshift({ first: 1, last: from - 1, certain: true, recordedAtMs: 0 });
        }
        for (const { first, last, certain } of gaps) {
          for (let number = Math.max(first, from); number <= Math.min(last, to); number += 1)
            this.#told.set(number, certain);
        }
        resolve(
          gaps.map(({ recordedAtMs, ...gap }) => ({
            ...gap,
            ...(tellsAge ? { ageMs: askedAtMs - recordedAtMs } : { recordedAtMs }),
          })),
        );
      });
    });
  }

  #fetch(fetch: ReaderFetch): void {
    const { fetchOutcomes, maxFetch } = this.#script;
    const how = fetchOutcomes[this.#fetches] ?? 'ok';
    this.#fetches += 1;
    this.#head.fetches += 1;
    expect(fetch.from, 'only the head is fetched').toBe(this.#position + 1);
    expect(fetch.to - fetch.from).toBeLessThan(maxFetch);
    expect(fetch.to).toBeLessThan(Math.min(...this.#held, this.#end + 1));
    const to = how === 'part' ? Math.floor((fetch.from + fetch.to) / 2) : fetch.to;
    // The least that a fetch may bring: what was stored when it began.
    const brought = this.#truth.filter(
      (of) => of.storedAtMs <= this.nowMs && of.number >= fetch.from && of.number <= to,
    );
    this.#at(this.nowMs + this.#latencyMs(), () => {
      if (how === 'failed') this.#reader.fetchFailed(fetch);
      else {
        for (const { number } of brought) this.#add(number);
        this.#reader.fetched({ ...fetch, to });
      }
      this.#work();
    });
  }

  #work(): void {
    this.#reader.advance().then(
      (step) => this.#take(step),
      (error: unknown) => this.#at(this.nowMs, () => expect(error).toBeUndefined()),
    );
  }

  #take(step: ReaderStep<string>): void {
    try {
      this.#judge(step);
    } catch (error) {
      // Thrown where the run sees it.
      this.#at(-1, () => {
        throw error;
      });
      return;
    }
    if (step.fetch !== undefined) this.#fetch(step.fetch);
    if (step.againInMs === undefined) return;
    const atMs = this.nowMs + step.againInMs;
    if (atMs >= this.#timerMs && this.#timerMs > this.nowMs) return;
    this.#timerMs = atMs;
    this.#at(atMs, () => {
      if (this.#timerMs !== atMs) return;
      this.#timerMs = never;
      this.#work();
    });
  }

  #judge(step: ReaderStep<string>): void {
    this.#steps += 1;
    expect(this.#steps, 'steps').toBeLessThan(20_000);
    const before = this.#position;
    const parts = [
      ...step.deliver.map(({ number }) => ({ first: number, last: number, why: 'delivered' as const })),
      ...step.skipped,
    ].sort((a, b) => a.first - b.first);
    for (const { number, message } of step.deliver) expect(message).toBe(`m${number}`);
    for (const { first, last, why } of parts) {
      expect(first, 'parts follow one another').toBe(this.#position + 1);
      for (let number = first; number <= last; number += 1) {
        if (why === 'delivered') expect(this.#held.delete(number), `${number} is held`).toBe(true);
        else this.#judgeSkip(this.#truth[number - this.#script.after - 1]!, why);
        this.#done.set(number, why === 'delivered' ? 'delivered' : 'skipped');
      }
      this.#position = last;
    }
    if (step.deliver.length > 1)
      expect(
        step.deliver.every(({ number }, index) => index === 0 || number > step.deliver[index - 1]!.number),
      ).toBe(true);
    this.#judgeHead(step, before);
  }

  #judgeSkip(of: Truth, why: 'certain' | 'uncertain' | 'missing'): void {
    const { number, storedAtMs, recordedAtMs } = of;
    expect(this.#held.has(number), `${number} is skipped though it is held`).toBe(false);
    if (why !== 'missing') expect([number, of.kind, recordedAtMs <= this.nowMs]).toEqual([number, why, true]);
    if (why === 'uncertain')
      expect(storedAtMs, `${number} was stored within the grace`).toBeGreaterThanOrEqual(
        recordedAtMs + this.#script.graceMs,
      );
    expect(this.#told.get(number), `what was told of ${number}`).toBe(
      why === 'missing' ? undefined : why === 'certain',
    );
    if (why === 'missing')
      expect(storedAtMs, `${number} was stored within patience`).toBeGreaterThanOrEqual(
        this.#knownAtMs.get(number)! + this.#script.patienceMs,
      );
  }

  /** Certain numbers do not delay, and the server is not asked too often. */
  #judgeHead(step: ReaderStep<string>, before: number): void {
    const head = this.#position + 1;
    if (step.againInMs === 0)
      expect(this.#position, 'again at once only after progress').toBeGreaterThan(before);
    else {
      expect(this.#told.get(head) === true, `${head} delays though it is told to be certain`).toBe(false);
      expect(this.#held.has(head), `${head} is not delivered`).toBe(false);
      if (head <= this.#end && this.#knownAtMs.has(head)) expect(step.againInMs).toBeLessThanOrEqual(30_000);
    }
    if (this.#position > before) this.#head = { sinceMs: this.nowMs, fetches: 0, questions: 0 };
    const allowed = 16 + (this.nowMs - this.#head.sinceMs) / 1_000;
    expect(this.#head.fetches, 'fetches of one number').toBeLessThanOrEqual(allowed);
    expect(this.#head.questions, 'questions about one number').toBeLessThanOrEqual(allowed);
  }
}

describe(`the reader, seed ${seed}`, () => {
  it(
    'delivers in order, skips nothing that came in time, and does not ask too often',
    async () => {
      await fc.assert(
        fc.asyncProperty(script, (of) => new World(of).run()),
        randomised,
      );
    },
    timeoutMs,
  );
});
