import { randomUUID } from 'node:crypto';
import type {
  ConnectionChange,
  CounterStore,
  CounterStoreTraits,
  DrainReply,
  Epoch,
  ExpiredTake,
  Grant,
  GrantReply,
  History,
  OpenReply,
  OpenTake,
  ReadReply,
  ReadResult,
  Receipt,
  RenewReply,
  RestoreReply,
  SettleReply,
  TakeName,
  TakeReply,
  TakeRequest,
  TakeResult,
  TrackReply,
  TrackRequest,
} from '../../core/counter-store.js';
import { lastOf, takeFrom } from '../../core/counter-word.js';
import type { RemovableWord } from '../../core/ledger.js';
import { checkInteger } from '../../core/options.js';
import { TidemarkError } from '../../errors.js';
import { KeptClaims } from './kept-claims.js';
import { decoded, KeptWords } from './kept-words.js';

/** Most receipts by default: those of ten minutes at 400 messages a second, in about 60 MB. */
const defaultMaxReceipts = 250_000;
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
  readonly traits: CounterStoreTraits = { private: true, maxBatch: 10_000, slots: 1 };
  readonly #nowMs: () => number;
  readonly #words = new KeptWords();
  readonly #claims: KeptClaims;
  #history: string = randomUUID();
  #closed = false;

  /**
   * @param options - `nowMs`: the store's clock, milliseconds since 1970; the system's by default. `maxReceipts`: most
   * message ids whose numbers are remembered, 1 to 10,000,000; 250,000 by default, the oldest are forgotten first
   * @throws TidemarkError `invalid_argument`
   */
  constructor(options: { nowMs?: () => number; maxReceipts?: number } = {}) {
    this.#nowMs = options.nowMs ?? Date.now;
    const maxReceipts = options.maxReceipts ?? defaultMaxReceipts;
    this.#claims = new KeptClaims(checkInteger('maxReceipts', maxReceipts, 1, 10_000_000));
  }

  /**
   * The slot of a conversation. There is only one.
   *
   * @returns 0
   */
  slotOf(_conversation: string): number {
    return 0;
  }

  /**
   * The id of the data set that the words belong to now.
   *
   * @returns a random id; another one after {@link lose}
   * @throws TidemarkError `closed`
   */
  async history(_slot: number): Promise<History> {
    this.#check();
    return { id: this.#history };
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
    const nowMs = this.#nowMs();
    let storeTimeMs = 0;
    for (let index = 0; index < requests.length; index += 1) {
      const request = requests[index]!;
      const result =
        request.claims === undefined ? this.#take(request, nowMs) : this.#takeClaims(epoch, request, nowMs);
      if (result.status === 'missing') storeTimeMs = nowMs;
      results[index] = result;
    }
    return { status: 'done', results, storeTimeMs };
  }

  /**
   * Takes numbers for one conversation before it returns.
   *
   * @param epoch - the history that the caller believes in; another one changes nothing
   * @param conversation - the key of the conversation
   * @param count - how many numbers, 1 to 1,000
   * @returns the word that it left, packed; undefined when nothing was taken
   */
  takeNow(epoch: Epoch, conversation: string, count: number): number | undefined {
    if (this.#closed || epoch.history !== this.#history) return undefined;
    return this.#words.take(conversation, count, this.#nowMs());
  }

  #take({ conversation, count }: TakeRequest, nowMs: number): TakeResult {
    const after = this.#words.take(conversation, count, nowMs);
    if (after !== undefined) return { status: 'taken', word: decoded(after) };
    const word = this.#words.get(conversation);
    return word === undefined ? missing : { status: 'short', word: decoded(word) };
  }

  /** I10: what the calls ask for beside numbers is kept in the same step. */
  #takeClaims(epoch: Epoch, request: TakeRequest, nowMs: number): TakeResult {
    const found = this.#claims.lookUp(request, nowMs);
    const count = request.count - found.filter(({ status }) => status !== 'fresh').length;
    const mayTake = this.#claims.mayTake(request, epoch.generation);
    if (count === 0 && mayTake)
      return { status: 'repeated', claims: this.#claims.keep(request, found, 0, nowMs) };
    const { conversation } = request;
    const word = this.#words.get(conversation);
    if (word === undefined) return { ...missing, claims: found };
    if (takeFrom(word, count) === undefined) return { status: 'short', word: decoded(word), claims: found };
    if (!mayTake) return { status: 'untracked' };
    const after = this.#words.take(conversation, count, nowMs)!;
    const claims = this.#claims.keep(request, found, lastOf(word), nowMs);
    return { status: 'taken', word: decoded(after), claims };
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
    return { status: 'done', results: grants.map((grant) => this.#words.grant(grant, nowMs)) };
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
      return { status: 'present', word: decoded(word) };
    });
    return { status: 'done', results, storeTimeMs: this.#nowMs() };
  }

  /**
   * Puts receipts back, where there are none.
   *
   * @param epoch - the history that the caller believes in; another one answers `stale`
   * @param receipts - what to put back
   * @returns the number of each message id now, or `stale`
   * @throws TidemarkError `closed`
   */
  async restoreReceipts(epoch: Epoch, receipts: readonly Receipt[]): Promise<RestoreReply> {
    return this.#in(epoch, (nowMs) => {
      return { status: 'done', numbers: receipts.map((receipt) => this.#claims.restore(receipt, nowMs)) };
    });
  }

  /**
   * Begins to track conversations in this history.
   *
   * @param epoch - the history that the caller believes in; another one answers `stale`
   * @param requests - the conversations, each with its complete mark
   * @param leaseMs - how long everything above the mark is held open, in milliseconds
   * @returns one result per conversation, or `stale`
   * @throws TidemarkError `closed`
   */
  async track(epoch: Epoch, requests: readonly TrackRequest[], leaseMs: number): Promise<TrackReply> {
    return this.#in(epoch, (nowMs) => {
      const results = requests.map(({ conversation, completeUpTo }) => {
        const word = this.#words.get(conversation);
        if (word === undefined) return missing;
        const range = { completeUpTo, last: lastOf(word) };
        this.#claims.track(conversation, epoch.generation, range, nowMs + leaseMs);
        return { status: 'tracked' } as const;
      });
      return { status: 'done', results };
    });
  }

  /**
   * Reads what is open.
   *
   * @param epoch - the history that the caller believes in; another one answers `stale`
   * @param conversations - keys of conversations
   * @returns one result per conversation, or `stale`
   * @throws TidemarkError `closed`
   */
  async readOpen(epoch: Epoch, conversations: readonly string[]): Promise<OpenReply> {
    return this.#in(epoch, (nowMs) => {
      const results = conversations.map((conversation) => {
        const word = this.#words.get(conversation);
        if (word === undefined) return missing;
        return this.#claims.read(conversation, decoded(word), epoch.generation, nowMs);
      });
      return { status: 'done', results };
    });
  }

  /**
   * Gives open takes a new lease, and opens those again that are held.
   *
   * @param epoch - the history that the caller believes in; another one answers `stale`
   * @param takes - the takes, each with its lease
   * @returns what became of each, or `stale`
   * @throws TidemarkError `closed`
   */
  async renew(epoch: Epoch, takes: readonly OpenTake[]): Promise<RenewReply> {
    return this.#in(epoch, (nowMs) => {
      return {
        status: 'done',
        results: takes.map((take) => this.#claims.renew(take, epoch.generation, nowMs)),
      };
    });
  }

  /**
   * Ends open takes.
   *
   * @param epoch - the history that the caller believes in; another one answers `stale`
   * @param takes - the takes, by the first of their numbers
   * @returns what each was, or `stale`
   * @throws TidemarkError `closed`
   */
  async settle(epoch: Epoch, takes: readonly TakeName[]): Promise<SettleReply> {
    return this.#in(epoch, (nowMs) => {
      return { status: 'done', results: takes.map((take) => this.#claims.settle(take, nowMs)) };
    });
  }

  /**
   * Removes open takes whose lease has ended.
   *
   * @param epoch - the history that the caller believes in; another one answers `stale`
   * @param takes - the takes as they were read
   * @returns what each was, or `stale`
   * @throws TidemarkError `closed`
   */
  async expire(epoch: Epoch, takes: readonly ExpiredTake[]): Promise<SettleReply> {
    return this.#in(epoch, (nowMs) => {
      return { status: 'done', results: takes.map((take) => this.#claims.expire(take, nowMs)) };
    });
  }

  /**
   * Removes words, so that what is left of their blocks can be handed back to the ledger.
   *
   * @param epoch - the history that the caller believes in; another one answers `stale`
   * @param conversations - keys of distinct conversations
   * @returns what each was, undefined where there was none, or one that reaches elsewhere and stays; or `stale`
   * @throws TidemarkError `closed`
   */
  async drain(epoch: Epoch, words: readonly RemovableWord[]): Promise<DrainReply> {
    return this.#in(epoch, () => {
      return { status: 'done', words: words.map((word) => this.#words.drain(word)) };
    });
  }

  /**
   * Conversations whose word nobody has changed for some time, at most 1,000 looked at in one turn of the event loop.
   *
   * @param epoch - the history that the caller believes in; nothing is found in another one
   * @param idleMs - how long nobody has changed them
   * @param signal - ends the walk early, without an error
   * @throws TidemarkError `closed`
   */
  async *idle(
    _slot: number,
    epoch: Epoch,
    idleMs: number,
    signal: AbortSignal,
  ): AsyncGenerator<readonly string[]> {
    this.#check();
    for await (const idle of this.#words.idle(idleMs, this.#nowMs)) {
      if (epoch.history !== this.#history || signal.aborted) return;
      if (idle.length > 0) yield idle;
    }
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
    this.#claims.clear();
    this.#history = randomUUID();
  }

  /** Does nothing: memory is never out of reach. */
  onConnection(_listener: (change: ConnectionChange) => void): void {}

  /** Drops all words; later calls are rejected with `closed`. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#words.clear();
    this.#claims.clear();
  }

  /** Runs an operation if the history is the caller's. */
  #in<T>(
    epoch: Epoch,
    run: (nowMs: number) => T,
  ): T | { readonly status: 'stale'; readonly history: string } {
    this.#check();
    if (epoch.history !== this.#history) return { status: 'stale', history: this.#history };
    return run(this.#nowMs());
  }

  #check(): void {
    if (this.#closed) throw new TidemarkError('closed', 'the counter store is closed; make a new one');
  }
}
