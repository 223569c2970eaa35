import type { Block } from './counter-store.js';
import type { CounterWord } from './counter-word.js';
import type { ReservationPolicy } from './reservation-policy.js';

/**
 * The port to the ledger of high-water marks: slow and truthful.
 *
 * A number is handed out only after the ledger says that it may have been (I1). Adapters do not decide anything:
 * inside one transaction they lock the entries, read them, call `decideReservation` for each, and write what it says.
 */
export interface Ledger {
  /**
   * The generation of a history: the lowest one that it has, or the lowest that is not below `atLeast`. Where it has none,
   * it gets the next one. Same history, same generation.
   */
  registerHistory(history: string, options?: RegisterOptions): Promise<number>;

  /** The generations of a history, rising; none where it was never met. */
  generationsOf(history: string): Promise<readonly number[]>;

  /**
   * Notes that a process issues numbers in this generation; undefined notes nothing. Tells of the newest generation in which
   * a process ever did: one that was only registered says nothing.
   */
  keepAlive(generation: number | undefined): Promise<NewestGeneration>;

  /** Reserves a block for each of distinct conversations, in one durable transaction. One outcome per request. */
  reserve(requests: readonly ReserveRequest[]): Promise<readonly ReserveOutcome[]>;

  /** Records gaps durably. Recording the same numbers with the same reason again changes nothing. */
  recordGaps(gaps: readonly NewGap[]): Promise<void>;

  /**
   * Keeps everybody from reserving for conversations whose word is about to be removed, for {@link freezeMs}: they hear `busy`.
   * Only where the entry is of that generation and its ceiling is the word's, so that nothing is outstanding.
   *
   * @returns for each whether it is frozen now
   */
  freeze(generation: number, words: readonly RemovableWord[]): Promise<readonly boolean[]>;

  /**
   * Lowers the ceiling of each conversation to the last number of a word that was removed from its store, where the
   * entry is still of that generation and its ceiling is that word's. Ends the freeze.
   *
   * @returns for each whether that was so
   */
  handBack(generation: number, words: readonly RemovableWord[]): Promise<readonly boolean[]>;

  /** The entries of conversations; undefined where there is none. */
  load(conversations: readonly string[]): Promise<readonly (LedgerEntry | undefined)[]>;

  /** Entries of one type, or of all, in order of key bytes, after a key (exclusive). */
  list(
    type: string | undefined,
    page: { readonly after: string | undefined; readonly limit: number },
  ): Promise<readonly LedgerEntry[]>;

  /** Recorded gaps that touch `from … to`, ordered by first, then last number, at most `limit`. */
  gaps(
    conversation: string,
    range: { readonly from: number; readonly to: number; readonly limit: number },
  ): Promise<readonly Gap[]>;

  /**
   * The complete mark of each conversation: every number up to it is settled, abandoned or in a gap. Undefined for
   * conversations whose takes were never tracked.
   */
  completeMarks(conversations: readonly string[]): Promise<readonly (number | undefined)[]>;

  /** Raises complete marks of distinct conversations, durably; makes those that are not there. One that is higher stays. */
  raiseCompleteMarks(marks: readonly CompleteMark[]): Promise<void>;

  /** Tells the generator when the ledger is lost, reached again, or set up in a risky way. Replaces an earlier listener. */
  onNotice(listener: (notice: LedgerNotice) => void): void;

  /** Ends connections. */
  close(): Promise<void>;
}

/** What the ledger knows of one conversation. */
export interface LedgerEntry {
  readonly conversation: string;
  /** No number above it was ever issued. */
  readonly ceiling: number;
  /** Numbers up to it were certainly issued, or are in a recorded gap. */
  readonly floor: number;
  /** The generation that reserved last. */
  readonly generation: number;
  /** How large the last block was. */
  readonly blockSize: number;
  /** When that was, in milliseconds since 1970 by the ledger's clock. */
  readonly reservedAtMs: number;
  /** Until then nobody reserves, because the word is being removed, in milliseconds since 1970; 0 when nobody removes it. */
  readonly frozenUntilMs: number;
}

/** How a history is registered that is not simply new. */
export interface RegisterOptions {
  /** The generation must not be below this one. */
  readonly atLeast?: number;
  /**
   * If the history has no generation yet, it gets all those of this one, whose new name it is (I13). Without effect where
   * that one has none.
   */
  readonly renamedFrom?: string;
  /** The new name counts only if no other history has a newer generation: somebody else may have gone on elsewhere. */
  readonly onlyIfNewest?: boolean;
}

/** The newest generation in which numbers are, or were, issued. */
export interface NewestGeneration {
  /** 0 when there is none. */
  readonly newest: number;
  /** How long ago the last process said that it lives there, in milliseconds by the ledger's clock. */
  readonly newestIdleMs: number;
}

/** A counter word that is, or was, removed. */
export interface RemovableWord {
  readonly conversation: string;
  readonly word: CounterWord;
}

/** Every number of the conversation up to `completeUpTo` is settled, abandoned or in a gap, and will stay so. */
export interface CompleteMark {
  readonly conversation: string;
  /** 0 to 10^12 − 1. */
  readonly completeUpTo: number;
}

export interface ReserveRequest {
  readonly conversation: string;
  readonly generation: number;
  /** The word that the caller saw; undefined when it was missing. */
  readonly saw: CounterWord | undefined;
  /** How many numbers the caller needs at least, 1 to 1,000. */
  readonly need: number;
  readonly policy: ReservationPolicy;
}

export type ReserveOutcome =
  | {
      readonly status: 'reserved';
      readonly kind: ReservationKind;
      readonly block: Block;
      readonly mode: 'extend' | 'install';
      readonly blockSize: number;
      /** What the takeover skipped, already recorded. */
      readonly gap: NewGap | undefined;
    }
  /** A newer generation has reserved: the caller talks to a store that is no longer the one. */
  | { readonly status: 'fenced'; readonly newerGeneration: number }
  /** Somebody else has reserved the block that this caller needs, and is just installing it; look again. */
  | { readonly status: 'busy' }
  /** The conversation has used its last number, 10^12 − 1. */
  | { readonly status: 'exhausted' }
  /** The stored entry makes no sense; it was left as it is. `found` says what was found. */
  | { readonly status: 'corrupt'; readonly found: string };

/**
 * `new`: first block. `extended`: the next block. `adopted`: a block that another process reserved and has not granted
 * yet. `takeover`: the word was lost or is of an older generation. `healed`: the ledger had lost something.
 */
export type ReservationKind = 'new' | 'extended' | 'adopted' | 'takeover' | 'healed';

/** Why numbers are missing, and whether they were certainly never issued. */
export const gapReasons = {
  /** Redis lost its data set or its history; numbers of the old block may have been issued. */
  history_lost: { certain: false },
  /** One counter word was lost (deleted, evicted, flushed); numbers of its block may have been issued. */
  word_lost: { certain: false },
  /** The reply to a take was lost for good; the numbers it took, if any, are in this range. */
  reply_lost: { certain: false },
  /** Numbers were taken for callers that gave up before the reply came. */
  abandoned: { certain: true },
  /** The caller of a message id gave up before its number arrived; a retry of the message gets it. */
  unclaimed: { certain: false },
  /** The lease of a tracked take ended before it was settled or abandoned; its messages may be stored all the same. */
  lease_expired: { certain: false },
} as const satisfies Record<string, { readonly certain: boolean }>;

/** One of {@link gapReasons}. */
export type GapReason = keyof typeof gapReasons;

/** A gap as it is about to be recorded: the numbers `first … last`. */
export interface NewGap {
  readonly conversation: string;
  readonly first: number;
  readonly last: number;
  readonly reason: GapReason;
  /** The generation that recorded it. */
  readonly generation: number;
}

/** A recorded gap. */
export interface Gap extends NewGap {
  /** True: no message has any of the numbers, and none ever will. False: some may be in use. */
  readonly certain: boolean;
  /** Milliseconds since 1970, by the ledger's clock. */
  readonly recordedAtMs: number;
}

export type LedgerNotice =
  | { readonly status: 'up' }
  | { readonly status: 'down'; readonly cause: unknown }
  /** The server may lose what it has acknowledged. */
  | {
      readonly status: 'not_durable';
      readonly setting: string;
      readonly value: string;
      readonly advice: string;
    };
