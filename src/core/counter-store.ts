import type { CounterWord } from './counter-word.js';
import type { RemovableWord } from './ledger.js';

/**
 * The port to whatever holds the counter words: fast and forgetful.
 *
 * Every operation names the epoch that its caller believes in. The store checks the history itself, in the same
 * atomic step, and answers `stale` without touching anything when it has changed (I4).
 *
 * A cluster has a history for each of its primaries, and conversations move between them by slot. A take names conversations
 * of any slots that have its epoch, and any other operation those of one slot only; `stale` may mean that another primary
 * serves the slot now. Any other store has one slot.
 */
export interface CounterStore {
  /** What this store can do beyond the port, by name; see {@link CounterStoreTraits}. */
  readonly traits: CounterStoreTraits;

  /** The slot of a conversation, 0 to `traits.slots` − 1. Pure and cheap: it is asked for with every call. */
  slotOf(conversation: string): number;

  /**
   * Connects if need be, and returns the history that the data set of the slot belongs to now.
   *
   * @param anew - over a new connection: the address may lead elsewhere by now. It may fail once, until that is made.
   */
  history(slot: number, anew?: boolean): Promise<History>;

  /**
   * True when the store's own majority says that this history serves the slot now. A store without one cannot know, and
   * has no such method.
   */
  confirms?(slot: number, history: string): Promise<boolean>;

  /**
   * Takes numbers for distinct conversations: one atomic step for the batch, in the order of the requests.
   * Stays pending while the store is out of reach after the take was sent, and then recalls what became of it.
   *
   * @throws TidemarkError `counter_unavailable` only when the take has certainly not run and never will.
   */
  take(epoch: Epoch, requests: readonly TakeRequest[]): Promise<TakeReply>;

  /**
   * Takes numbers for one conversation before it returns. Only a store within this process can, and no other has such a
   * method.
   *
   * @returns the word that it left, packed; undefined when nothing was taken, for whatever reason: {@link take} tells it
   */
  takeNow?(epoch: Epoch, conversation: string, count: number): number | undefined;

  /**
   * Applies blocks that the ledger has reserved. Running a grant late or never is safe, and so is running an `extend`
   * twice; an `install` must not be sent again once it may have run, because its word may have been lost since (I5).
   *
   * @throws TidemarkError `counter_unavailable` only when it has certainly not run and never will.
   */
  grant(epoch: Epoch, grants: readonly Grant[]): Promise<GrantReply>;

  /** Reads words of distinct conversations and changes nothing. */
  read(epoch: Epoch, conversations: readonly string[]): Promise<ReadReply>;

  /**
   * Puts receipts back that may have been lost with an earlier history. One that is there stays as it is.
   *
   * Like the operations on open takes below, it may be run again at any time: there is no lost reply.
   */
  restoreReceipts(epoch: Epoch, receipts: readonly Receipt[]): Promise<RestoreReply>;

  /**
   * Begins to track takes of conversations in this history. What lies above the complete mark may have been open in an
   * earlier one: it is held open for one lease, which no lease of the earlier history outlives (I11). Does nothing where the
   * conversation is tracked already.
   */
  track(epoch: Epoch, requests: readonly TrackRequest[], leaseMs: number): Promise<TrackReply>;

  /** What is open in conversations, from the lowest number on. */
  readOpen(epoch: Epoch, conversations: readonly string[]): Promise<OpenReply>;

  /** Gives open takes a new lease. Those that are missing but still held, see {@link track}, are opened again. */
  renew(epoch: Epoch, takes: readonly OpenTake[]): Promise<RenewReply>;

  /** Ends open takes, which the numbers name that they begin with. */
  settle(epoch: Epoch, takes: readonly TakeName[]): Promise<SettleReply>;

  /** Removes open takes whose lease has ended, exactly as they were read: one with a new lease stays. */
  expire(epoch: Epoch, takes: readonly ExpiredTake[]): Promise<SettleReply>;

  /**
   * Removes words whose ceiling still is that of the word which the caller saw, and returns them, so that what is left of
   * their blocks can be handed back. One that reaches further has numbers that its caller knows nothing of: it stays (I14).
   * After an error they may be gone.
   */
  drain(epoch: Epoch, words: readonly RemovableWord[]): Promise<DrainReply>;

  /**
   * Conversations with a word of this epoch that nobody has touched for `idleMs`, found at a bounded rate, on the part of
   * the store that serves `slot`; with 0 all of them, and those that have something else under the key of a word. Some may be
   * named twice.
   */
  idle(slot: number, epoch: Epoch, idleMs: number, signal: AbortSignal): AsyncIterable<readonly string[]>;

  /**
   * Deletes words of generations before the one that `generationOf` names, at a bounded rate, on the part of the store that
   * serves `slot`; undefined keeps the word. Returns how many were deleted.
   */
  sweep?(
    slot: number,
    generationOf: (conversation: string) => number | undefined,
    signal: AbortSignal,
  ): Promise<number>;

  /** Tells the generator when the store is lost and reached again. Replaces an earlier listener. */
  onConnection(listener: (change: ConnectionChange) => void): void;

  /** Ends connections. Calls under way are rejected with `closed`. */
  close(): Promise<void>;
}

/** Named differences between stores. */
export interface CounterStoreTraits {
  /** No other process can reach these words, and they end with this one: a clean close hands blocks back. */
  readonly private: boolean;
  /** Most conversations that one call may name. */
  readonly maxBatch: number;
  /** How many slots there are; 1 for anything but a cluster. */
  readonly slots: number;
}

/** What a store says of the history of its data set. */
export interface History {
  readonly id: string;
  /**
   * The id that the very same data set had before, while this store took part in it. Set only where the store can prove
   * that nothing was lost in between: the history has a new name, and is the same (I13). It is told again with every answer.
   */
  readonly renamedFrom?: string;
}

/** A history of the store's data set, and the generation that the ledger gave it. */
export interface Epoch {
  readonly history: string;
  readonly generation: number;
}

export interface TakeRequest {
  /** Key of the conversation. */
  readonly conversation: string;
  /** How many numbers, 1 to 1,000, if no message id among the claims has its number already. */
  readonly count: number;
  /** Calls that leave something in the store beside the word; undefined when none does. */
  readonly claims?: Claims;
}

/** What some calls of a take ask for beside numbers. It happens in the same atomic step (I10). */
export interface Claims {
  /** How long receipts are kept, in milliseconds. */
  readonly receiptTtlMs: number;
  /** How long takes stay open, in milliseconds. */
  readonly leaseMs: number;
  /** In order of arrival. No message id twice. */
  readonly calls: readonly Claim[];
}

/** One call that asks for a receipt, or to be tracked, or both. */
export interface Claim {
  /** How many numbers of the request are for calls before it. */
  readonly offset: number;
  /** How many are for this one; 1 with a message id. */
  readonly count: number;
  /** If its receipt is there, no number is taken for this call. */
  readonly messageId: string | undefined;
  /** The numbers are open until they are settled. */
  readonly tracked: boolean;
}

export type TakeReply =
  | {
      readonly status: 'done';
      /** One result per request, in their order. */
      readonly results: readonly TakeResult[];
      /** When the store looked, in milliseconds of its own clock; set when a word was missing. */
      readonly storeTimeMs: number;
    }
  /** Nothing ran: the data set has another history now. */
  | { readonly status: 'stale'; readonly history: string }
  /** The take may have run, and its numbers cannot be found out. It will not run any more. */
  | { readonly status: 'lost'; readonly cause: unknown };

/** In each, `claims` has one result per claim of the request; undefined when it had none. */
export type TakeResult =
  /** The numbers up to `word.last` are the caller's, as many as it asked for less those repeated; `word` is what it left. */
  | { readonly status: 'taken'; readonly word: CounterWord; readonly claims?: readonly ClaimResult[] }
  /** The block cannot give that many; nothing was taken. */
  | { readonly status: 'short'; readonly word: CounterWord; readonly claims?: readonly ClaimResult[] }
  /** Every message id has its number already, and nothing else was asked for. */
  | { readonly status: 'repeated'; readonly claims: readonly ClaimResult[] }
  /** Tracking has not begun in this history; nothing was taken. */
  | { readonly status: 'untracked' }
  /** Nothing was taken: the slot is served elsewhere, or is on the way there. Only a store with several slots answers so. */
  | { readonly status: 'moved' }
  | MissingWord
  | CorruptWord;

/** A message id that has its number already, or whose receipt makes no sense; for anything else `fresh`. */
export type ClaimResult =
  | { readonly status: 'fresh' }
  | {
      readonly status: 'repeated';
      readonly number: number;
      /** Of a tracked one: whether its take is open, with a new lease now. Undefined when nothing was taken. */
      readonly open?: boolean;
    }
  | CorruptWord;

export interface MissingWord {
  readonly status: 'missing';
  readonly claims?: readonly ClaimResult[];
}

/** The key holds something that Tidemark has not written. It was left as it is. */
export interface CorruptWord {
  readonly status: 'corrupt';
  /** What was found, for the error message. */
  readonly found: string;
  readonly claims?: readonly ClaimResult[];
}

/** The numbers `start + 1 … end`. */
export interface Block {
  readonly start: number;
  readonly end: number;
}

export interface Grant {
  readonly conversation: string;
  readonly block: Block;
  /**
   * `extend`: only if the word is there and its ceiling is the block's start. `install`: a missing or lower word
   * becomes the block, one whose ceiling is the block's start grows, a higher one is left alone. A store with several slots
   * then removes the words of the conversation in older generations, in the same step (I6).
   */
  readonly mode: 'extend' | 'install';
  /** An install that the store would run later than this, by its own clock, is refused (I8). */
  readonly expiresAtStoreTimeMs: number;
}

export type GrantReply =
  | { readonly status: 'done'; readonly results: readonly GrantResult[] }
  | { readonly status: 'stale'; readonly history: string }
  /**
   * Nothing ran: a newer generation has words in the slot, from another primary, before the slot came back to this one (I6).
   * Only a store with several slots answers so.
   */
  | { readonly status: 'fenced'; readonly newerGeneration: number }
  /** The grants may have run, or may still run. Look again. */
  | { readonly status: 'lost'; readonly cause: unknown };

/** `refused`: the word is not what the reservation was made for; look again. */
export type GrantResult = 'granted' | 'refused';

export type ReadReply =
  | {
      readonly status: 'done';
      readonly results: readonly ReadResult[];
      /** When the store looked, in milliseconds of its own clock. */
      readonly storeTimeMs: number;
    }
  | { readonly status: 'stale'; readonly history: string };

export type ReadResult =
  | { readonly status: 'present'; readonly word: CounterWord }
  | MissingWord
  | CorruptWord;

/** What remembers the number of a message id. */
export interface Receipt {
  readonly conversation: string;
  readonly messageId: string;
  readonly number: number;
  /** How much longer it is kept, in milliseconds. */
  readonly ttlMs: number;
}

export type RestoreReply =
  /**
   * The number of each message id now: the receipt's own, or another that it was given meanwhile. Undefined where the key
   * holds something else.
   */
  | { readonly status: 'done'; readonly numbers: readonly (number | undefined)[] }
  | { readonly status: 'stale'; readonly history: string };

export interface TrackRequest {
  readonly conversation: string;
  /** The complete mark: nothing up to it is open. */
  readonly completeUpTo: number;
}

export type TrackReply =
  | {
      readonly status: 'done';
      readonly results: readonly ({ readonly status: 'tracked' } | MissingWord | CorruptWord)[];
    }
  | { readonly status: 'stale'; readonly history: string };

/** A tracked take that was not ended yet is named by its conversation and the first of its numbers. */
export interface TakeName {
  readonly conversation: string;
  readonly first: number;
}

/** A tracked take that its holder has not ended yet. */
export interface OpenTake extends TakeName {
  readonly last: number;
  /** How much longer it shall be open, in milliseconds. */
  readonly leaseMs: number;
}

/** An open take whose lease has ended, as it was read. */
export interface ExpiredTake extends TakeName {
  readonly last: number;
  /** How the store wrote it. */
  readonly written: string;
}

export type OpenReply =
  | { readonly status: 'done'; readonly results: readonly OpenResult[] }
  | { readonly status: 'stale'; readonly history: string };

export type OpenResult =
  | {
      readonly status: 'tracked';
      readonly word: CounterWord;
      /** Where the lowest open take begins, expired or not; undefined when nothing is open. */
      readonly firstOpen: number | undefined;
      /** Open takes whose lease has ended, if they are the lowest ones; at most 100. */
      readonly expired: readonly ExpiredTake[];
    }
  /** Tracking has not begun in this history. */
  | { readonly status: 'untracked'; readonly word: CounterWord }
  | MissingWord
  | CorruptWord;

export type RenewReply =
  | { readonly status: 'done'; readonly results: readonly RenewResult[] }
  | { readonly status: 'stale'; readonly history: string };

/**
 * `open`: it was. `reopened`: it was held, or its lease had ended, so somebody may have given it up; it is open now.
 * `gone`: neither. `untracked`: tracking has not begun in this history.
 */
export type RenewResult = 'open' | 'reopened' | 'gone' | 'untracked';

export type SettleReply =
  | { readonly status: 'done'; readonly results: readonly SettleResult[] }
  | { readonly status: 'stale'; readonly history: string };

/** `open`: it was. `expired`: it was there, but its lease had ended. `gone`: it was not there. None is there any more. */
export type SettleResult = 'open' | 'expired' | 'gone';

export type DrainReply =
  | {
      readonly status: 'done';
      /** The word that was removed; undefined where there was none. */
      readonly words: readonly (CounterWord | undefined)[];
    }
  | { readonly status: 'stale'; readonly history: string };

export type ConnectionChange =
  | { readonly status: 'up' }
  | { readonly status: 'down'; readonly cause: unknown };
