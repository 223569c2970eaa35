/**
 * The hole at the head: the numbers behind the position that are missing, up to the next message that is held. Says how
 * long its first numbers are waited for, and when they may be passed.
 *
 * A number of a certain gap is passed at once. Any other is passed only when its wait has ended and a fetch that began
 * later has ended without it, so a message that was stored before is never passed.
 */

import type { Fetches } from './fetches.js';
import type { GapQuestions } from './gap-questions.js';
import type { KnownGaps } from './known-gaps.js';
import type { MissedSince } from './missed-since.js';
import type { CheckedOptions, ReaderRange } from './reader-options.js';
import type { ReaderSkip } from './reader-step.js';

/** The first numbers of the hole that are in the same case. */
interface Wait {
  readonly last: number;
  readonly why: ReaderSkip['why'];
  readonly endsAtMs: number;
}

export interface Knowledge {
  readonly options: CheckedOptions;
  readonly gaps: KnownGaps;
  readonly missed: MissedSince;
  readonly questions: GapQuestions;
  readonly fetches: Fetches;
}

export class HeadHole {
  readonly from: number;
  readonly to: number;
  readonly #wait: Wait;
  readonly #known: Knowledge;

  constructor(range: ReaderRange, known: Knowledge) {
    this.from = range.from;
    this.to = range.to;
    this.#known = known;
    this.#wait = this.#waitOfHead();
  }

  /** Which numbers may be passed now, if any. */
  passable(): ReaderSkip | undefined {
    const { from: first } = this;
    const { last, why, endsAtMs } = this.#wait;
    const { fetches } = this.#known;
    if (why === 'certain') return { first, last, why };
    if (fetches.begunAtMs(first) < endsAtMs) return undefined;
    if (why === 'missing' && !this.#isAskedAbout()) return undefined;
    return { first, last: Math.min(last, fetches.shownTo), why };
  }

  /** When to ask the gaps source about the hole. */
  questionDueAtMs(): number {
    const { gaps, questions } = this.#known;
    if (this.#wait.why !== 'missing') return Number.POSITIVE_INFINITY;
    return questions.dueAtMs(this.from, gaps.answeredTo >= this.from, this.#wait.endsAtMs);
  }

  fetchDueAtMs(): number {
    return this.#known.fetches.dueAtMs(this.from, this.#wait.endsAtMs);
  }

  /** The last number to fetch: numbers that were never issued need not be fetched. */
  get fetchTo(): number {
    const { options, gaps } = this.#known;
    // Not more than can be held, so that nothing that a fetch brings is ever dropped: it would seem to be missing.
    const to = Math.min(this.to, this.from - 1 + Math.min(options.maxFetch, options.maxHeld));
    let last = to;
    for (let gap = gaps.at(last); gap?.certain; gap = gaps.at(last)) last = gap.first - 1;
    return last;
  }

  #waitOfHead(): Wait {
    const { options, gaps, missed } = this.#known;
    const gap = gaps.at(this.from);
    if (gap !== undefined) {
      const why = gap.certain ? 'certain' : 'uncertain';
      return { last: Math.min(this.to, gap.last), why, endsAtMs: gap.endsAtMs };
    }
    const { upTo, sinceMs } = missed.of(this.from);
    const answeredTo = gaps.answeredTo >= this.from ? gaps.answeredTo : this.to;
    const last = Math.min(this.to, upTo, gaps.nextAbove(this.from) - 1, answeredTo);
    return { last, why: 'missing', endsAtMs: sinceMs + options.patienceMs };
  }

  /** Whether the source was asked since patience ended. One that fails is not waited for. */
  #isAskedAbout(): boolean {
    const { gaps, questions } = this.#known;
    const isAnswered = gaps.answeredTo >= this.from || questions.lastFailed;
    return isAnswered && !questions.isPending() && questions.begunAtMs >= this.#wait.endsAtMs;
  }
}
