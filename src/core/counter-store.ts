import type { CounterWord } from './counter-word.js';

/**
 * The port to whatever holds the counter words: fast and forgetful.
 *
 * Every operation names the epoch that its caller believes in. The store checks the history itself, in the same
 * atomic step, and answers `stale` without touching anything when it has changed (I4).
 */
export interface CounterStore {
  /** What this store can do beyond the port, by name; see {@link CounterStoreTraits}. */
  readonly traits: CounterStoreTraits;

  /** Connects if need be, and returns the id of the history that the store's data set belongs to now. */
  history(): Promise<string>;

  /**
   * Takes numbers for distinct conversations: one atomic step for the batch, in the order of the requests.
   * Stays pending while the store is out of reach after the take was sent, and then recalls what became of it.
   *
   * @throws TidemarkError `counter_unavailable` only when the take has certainly not run and never will.
   */
  take(epoch: Epoch, requests: readonly TakeRequest[]): Promise<TakeReply>;

  /**
   * Applies blocks that the ledger has reserved. Running a grant late or never is safe, and so is running an `extend`
   * twice; an `install` must not be sent again once it may have run, because its word may have been lost since (I5).
   *
   * @throws TidemarkError `counter_unavailable` only when it has certainly not run and never will.
   */
  grant(epoch: Epoch, grants: readonly Grant[]): Promise<GrantReply>;

  /** Reads words of distinct conversations and changes nothing. */
  read(epoch: Epoch, conversations: readonly string[]): Promise<ReadReply>;

  /** Removes up to `limit` words and returns them, so that what is left of their blocks can be handed back. */
  drain?(epoch: Epoch, limit: number): Promise<readonly DrainedWord[]>;

  /** Deletes words of generations before `generation`, at a bounded rate. Returns how many were deleted. */
  sweep?(generation: number, signal: AbortSignal): Promise<number>;

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
}

/** A history of the store's data set, and the generation that the ledger gave it. */
export interface Epoch {
  readonly history: string;
  readonly generation: number;
}

export interface TakeRequest {
  /** Key of the conversation. */
  readonly conversation: string;
  /** How many numbers, 1 to 1,000. */
  readonly count: number;
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

export type TakeResult =
  /** The numbers `word.last − count + 1 … word.last` are the caller's; `word` is what it left. */
  | { readonly status: 'taken'; readonly word: CounterWord }
  /** The block cannot give that many; nothing was taken. */
  | { readonly status: 'short'; readonly word: CounterWord }
  | MissingWord
  | CorruptWord;

export interface MissingWord {
  readonly status: 'missing';
}

/** The key holds something that is not a counter word. It was left as it is. */
export interface CorruptWord {
  readonly status: 'corrupt';
  /** What was found, for the error message. */
  readonly found: string;
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
   * becomes the block, one whose ceiling is the block's start grows, a higher one is left alone.
   */
  readonly mode: 'extend' | 'install';
  /** An install that the store would run later than this, by its own clock, is refused (I8). */
  readonly expiresAtStoreTimeMs: number;
}

export type GrantReply =
  | { readonly status: 'done'; readonly results: readonly GrantResult[] }
  | { readonly status: 'stale'; readonly history: string }
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

export interface DrainedWord {
  readonly conversation: string;
  readonly word: CounterWord;
}

export type ConnectionChange =
  | { readonly status: 'up' }
  | { readonly status: 'down'; readonly cause: unknown };
