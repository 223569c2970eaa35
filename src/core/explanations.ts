import type { OpenResult } from './counter-store.js';
import { maxSequenceNumber } from './counter-word.js';
import type { EpochCalls } from './epoch-calls.js';
import { gapAround } from './gap-ranges.js';
import type { Gap, Ledger, LedgerEntry } from './ledger.js';
import type { OpenTakes } from './open-takes.js';
import { corruptWord } from './takes.js';
import type { Tracking } from './tracking.js';

/** What became of one number, as far as anybody can know it. */
export type Explanation =
  /** It was given to a caller. With a message id or a tracked take, that is all that is known of its message. */
  | {
      readonly number: number;
      readonly status: 'issued';
      /** True when a reader may read up to it: no number up to it is of an open take. */
      readonly complete: boolean;
    }
  /** Nobody has it, and nobody will. */
  | { readonly number: number; readonly status: 'never_issued'; readonly gap: Gap }
  /** It may be in use, and nobody can say any more. */
  | {
      readonly number: number;
      readonly status: 'uncertain';
      /** The range it lies in; undefined while its counter word is lost and no gap is recorded yet: the next call does it. */
      readonly gap: Gap | undefined;
      /** When that was recorded, in milliseconds since 1970 by the ledger's clock. */
      readonly sinceMs: number | undefined;
    }
  /** It is still to come. */
  | { readonly number: number; readonly status: 'not_issued_yet' };

/** What the counters, and where they have lost the word the ledger's entry, say of a number that is in no gap. */
interface Look {
  readonly open: Exclude<OpenResult, { readonly status: 'corrupt' }>;
  readonly entry: LedgerEntry | undefined;
}

/** Says of single numbers what became of them. */
export class Explanations {
  readonly #ledger: Ledger;
  readonly #open: OpenTakes;
  readonly #calls: EpochCalls;
  readonly #tracking: Pick<Tracking, 'completeUpTo'>;

  constructor(parts: {
    ledger: Ledger;
    open: OpenTakes;
    calls: EpochCalls;
    tracking: Pick<Tracking, 'completeUpTo'>;
  }) {
    this.#ledger = parts.ledger;
    this.#open = parts.open;
    this.#calls = parts.calls;
    this.#tracking = parts.tracking;
  }

  async explain(conversation: string, number: number, isOver: () => boolean): Promise<Explanation> {
    const { look, gap } = await this.#calls.run(conversation, isOver, async (epoch) => {
      const [open] = (await this.#open.read(epoch, [conversation])) ?? [];
      if (open === undefined) return undefined;
      if (open.status === 'corrupt') throw corruptWord(conversation, open.found);
      const entry = open.status === 'missing' ? (await this.#ledger.load([conversation]))[0] : undefined;
      // Read last: the gap of a number is recorded before any number behind it is issued (I7), and before an open take
      // is given up (I12).
      const source = { ledger: this.#ledger, conversation, isOver };
      return { look: { open, entry }, gap: await gapAround(source, number, maxSequenceNumber) };
    });
    if (gap?.certain === true) return { number, status: 'never_issued', gap };
    if (gap !== undefined) return { number, status: 'uncertain', gap, sinceMs: gap.recordedAtMs };
    const status = statusOutsideGaps(number, look);
    if (status === 'uncertain') return { number, status, gap: undefined, sinceMs: undefined };
    if (status === 'not_issued_yet') return { number, status };
    return { number, status, complete: await this.#isComplete(conversation, number, look, isOver) };
  }

  async #isComplete(
    conversation: string,
    number: number,
    { open }: Look,
    isOver: () => boolean,
  ): Promise<boolean> {
    if (open.status === 'tracked') return open.firstOpen === undefined || number < open.firstOpen;
    return number <= (await this.#tracking.completeUpTo(conversation, isOver));
  }
}

function statusOutsideGaps(number: number, { open, entry }: Look): 'issued' | 'uncertain' | 'not_issued_yet' {
  if (open.status !== 'missing') return number <= open.word.last ? 'issued' : 'not_issued_yet';
  if (entry === undefined || number > entry.ceiling) return 'not_issued_yet';
  return number <= entry.floor ? 'issued' : 'uncertain';
}
