/**
 * Brings the messages of one conversation into order.
 *
 * Everything up to the *position* was delivered or skipped. Messages above it are held. Only the hole at the head, from
 * the position to the lowest held message, is worked on: what is known of it and how often the server is asked are
 * bounded, whatever arrives.
 */

import { ElapsedClock } from './elapsed-clock.js';
import { Fetches } from './fetches.js';
import { GapQuestions } from './gap-questions.js';
import { HeadHole, type Knowledge } from './head-hole.js';
import { HeldMessages } from './held-messages.js';
import { KnownGaps } from './known-gaps.js';
import { MissedSince } from './missed-since.js';
import {
  checkInteger,
  checkOptions,
  largestNumber,
  type ReaderGap,
  type ReaderOptions,
} from './reader-options.js';
import { type ReaderAdd, type ReaderFetch, type ReaderStep, StepParts } from './reader-step.js';
import { SkippedRanges } from './skipped-ranges.js';

/**
 * Says of one conversation what to deliver in order, what to fetch, and what not to wait for. Hand it every message that
 * arrives, in whatever order and however often; call {@link Reader.advance} after that, after a fetch, and when a step
 * says so; do what the step says.
 *
 * It never skips a number of an uncertain gap whose message was stored within `graceMs` of the gap's record, nor another
 * number whose message was stored within `patienceMs` of being missed: a fetch that begins later must come back without
 * it first. A fetch must therefore return every message of its range that is stored when it begins.
 *
 * @example
 * ```ts
 * import { Reader } from 'tidemark/reader';
 *
 * // Your server's part: the stored messages, and what `sequences.gaps(conversation, { from, to })` returns.
 * const stored = new Map([[1, 'hello'], [2, 'anybody?'], [5, 'yes']]);
 * const reader = new Reader<string>({
 *   gaps: async () => [{ first: 3, last: 4, certain: true, ageMs: 2_000 }],
 * });
 *
 * async function work(): Promise<void> {
 *   const { deliver, fetch, againInMs } = await reader.advance();
 *   for (const { number, message } of deliver) console.log(`${number} ${message}`); // …
 *   if (fetch !== undefined) {
 *     for (const [number, message] of stored) {
 *       if (number >= fetch.from && number <= fetch.to) reader.add(number, message);
 *     }
 *     reader.fetched(fetch);
 *     await work();
 *   } else if (againInMs !== undefined) {
 *     setTimeout(work, againInMs);
 *   }
 * }
 *
 * reader.add(5, 'yes'); // The first that is pushed to this client.
 * await work();
 * console.log(reader.position); // 5
 * ```
 */
export class Reader<Message> {
  readonly #clock: ElapsedClock;
  readonly #held: HeldMessages<Message>;
  readonly #known: Knowledge;
  readonly #skipped = new SkippedRanges();
  #position: number;
  /** Steps are made one after another. */
  #lastStep: Promise<unknown> = Promise.resolve();
  /** Lets a step that waits for the gaps source look again. */
  #wake: () => void = () => undefined;

  /**
   * @param options - where to begin, the gaps source, and bounds
   * @throws TypeError or RangeError for an option that is wrong
   */
  constructor(options: ReaderOptions) {
    const checked = checkOptions(options);
    this.#position = checked.after;
    this.#clock = new ElapsedClock(checked.nowMs);
    this.#held = new HeldMessages(checked.maxHeld);
    const gaps = new KnownGaps();
    const questions = new GapQuestions(checked.gaps, {
      onAnswer: ({ range, answer }) =>
        gaps.learn(answer, range, (gap) => this.#endOfGrace(gap, checked.graceMs)),
      onEnd: () => this.#wake(),
      nowMs: () => this.#clock.nowMs(),
    });
    const missed = new MissedSince(checked.after);
    this.#known = { options: checked, gaps, missed, questions, fetches: new Fetches() };
  }

  /** Everything up to this number was delivered or skipped. */
  get position(): number {
    return this.#position;
  }

  /**
   * Hands in a message that was pushed or fetched.
   *
   * @param number - its sequence number
   * @param message - what {@link Reader.advance} is to deliver
   * @returns what became of it; `late` once for each skipped number, as far as the last 100 skipped ranges go
   * @throws TypeError or RangeError for a number that no message has
   * @example
   * ```ts
   * import { Reader } from 'tidemark/reader';
   * const reader = new Reader<string>({ gaps: async () => [], after: 7 });
   * console.log(reader.add(9, 'world'), reader.add(9, 'world'), reader.add(7, 'old')); // held duplicate duplicate
   * ```
   */
  add(number: number, message: Message): ReaderAdd {
    checkInteger('number', number, 1, largestNumber);
    if (number <= this.#position) return this.#skipped.take(number) ? 'late' : 'duplicate';
    if (this.#held.has(number)) return 'duplicate';
    this.#known.missed.reach(number, this.#clock.nowMs());
    const dropped = this.#held.hold(number, message);
    this.#wake();
    return dropped === number ? 'dropped' : 'held';
  }

  /**
   * Says that numbers up to this exist, so that messages missing at the end are noticed: `current` of the conversation,
   * when the server tells it.
   *
   * @param upTo - the last number; 0 for a conversation without messages
   * @throws TypeError or RangeError for what is no such number
   * @example
   * ```ts
   * import { Reader } from 'tidemark/reader';
   * const reader = new Reader<string>({ gaps: async () => [], after: 7 });
   * reader.expect(12);
   * console.log((await reader.advance()).fetch); // { from: 8, to: 12, id: 1 }
   * ```
   */
  expect(upTo: number): void {
    checkInteger('upTo', upTo, 0, largestNumber);
    this.#known.missed.reach(upTo, this.#clock.nowMs());
    this.#wake();
  }

  /**
   * Says that a fetch has succeeded, after what it brought was added. When it brought only the lower part of its range,
   * because the server limits answers, hand back `{ ...fetch, to: <where it ended> }`.
   *
   * @param fetch - the fetch of a step; one that is not known any more is ignored
   * @throws TypeError or RangeError for what is no fetch of a step
   * @example
   * ```ts
   * import { Reader } from 'tidemark/reader';
   * const reader = new Reader<string>({ gaps: async () => [], after: 7 });
   * reader.add(9, 'world');
   * const { fetch } = await reader.advance();
   * if (fetch !== undefined) {
   *   reader.add(8, 'hello');
   *   reader.fetched(fetch);
   * }
   * console.log((await reader.advance()).deliver.map(({ message }) => message)); // [ 'hello', 'world' ]
   * ```
   */
  fetched(fetch: ReaderFetch): void {
    this.#known.fetches.succeeded(fetch, this.#clock.nowMs());
    this.#wake();
  }

  /**
   * Says that a fetch has failed. Nothing is concluded from it, and it is offered again after a delay. The same happens
   * after 30 seconds to a fetch of which the reader hears nothing.
   *
   * @param fetch - as for {@link Reader.fetched}
   * @throws TypeError or RangeError for what is no fetch of a step
   * @example
   * ```ts
   * import { Reader } from 'tidemark/reader';
   * const reader = new Reader<string>({ gaps: async () => [], after: 7 });
   * reader.add(9, 'world');
   * const { fetch } = await reader.advance();
   * if (fetch !== undefined) reader.fetchFailed(fetch);
   * const later = await reader.advance();
   * console.log(later.fetch, (later.againInMs ?? 0) > 0); // undefined true
   * ```
   */
  fetchFailed(fetch: ReaderFetch): void {
    this.#known.fetches.failed(fetch, this.#clock.nowMs());
    this.#wake();
  }

  /**
   * What to do now. What is ready never waits for the gaps source: then the step has `againInMs: 0`. Calls may
   * overlap; their steps are made one after another. It does not reject when the gaps source does.
   *
   * @returns what to deliver, what was skipped, what to fetch, and when to call again
   * @example
   * ```ts
   * import { Reader } from 'tidemark/reader';
   * const reader = new Reader<string>({
   *   gaps: async () => [{ first: 1, last: 1_000_000, certain: true }],
   * });
   * reader.add(1_000_001, 'hello');
   * const { skipped, deliver } = await reader.advance();
   * console.log(skipped); // [ { first: 1, last: 1000000, why: 'certain' } ]
   * console.log(deliver); // [ { number: 1000001, message: 'hello' } ]
   * ```
   */
  advance(): Promise<ReaderStep<Message>> {
    this.#wake();
    const step = this.#lastStep.then(() => this.#makeStep());
    this.#lastStep = step.catch(() => undefined);
    return step;
  }

  async #makeStep(): Promise<ReaderStep<Message>> {
    const { questions } = this.#known;
    const parts = new StepParts<Message>();
    for (;;) {
      const isAsking = questions.isPending();
      const hole = this.#goOn(parts);
      if (hole === undefined || hole.questionDueAtMs() > this.#clock.nowMs())
        return this.#finish(parts, hole);
      if (!isAsking) questions.ask({ from: hole.from, to: hole.to });
      // Nothing that is ready waits, and the position is never ahead of the steps.
      if (!parts.isEmpty) return this.#close(parts, { againInMs: 0 });
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Delivers and skips as far as it goes. Returns the hole that is left. */
  #goOn(parts: StepParts<Message>): HeadHole | undefined {
    for (;;) {
      for (const next of this.#held.takeRun(this.#position)) {
        parts.deliver.push(next);
        this.#position = next.number;
      }
      this.#forgetPassed();
      const to = (this.#held.lowest ?? this.#known.missed.end + 1) - 1;
      if (to <= this.#position) return undefined;
      const hole = new HeadHole({ from: this.#position + 1, to }, this.#known);
      const skip = hole.passable();
      if (skip === undefined) return hole;
      parts.skip(skip);
      this.#skipped.add(skip.first, skip.last);
      this.#position = skip.last;
    }
  }

  #finish(parts: StepParts<Message>, hole: HeadHole | undefined): ReaderStep<Message> {
    if (hole === undefined) return this.#close(parts, {});
    const nowMs = this.#clock.nowMs();
    const fetch =
      hole.fetchDueAtMs() <= nowMs ? this.#known.fetches.offer(hole.from, hole.fetchTo, nowMs) : undefined;
    const againAtMs = Math.min(hole.fetchDueAtMs(), hole.questionDueAtMs());
    return this.#close(parts, { fetch, againInMs: Math.max(1, Math.ceil(againAtMs - nowMs)) });
  }

  #close(
    { deliver, skipped }: StepParts<Message>,
    next: { fetch?: ReaderFetch | undefined; againInMs?: number },
  ): ReaderStep<Message> {
    const gapsError = this.#known.questions.takeError();
    return { deliver, skipped, fetch: next.fetch, againInMs: next.againInMs, gapsError };
  }

  #forgetPassed(): void {
    this.#known.gaps.forget(this.#position);
    this.#known.missed.forget(this.#position);
  }

  /** An age that makes no sense counts as none, so a wait is never longer than the grace. */
  #endOfGrace(gap: ReaderGap, graceMs: number): number {
    const ageMs = gap.ageMs ?? (gap.recordedAtMs === undefined ? 0 : this.#clock.ageMs(gap.recordedAtMs));
    return this.#clock.nowMs() + graceMs - (Number.isFinite(ageMs) ? Math.max(0, ageMs) : 0);
  }
}
