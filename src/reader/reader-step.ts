/** What a reader answers. */

import type { ReaderRange } from './reader-options.js';

/**
 * What became of a message that was handed to {@link Reader.add}:
 *
 * - `held`: it is new; {@link Reader.advance} delivers it when its turn comes;
 * - `duplicate`: it was delivered, or is held already;
 * - `late`: its number was skipped before it came. It will not be delivered; show it out of order, or not at all;
 * - `dropped`: too many are held. It will be offered for fetching when its turn comes.
 */
export type ReaderAdd = 'held' | 'duplicate' | 'late' | 'dropped';

/**
 * A message in its turn.
 */
export interface ReaderMessage<Message> {
  readonly number: number;
  readonly message: Message;
}

/**
 * The numbers `first … last`, which the reader goes past without a message, and why:
 *
 * - `certain`: they are in a gap whose numbers were never issued;
 * - `uncertain`: they are in a gap that may hold messages, and none came within the grace;
 * - `missing`: they are in no gap that the reader knows of, and did not come within its patience.
 */
export interface ReaderSkip {
  readonly first: number;
  readonly last: number;
  readonly why: 'certain' | 'uncertain' | 'missing';
}

/**
 * A range to fetch. Hand it back to {@link Reader.fetched} or {@link Reader.fetchFailed}.
 */
export interface ReaderFetch extends ReaderRange {
  /** Tells this offer from others of the same range. */
  readonly id: number;
}

/**
 * What to do now.
 */
export interface ReaderStep<Message> {
  /** Messages to show, in order. Each comes in one step only. */
  readonly deliver: readonly ReaderMessage<Message>[];
  /** Ranges not to wait for any more, in order. */
  readonly skipped: readonly ReaderSkip[];
  /** What to fetch from the server, if anything. */
  readonly fetch: ReaderFetch | undefined;
  /** When to call {@link Reader.advance} again, arrivals and fetches aside; undefined when nothing is missing. */
  readonly againInMs: number | undefined;
  /** Why the gaps source failed, if it did since the last step. The reader asks it again by itself. */
  readonly gapsError: unknown;
}

/** Collects the parts of a step. */
export class StepParts<Message> {
  readonly deliver: ReaderMessage<Message>[] = [];
  readonly skipped: ReaderSkip[] = [];

  get isEmpty(): boolean {
    return this.deliver.length === 0 && this.skipped.length === 0;
  }

  skip(skip: ReaderSkip): void {
    const before = this.skipped.at(-1);
    if (before !== undefined && before.last + 1 === skip.first && before.why === skip.why)
      this.skipped.splice(-1, 1, { ...before, last: skip.last });
    else this.skipped.push(skip);
  }
}
