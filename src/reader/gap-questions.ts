/** Asks the gaps source: one question at a time, and seldom. */

import type { ReaderGap, ReaderRange } from './reader-options.js';
import { HeadTries, lapseMs, retryDelayMs } from './retry-delay.js';

export interface Answered {
  readonly range: ReaderRange;
  readonly answer: unknown;
}

export class GapQuestions {
  readonly #source: (range: ReaderRange) => Promise<readonly ReaderGap[]>;
  /** Throws when the answer is of no use. */
  readonly #onAnswer: (answered: Answered) => void;
  readonly #onEnd: () => void;
  readonly #nowMs: () => number;
  readonly #tries = new HeadTries();
  #pending: { readonly range: ReaderRange } | undefined;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #endedAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #error: unknown;

  constructor(
    source: (range: ReaderRange) => Promise<readonly ReaderGap[]>,
    events: { onAnswer: (answered: Answered) => void; onEnd: () => void; nowMs: () => number },
  ) {
    this.#source = source;
    this.#onAnswer = events.onAnswer;
    this.#onEnd = events.onEnd;
    this.#nowMs = events.nowMs;
  }

  /** When the last question began. */
  get begunAtMs(): number {
    return this.#begunAtMs;
  }

  get lastFailed(): boolean {
    return this.#failures > 0;
  }

  /** False also once the question has taken too long: then it has failed. */
  isPending(): boolean {
    if (this.#pending !== undefined && this.#nowMs() >= this.#begunAtMs + lapseMs)
      this.#end(this.#pending, new Error(`the gaps source did not answer within ${lapseMs} ms`));
    return this.#pending !== undefined;
  }

  /**
   * When to ask about the head of the hole, which no known gap explains.
   *
   * @param isAnswered - whether the source was asked about the head before
   * @param endsAtMs - when patience ends; then it is asked once more
   */
  dueAtMs(head: number, isAnswered: boolean, endsAtMs: number): number {
    if (this.#pending !== undefined) return this.#begunAtMs;
    const atEndMs = this.#begunAtMs < endsAtMs ? endsAtMs : Number.POSITIVE_INFINITY;
    if (this.#failures > 0) return Math.min(atEndMs, this.#endedAtMs + retryDelayMs(this.#failures - 1));
    if (!isAnswered) return this.#endedAtMs;
    return Math.min(atEndMs, this.#endedAtMs + this.#tries.delayMs(head));
  }

  ask(range: ReaderRange): void {
    const question = { range };
    this.#pending = question;
    this.#begunAtMs = this.#nowMs();
    const source = this.#source;
    new Promise<unknown>((resolve) => resolve(source({ ...range })))
      .then((answer) => {
        if (this.#pending !== question) return;
        this.#onAnswer({ range, answer });
        this.#end(question, undefined);
      })
      .catch((error: unknown) =>
        this.#end(question, error ?? new Error('the gaps source failed without a reason')),
      );
  }

  /** The last failure, once. */
  takeError(): unknown {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  #end(question: { readonly range: ReaderRange }, error: unknown): void {
    if (this.#pending !== question) return;
    this.#pending = undefined;
    this.#endedAtMs = this.#nowMs();
    this.#failures = error === undefined ? 0 : this.#failures + 1;
    this.#error = error ?? this.#error;
    this.#tries.count(question.range.from);
    this.#onEnd();
  }
}
