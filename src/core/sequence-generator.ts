import type { TidemarkError } from '../errors.js';
import { Call, type SequenceRange } from './call.js';
import { CallDeadlines } from './call-deadlines.js';
import {
  aborted,
  checkConversation,
  closed,
  deadlineExceeded,
  outOfReach,
  overloaded,
} from './call-errors.js';
import type { Clock } from './clock.js';
import { type Conversation, conversation, groupChat, privateChat } from './conversation.js';
import { type ConversationState, ConversationStates } from './conversation-state.js';
import type { CounterStore } from './counter-store.js';
import { maxSequenceNumber } from './counter-word.js';
import { asTidemarkError, Epochs } from './epochs.js';
import type { EventListener, TidemarkEvent } from './events.js';
import { GapRecorder } from './gap-recorder.js';
import type { Gap, Ledger, LedgerEntry } from './ledger.js';
import { type Inspection, Lookups, type RecoveryReport } from './lookups.js';
import {
  type CallOptions,
  checkInteger,
  checkTimeout,
  type GeneratorOptions,
  maxCountPerCall,
  type ResolvedOptions,
  resolveOptions,
} from './options.js';
import { Reservations } from './reservations.js';
import { Takes } from './takes.js';

/** Longest that `close` waits for takes and reservations under way, in milliseconds. */
const closeTimeoutMs = 10_000;
/** The same when the counter store is out of reach. */
const closeTimeoutWhenDownMs = 250;

/**
 * Issues the sequence numbers of conversations: 1, 2, 3 … in each, never one twice, never backwards.
 *
 * Every call is tried inside until its deadline; what stood in the way then is the code of its error.
 */
export class SequenceGenerator {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #options: ResolvedOptions;
  readonly #listener: EventListener | undefined;
  readonly #states: ConversationStates;
  readonly #deadlines: CallDeadlines;
  readonly #epochs: Epochs;
  readonly #takes: Takes;
  readonly #reservations: Reservations;
  readonly #gapRecorder: GapRecorder;
  readonly #lookups: Lookups;
  readonly #onSettled = () => {
    this.#calls -= 1;
  };
  #calls = 0;
  /** Why the counter store is out of reach; undefined while it is not known to be. */
  #disconnected: TidemarkError | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @param options - the two stores, and everything else by default; see {@link GeneratorOptions}
   * @throws TidemarkError `invalid_argument`
   */
  constructor(options: GeneratorOptions & { readonly clock: Clock }) {
    this.#options = resolveOptions(options);
    this.#counters = options.counters;
    this.#ledger = options.ledger;
    this.#clock = options.clock;
    this.#listener = options.onEvent;
    this.#states = new ConversationStates(this.#options.maxRemembered, this.#options.policyFor);
    this.#deadlines = new CallDeadlines({
      clock: this.#clock,
      states: this.#states,
      timeoutError: (call, state) => deadlineExceeded(call, state, state.trouble ?? this.#trouble),
    });
    const emit = (event: TidemarkEvent) => this.#emit(event);
    const parts = {
      counters: this.#counters,
      ledger: this.#ledger,
      clock: this.#clock,
      options: this.#options,
      emit,
    };
    const onReady = (state: ConversationState) => {
      this.#takes.enqueue(state);
      this.#states.release(state);
    };
    this.#epochs = new Epochs({
      ...parts,
      onKnown: () => {
        this.#takes.flushSoon();
        void this.#reservations.backAll(this.#reservations.outage.unbackedStates);
      },
    });
    this.#reservations = new Reservations({ ...parts, epochs: this.#epochs, onReady });
    this.#gapRecorder = new GapRecorder({
      ...parts,
      epochs: this.#epochs,
      states: this.#states,
      onRecorded: onReady,
    });
    this.#takes = new Takes({
      ...parts,
      epochs: this.#epochs,
      states: this.#states,
      findings: {
        onShort: (state, look) => this.#reservations.require(state, look),
        onLow: (state, look) => this.#reservations.refill(state, look),
        onLost: (states, epoch) => this.#gapRecorder.lost(states, epoch),
        onAbandoned: (state, first, last, epoch) => this.#gapRecorder.abandoned(state, first, last, epoch),
      },
    });
    this.#lookups = new Lookups({ ...parts, epochs: this.#epochs });
    this.#listen();
  }

  /**
   * Issues the next number of a conversation.
   *
   * @param of - the conversation
   * @param options - `timeoutMs` 1 to 600,000, 5,000 by default; `signal` gives the call up
   * @returns the number: 1 for the first, up to 10^12 − 1
   * @throws TidemarkError `invalid_conversation`, `invalid_argument`, `overloaded`, `deadline_exceeded`, `aborted`,
   * `counter_unavailable`, `counter_unsupported`, `counter_corrupt`, `ledger_unavailable`, `ledger_full`, `ledger_corrupt`,
   * `fenced`, `exhausted`, `closed`
   */
  next(of: Conversation, options?: CallOptions): Promise<number> {
    // A promise takes the first number and ignores the last one: no closure and no range for the most frequent call.
    return new Promise<number>((resolve, reject) => this.#start(of, 1, resolve, reject, options));
  }

  /**
   * Issues a contiguous range of numbers.
   *
   * @param of - the conversation
   * @param count - how many, 1 to 1,000
   * @param options - as for {@link next}
   * @returns the first and the last number of the range, both included
   * @throws TidemarkError as {@link next}
   */
  nextMany(of: Conversation, count: number, options?: CallOptions): Promise<SequenceRange> {
    return new Promise<SequenceRange>((resolve, reject) => {
      checkInteger('count', count, 1, maxCountPerCall);
      this.#start(of, count, (first, last) => resolve({ first, last }), reject, options);
    });
  }

  /**
   * The last number issued; changes nothing. Where the counter word is lost, the highest number that was certainly issued.
   *
   * @param of - the conversation
   * @param options - as for {@link next}
   * @returns the number, 0 for a conversation that has none yet
   * @throws TidemarkError as {@link next}, but `overloaded`, `exhausted` and `fenced`
   */
  current(of: Conversation, options?: CallOptions): Promise<number> {
    return this.#within(options, (isOver) => this.#lookups.current(checkConversation(of).key, isOver));
  }

  /**
   * The recorded gaps that touch a range of numbers, ordered. Numbers that are missing elsewhere were issued.
   *
   * @param of - the conversation
   * @param range - `from` (1 by default) and `to` (10^12 − 1 by default), both included; at most `limit` gaps, 1 to
   * 10,000, 1,000 by default: for more, go on behind the last one
   * @param options - as for {@link next}
   * @returns each gap whole, with its reason, whether it is certain, its generation and when it was recorded
   * @throws TidemarkError `invalid_conversation`, `invalid_argument`, `deadline_exceeded`, `aborted`, `ledger_unavailable`,
   * `ledger_corrupt`, `closed`
   */
  gaps(
    of: Conversation,
    range: { readonly from?: number; readonly to?: number; readonly limit?: number } = {},
    options?: CallOptions,
  ): Promise<readonly Gap[]> {
    return this.#within(options, () => {
      const { key } = checkConversation(of);
      const from = checkInteger('from', range.from ?? 1, 1, maxSequenceNumber);
      const to = checkInteger('to', range.to ?? maxSequenceNumber, from, maxSequenceNumber);
      const limit = checkInteger('limit', range.limit ?? 1_000, 1, 10_000);
      return this.#ledger.gaps(key, { from, to, limit });
    });
  }

  /** The next number of the conversation of a type and id: `next(conversation(type, id))`. */
  async generateSequence(type: string, id: string, options?: CallOptions): Promise<number> {
    return this.next(conversation(type, id), options);
  }

  /** The next number of the private chat of two users: `next(privateChat(a, b))`. */
  async generatePrivateChatSequence(a: string, b: string, options?: CallOptions): Promise<number> {
    return this.next(privateChat(a, b), options);
  }

  /** The next number of a group: `next(groupChat(group))`. */
  async generateGroupChatSequence(group: string, options?: CallOptions): Promise<number> {
    return this.next(groupChat(group), options);
  }

  /** The last number issued in the conversation of a type and id: `current(conversation(type, id))`. */
  async getCurrentSequence(type: string, id: string, options?: CallOptions): Promise<number> {
    return this.current(conversation(type, id), options);
  }

  /**
   * What the ledger knows of one conversation.
   *
   * @returns the entry; undefined for a conversation that has none yet
   * @throws TidemarkError as {@link gaps}
   */
  ledgerEntry(of: Conversation, options?: CallOptions): Promise<LedgerEntry | undefined> {
    return this.#within(options, async () => (await this.#ledger.load([checkConversation(of).key]))[0]);
  }

  /**
   * Ledger entries of a type of conversations, in order of key bytes.
   *
   * @param type - the type, as `group`
   * @param page - `after`: the key of the last entry of the page before; `limit` 1 to 1,000, 100 by default
   * @throws TidemarkError as {@link gaps}
   */
  ledgerEntries(
    type: string,
    page: { readonly after?: string; readonly limit?: number } = {},
    options?: CallOptions,
  ): Promise<readonly LedgerEntry[]> {
    return this.#within(options, () => {
      // The id does not matter; this refuses types that no conversation has.
      conversation(type, type === 'private' ? 'a:b' : 'a');
      const limit = checkInteger('limit', page.limit ?? 100, 1, 1_000);
      return this.#ledger.list(type, { after: page.after, limit });
    });
  }

  /**
   * What both stores know of one conversation, for people who look into a problem.
   *
   * @returns the counter word decoded, the ledger's entry, the history and its generation
   * @throws TidemarkError as {@link current}
   */
  inspect(of: Conversation, options?: CallOptions): Promise<Inspection> {
    return this.#within(options, (isOver) => this.#lookups.inspect(checkConversation(of).key, isOver));
  }

  /**
   * Looks at a conversation now and recovers it if its counter word is lost, without issuing a number. Not needed for
   * anything: the next call would do it.
   *
   * @returns whether anything had to be recovered, the last number, and the gap that was recorded
   * @throws TidemarkError as {@link next}
   */
  recover(of: Conversation, options?: CallOptions): Promise<RecoveryReport> {
    return this.#within(options, (isOver) => {
      const { key, type } = checkConversation(of);
      return this.#lookups.recover(key, this.#options.policyFor(key, type), isOver);
    });
  }

  /**
   * Ends the generator and closes its stores. Calls that wait fail with `closed`; takes under way are finished first.
   * With counters that end with the process, what is left of the blocks goes back to the ledger, so the next start goes
   * on without a gap. Closing twice is the same as once.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #start(
    of: Conversation,
    count: number,
    resolve: (first: number, last: number) => void,
    reject: (error: TidemarkError) => void,
    options: CallOptions | undefined,
  ): void {
    if (this.#closing !== undefined) throw closed();
    const { key, type } = checkConversation(of);
    const timeoutMs =
      options?.timeoutMs === undefined ? this.#options.timeoutMs : checkTimeout(options.timeoutMs);
    const signal = options?.signal;
    if (signal?.aborted) throw aborted(signal, key);
    if (this.#calls >= this.#options.maxCalls) throw overloaded(this.#options.maxCalls, key);
    const state = this.#states.use(key, type);
    const call = new Call(count, this.#clock.monotonicMs() + timeoutMs, resolve, reject, this.#onSettled);
    this.#calls += 1;
    if (signal !== undefined) {
      call.listen(signal, () => {
        if (!state.served.includes(call)) state.waiting.remove(call);
        call.fail(aborted(signal, key));
      });
    }
    state.waiting.push(call);
    this.#deadlines.watch();
    this.#takes.enqueue(state);
  }

  /** Runs an operation that is not a take, until it ends, its deadline passes or its signal aborts. */
  async #within<T>(
    options: CallOptions | undefined,
    run: (isOver: () => boolean) => Promise<T> | T,
  ): Promise<T> {
    if (this.#closing !== undefined) throw closed();
    const timeoutMs = checkTimeout(options?.timeoutMs ?? this.#options.timeoutMs);
    const signal = options?.signal;
    if (signal?.aborted) throw aborted(signal);
    let isOver = false;
    let release: () => void = () => undefined;
    const end = new Promise<never>((_, reject) => {
      const cancel = this.#clock.setTimer(timeoutMs, () => reject(this.#lookups.timeoutError(timeoutMs)));
      const onAbort = () => reject(aborted(signal!));
      signal?.addEventListener('abort', onAbort, { once: true });
      release = () => {
        cancel();
        signal?.removeEventListener('abort', onAbort);
      };
    });
    try {
      return await Promise.race([run(() => isOver), end]);
    } catch (error) {
      throw asTidemarkError(error);
    } finally {
      isOver = true;
      release();
    }
  }

  #listen(): void {
    this.#counters.onConnection((change) => {
      this.#emit({ type: 'store', store: 'counters', ...change });
      this.#disconnected = change.status === 'up' ? undefined : outOfReach(change.cause);
      if (change.status === 'up') this.#takes.retryNow();
    });
    this.#ledger.onNotice((notice) => {
      if (notice.status !== 'not_durable') return;
      const { setting, value, advice } = notice;
      this.#emit({ type: 'not_durable', setting, value, advice });
    });
  }

  async #close(): Promise<void> {
    for (const state of this.#states.inUse) state.failWaiting(closed());
    const finished = async () => {
      await this.#takes.settled();
      await this.#reservations.settled();
    };
    await this.#withinCloseTimeout(finished());
    this.#epochs.close();
    this.#reservations.outage.close();
    await this.#withinCloseTimeout(this.#gapRecorder.close());
    for (const state of this.#states.inUse) state.failAll(closed());
    this.#deadlines.close();
    try {
      if (this.#counters.traits.private) await this.#lookups.handBackAll();
    } finally {
      await this.#counters.close();
      await this.#ledger.close();
    }
  }

  async #withinCloseTimeout(work: Promise<void>): Promise<void> {
    let cancel: () => void = () => undefined;
    const timeout = new Promise<void>((resolve) => {
      const timeoutMs = this.#disconnected === undefined ? closeTimeoutMs : closeTimeoutWhenDownMs;
      cancel = this.#clock.setTimer(timeoutMs, resolve);
    });
    await Promise.race([work, timeout]);
    cancel();
  }

  /** What stands in the way of every conversation. */
  get #trouble(): TidemarkError | undefined {
    return this.#epochs.trouble ?? this.#takes.trouble ?? this.#disconnected;
  }

  #emit(event: TidemarkEvent): void {
    try {
      this.#listener?.(event);
    } catch {
      // A hook that throws must not stop numbers.
    }
  }
}
