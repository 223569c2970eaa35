import { randomUUID } from 'node:crypto';
import type {
  ConnectionChange,
  CounterStore,
  CounterStoreTraits,
  DrainedWord,
  Epoch,
  Grant,
  GrantReply,
  GrantResult,
  ReadReply,
  ReadResult,
  TakeReply,
  TakeRequest,
  TakeResult,
} from '../../core/counter-store.js';
import {
  lastOf,
  maxRemaining,
  maxSequenceNumber,
  packWord,
  remainingOf,
  takeFrom,
} from '../../core/counter-word.js';
import { TidemarkError } from '../../errors.js';

const missing = { status: 'missing' } as const;

/**
 * Counter words in the memory of this process: the store of the embedded generator. Each instance is a history of its
 * own, and its words end with the process; a durable ledger beside it keeps numbers from repeating.
 *
 * @example
 * ```ts
 * import { groupChat, MemoryCounterStore, MemoryLedger, SequenceGenerator } from 'tidemark';
 * const sequences = new SequenceGenerator({ counters: new MemoryCounterStore(), ledger: new MemoryLedger() });
 * console.log(await sequences.next(groupChat('g1'))); // 1
 * await sequences.close();
 * ```
 */
export class MemoryCounterStore implements CounterStore {
  readonly traits: CounterStoreTraits = { private: true, maxBatch: 10_000 };
  readonly #nowMs: () => number;
  readonly #words = new Map<string, number>();
  #history: string = randomUUID();
  #closed = false;

  /**
   * @param options - `nowMs`: the store's clock, milliseconds since 1970; the system's by default
   */
  constructor(options: { nowMs?: () => number } = {}) {
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /**
   * The id of the data set that the words belong to now.
   *
   * @returns a random id; another one after {@link lose}
   * @throws TidemarkError `closed`
   */
  async history(): Promise<string> {
    this.#check();
    return this.#history;
  }

  /**
   * Takes numbers for distinct conversations, in the order of the requests.
   *
   * @param epoch - the history that the caller believes in; another one takes nothing and answers `stale`
   * @param requests - at most 10,000, each for 1 to 1,000 numbers
   * @returns one result per request, or `stale`; never `lost`
   * @throws TidemarkError `closed`
   */
  async take(epoch: Epoch, requests: readonly TakeRequest[]): Promise<TakeReply> {
    this.#check();
    if (epoch.history !== this.#history) return { status: 'stale', history: this.#history };
    const results = new Array<TakeResult>(requests.length);
    let storeTimeMs = 0;
    for (let index = 0; index < requests.length; index += 1) {
      const { conversation, count } = requests[index]!;
      const word = this.#words.get(conversation);
      if (word === undefined) {
        results[index] = missing;
        if (storeTimeMs === 0) storeTimeMs = this.#nowMs();
        continue;
      }
      const after = takeFrom(word, count);
      if (after === undefined) {
        results[index] = { status: 'short', word: { last: lastOf(word), remaining: remainingOf(word) } };
        continue;
      }
      this.#words.set(conversation, after);
      results[index] = { status: 'taken', word: { last: lastOf(after), remaining: remainingOf(after) } };
    }
    return { status: 'done', results, storeTimeMs };
  }

  /**
   * Applies blocks that the ledger has reserved.
   *
   * @param epoch - the history that the caller believes in; another one changes nothing and answers `stale`
   * @param grants - at most 10,000, of distinct conversations
   * @returns for each grant whether it was applied, or `stale`
   * @throws TidemarkError `closed`
   */
  async grant(epoch: Epoch, grants: readonly Grant[]): Promise<GrantReply> {
    this.#check();
    if (epoch.history !== this.#history) return { status: 'stale', history: this.#history };
    const nowMs = this.#nowMs();
    return { status: 'done', results: grants.map((grant) => this.#grant(grant, nowMs)) };
  }

  #grant({ conversation, block, mode, expiresAtStoreTimeMs }: Grant, nowMs: number): GrantResult {
    const size = block.end - block.start;
    if (size < 1 || size > maxRemaining || block.end > maxSequenceNumber) return 'refused';
    // I8: a reservation that took too long is not installed; somebody may have taken the conversation over since.
    if (mode === 'install' && nowMs > expiresAtStoreTimeMs) return 'refused';
    const word = this.#words.get(conversation);
    const ceiling = word === undefined ? -1 : lastOf(word) + remainingOf(word);
    if (mode === 'install' && ceiling < block.start) {
      this.#words.set(conversation, packWord({ last: block.start, remaining: size }));
      return 'granted';
    }
    // I5: only the word that the reservation was made for lets the grant pass.
    if (word === undefined || ceiling !== block.start || remainingOf(word) + size > maxRemaining)
      return 'refused';
    this.#words.set(conversation, word + packWord({ last: 0, remaining: size }));
    return 'granted';
  }

  /**
   * Reads words and changes nothing.
   *
   * @param epoch - the history that the caller believes in; another one answers `stale`
   * @param conversations - at most 10,000 keys of distinct conversations
   * @returns one result per conversation, or `stale`
   * @throws TidemarkError `closed`
   */
  async read(epoch: Epoch, conversations: readonly string[]): Promise<ReadReply> {
    this.#check();
    if (epoch.history !== this.#history) return { status: 'stale', history: this.#history };
    const results = conversations.map((conversation): ReadResult => {
      const word = this.#words.get(conversation);
      if (word === undefined) return missing;
      return { status: 'present', word: { last: lastOf(word), remaining: remainingOf(word) } };
    });
    return { status: 'done', results, storeTimeMs: this.#nowMs() };
  }

  /**
   * Removes words, so that what is left of their blocks can be handed back to the ledger.
   *
   * @param epoch - the history that the caller believes in; another one removes nothing
   * @param limit - most words to remove in this call
   * @returns the removed words; empty when there are none left
   * @throws TidemarkError `closed`
   */
  async drain(epoch: Epoch, limit: number): Promise<readonly DrainedWord[]> {
    this.#check();
    const drained: DrainedWord[] = [];
    if (epoch.history !== this.#history) return drained;
    for (const [conversation, word] of this.#words) {
      if (drained.length >= limit) break;
      drained.push({ conversation, word: { last: lastOf(word), remaining: remainingOf(word) } });
      this.#words.delete(conversation);
    }
    return drained;
  }

  /**
   * Drops all words and starts a new history, like a Redis that restarted empty. Nobody is told; the next call learns it
   * from its `stale` answer. For tests and demonstrations.
   *
   * @example
   * ```ts
   * import { groupChat, MemoryCounterStore, MemoryLedger, SequenceGenerator } from 'tidemark';
   * const counters = new MemoryCounterStore();
   * const sequences = new SequenceGenerator({ counters, ledger: new MemoryLedger() });
   * await sequences.next(groupChat('g1'));
   * counters.lose();
   * console.log((await sequences.next(groupChat('g1'))) > 1); // true
   * await sequences.close();
   * ```
   */
  lose(): void {
    this.#words.clear();
    this.#history = randomUUID();
  }

  /** Does nothing: memory is never out of reach. */
  onConnection(_listener: (change: ConnectionChange) => void): void {}

  /** Drops all words; later calls are rejected with `closed`. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#words.clear();
  }

  #check(): void {
    if (this.#closed) throw new TidemarkError('closed', 'the counter store is closed; make a new one');
  }
}
