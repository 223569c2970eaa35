import type { TidemarkError } from '../errors.js';
import { Call, type CallClaim, type OnDelivered } from './call.js';
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
import type { Conversation } from './conversation.js';
import { type ConversationState, ConversationStates } from './conversation-state.js';
import type { CounterStore, Epoch } from './counter-store.js';
import { Draining } from './draining.js';
import { EpochCalls } from './epoch-calls.js';
import { asTidemarkError, Epochs } from './epochs.js';
import type { EventListener, TidemarkEvent } from './events.js';
import { Explanations } from './explanations.js';
import { FenceWatch } from './fence-watch.js';
import { GapRecorder } from './gap-recorder.js';
import { IdleWords } from './idle-words.js';
import type { Ledger } from './ledger.js';
import { Lookups } from './lookups.js';
import { OpenTakes } from './open-takes.js';
import {
  type CallOptions,
  checkTimeout,
  type GeneratorOptions,
  type ResolvedOptions,
  resolveOptions,
} from './options.js';
import { Receipts } from './receipts.js';
import { Reservations } from './reservations.js';
import { SignalListeners } from './signal-listeners.js';
import { Takes } from './takes.js';
import { Tracking } from './tracking.js';
import { Verification, type VerificationReport, type VerificationScope } from './verification.js';

/** Longest that `close` waits for takes and reservations under way, in milliseconds. */
const closeTimeoutMs = 10_000;
/** The same when the counter store is out of reach. */
const closeTimeoutWhenDownMs = 250;

/** The parts of a generator and how they work together; what a caller sees of it is `SequenceGenerator`. */
export class Engine {
  readonly options: ResolvedOptions;
  readonly ledger: Ledger;
  readonly lookups: Lookups;
  readonly receipts: Receipts;
  readonly tracking: Tracking;
  readonly explanations: Explanations;
  readonly draining: Draining;
  readonly verify: (scope: VerificationScope, isOver: () => boolean) => Promise<VerificationReport>;
  readonly #counters: CounterStore;
  readonly #clock: Clock;
  readonly #listener: EventListener | undefined;
  readonly #states: ConversationStates;
  readonly #deadlines: CallDeadlines;
  readonly #epochs: Epochs;
  readonly #calls: EpochCalls;
  readonly #takes: Takes;
  readonly #reservations: Reservations;
  readonly #gapRecorder: GapRecorder;
  readonly #fenceWatch: FenceWatch;
  readonly #idleWords: IdleWords;
  readonly #onEnded = () => {
    this.#callsUnderWay -= 1;
  };
  readonly #signals = new SignalListeners();
  #callsUnderWay = 0;
  /** Why the counter store is out of reach; undefined while it is not known to be. */
  #disconnected: TidemarkError | undefined;
  #closing: Promise<void> | undefined;

  /** @throws TidemarkError `invalid_argument` */
  constructor(options: GeneratorOptions & { readonly clock: Clock }) {
    this.options = resolveOptions(options);
    this.#counters = options.counters;
    this.ledger = options.ledger;
    this.#clock = options.clock;
    this.#listener = options.onEvent;
    this.#states = new ConversationStates({
      ...this.options,
      slotOf: (key) => this.#counters.slotOf(key),
    });
    this.#deadlines = new CallDeadlines({
      clock: this.#clock,
      states: this.#states,
      timeoutError: (call, state) => deadlineExceeded(call, state, this.#troubleOf(state)),
    });
    const emit = (event: TidemarkEvent) => this.#emit(event);
    const parts = {
      counters: this.#counters,
      ledger: this.ledger,
      clock: this.#clock,
      options: this.options,
      emit,
    };
    const onReady = (state: ConversationState) => {
      this.#takes.enqueue(state);
      this.#states.release(state);
    };
    this.#epochs = new Epochs({
      ...parts,
      onKnown: (slot, epoch) => {
        // Sent before the takes that wait for this epoch, so that retries among them find their receipts.
        this.receipts.restore(slot, epoch);
        this.#takes.epochKnown(slot);
        this.#fenceWatch.start();
        this.#idleWords.start();
        void this.#reservations.backAll(
          this.#reservations.outage.unbackedStates.filter((state) => state.slot === slot),
        );
      },
    });
    this.#fenceWatch = new FenceWatch({ ...parts, epochs: this.#epochs });
    const announce = (epochs: Iterable<Epoch>) => this.#fenceWatch.announce(epochs);
    this.#reservations = new Reservations({ ...parts, epochs: this.#epochs, announce, onReady });
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
        onUntracked: (state) => this.tracking.begin(state),
        onAbandoned: (state, range, epoch, tracked) => {
          if (tracked) this.tracking.abandonLeft(state.key, range);
          else this.#gapRecorder.left(state, range, 'abandoned', epoch);
        },
        onUnclaimed: (state, range, epoch) => this.#gapRecorder.left(state, range, 'unclaimed', epoch),
        onAnswered: (slot, epoch) => this.receipts.answered(slot, epoch),
      },
    });
    this.#calls = new EpochCalls({ ...parts, epochs: this.#epochs });
    const inEpochs = { ...parts, epochs: this.#epochs, calls: this.#calls, announce };
    this.lookups = new Lookups(inEpochs);
    this.receipts = new Receipts(parts);
    this.tracking = new Tracking({ ...inEpochs, onReady });
    this.draining = new Draining(inEpochs);
    this.verify = (scope, isOver) => new Verification(inEpochs, scope, isOver).run();
    this.#idleWords = new IdleWords({ ...inEpochs, draining: this.draining });
    const open = new OpenTakes({ ...parts, calls: this.#calls });
    this.explanations = new Explanations({ ...parts, open, calls: this.#calls, tracking: this.tracking });
    this.#listen();
  }

  /**
   * Answers a call for numbers before it returns, where the store is in this process and no other call waits.
   *
   * @returns the last of the numbers; undefined when the call has to {@link start}
   * @throws TidemarkError for one that cannot begin
   */
  now(of: Conversation, count: number, options: CallOptions | undefined): number | undefined {
    if (!this.#takes.immediate.isPossible) return undefined;
    this.#check(of, options);
    const { key, type } = of;
    this.#fenceWatch.isIssuing = true;
    return this.#takes.immediate.take(key, type, count, this.#callsUnderWay === 0);
  }

  /** One number. */
  next(of: Conversation, options: CallOptions | undefined): Promise<number> {
    try {
      const number = this.now(of, 1, options);
      if (number !== undefined) return Promise.resolve(number);
    } catch (error) {
      return Promise.reject(asTidemarkError(error));
    }
    // A promise takes the first number and ignores the rest: no closure and no object for the most frequent call.
    return new Promise<number>((resolve, reject) => this.start(of, 1, undefined, resolve, reject, options));
  }

  /** The same with calls back, of which there is one. */
  issue(
    of: Conversation,
    deliver: OnDelivered,
    fail: (error: unknown) => void,
    options: CallOptions | undefined,
  ): void {
    try {
      this.start(of, 1, undefined, deliver, fail, options);
    } catch (error) {
      fail(error);
    }
  }

  /** Begins a call for numbers. @throws TidemarkError for one that cannot begin */
  start(
    of: Conversation,
    count: number,
    claim: CallClaim | undefined,
    resolve: OnDelivered,
    reject: (error: TidemarkError) => void,
    options: CallOptions | undefined,
  ): void {
    const timeoutMs = this.#check(of, options);
    const { key, type } = of;
    const signal = options?.signal;
    const state = this.#states.use(key, type);
    const deadlineMs = this.#clock.monotonicMs() + timeoutMs;
    const call = new Call(count, claim, deadlineMs, resolve, reject, this.#onEnded);
    this.#callsUnderWay += 1;
    this.#fenceWatch.isIssuing = true;
    if (signal !== undefined) {
      const onAbort = () => {
        if (!state.served.includes(call)) state.waiting.remove(call);
        call.fail(aborted(signal, key));
      };
      call.listens(this.#signals.add(signal, onAbort));
    }
    state.waiting.push(call);
    this.#deadlines.watch();
    this.#takes.enqueue(state);
  }

  /** @returns the deadline of a call, in milliseconds from now. @throws TidemarkError for one that cannot begin */
  #check(of: Conversation, options: CallOptions | undefined): number {
    if (this.#closing !== undefined) throw closed();
    const { key } = checkConversation(of);
    const timeoutMs =
      options?.timeoutMs === undefined ? this.options.timeoutMs : checkTimeout(options.timeoutMs);
    const signal = options?.signal;
    if (signal?.aborted) throw aborted(signal, key);
    if (this.#callsUnderWay >= this.options.maxCalls) throw overloaded(this.options.maxCalls, key);
    return timeoutMs;
  }

  /**
   * Runs an operation that is not a take, until it ends, its deadline passes or its signal aborts. One that names no deadline
   * has the generator's, or none.
   */
  async within<T>(
    options: CallOptions | undefined,
    run: (isOver: () => boolean) => Promise<T> | T,
    otherwise?: 'no deadline',
  ): Promise<T> {
    if (this.#closing !== undefined) throw closed();
    const isEndless = otherwise !== undefined && options?.timeoutMs === undefined;
    const timeoutMs = checkTimeout(options?.timeoutMs ?? this.options.timeoutMs);
    const signal = options?.signal;
    if (signal?.aborted) throw aborted(signal);
    let isOver = false;
    let release: () => void = () => undefined;
    const end = new Promise<never>((_, reject) => {
      const onTimeout = () => reject(this.#calls.timeoutError(timeoutMs));
      const cancel = isEndless ? () => undefined : this.#clock.setTimer(timeoutMs, onTimeout);
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

  /**
   * Ends the generator and closes its stores. Calls that wait fail with `closed`; takes under way are finished first.
   * With counters that end with the process, what is left of the blocks goes back to the ledger, so the next start goes
   * on without a gap. Closing twice is the same as once.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  #listen(): void {
    this.#counters.onConnection((change) => {
      this.#emit({ type: 'store', store: 'counters', ...change });
      this.#disconnected = change.status === 'up' ? undefined : outOfReach(change.cause);
      if (change.status === 'up') this.#takes.retryNow();
    });
    this.ledger.onNotice((notice) => {
      if (notice.status !== 'not_durable') return;
      const { setting, value, advice } = notice;
      this.#emit({ type: 'not_durable', setting, value, advice });
    });
  }

  async #close(): Promise<void> {
    for (const state of this.#states.inUse()) state.failWaiting(closed());
    this.#fenceWatch.close();
    const finished = async () => {
      await this.#idleWords.close();
      await this.#takes.idle();
      await this.#reservations.idle();
    };
    await this.#withinCloseTimeout(finished());
    await this.#withinCloseTimeout(this.tracking.close());
    const epoch = this.#counters.traits.private ? this.#epochs.of(0) : undefined;
    this.#epochs.close();
    this.receipts.close();
    this.#reservations.outage.close();
    await this.#withinCloseTimeout(this.#gapRecorder.recorded());
    this.#gapRecorder.giveUp();
    for (const state of this.#states.inUse()) state.failAll(closed());
    this.#deadlines.close();
    try {
      if (epoch !== undefined) await this.draining.drainStore(epoch);
    } finally {
      await this.#counters.close();
      await this.ledger.close();
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

  /** What stands in the way of a conversation, or of all. */
  #troubleOf(state: ConversationState): TidemarkError | undefined {
    // Without an epoch nothing is taken, whatever was in the way before.
    return this.#epochs.trouble(state.slot) ?? state.trouble ?? this.#disconnected;
  }

  #emit(event: TidemarkEvent): void {
    try {
      this.#listener?.(event);
    } catch {
      // A hook that throws must not stop numbers.
    }
  }
}
