import type { TidemarkError } from '../errors.js';
import { type Call, CallQueue } from './call.js';
import type { CounterWord } from './counter-word.js';
import { RecentMap } from './recent-map.js';
import { firstBlockSize, isLow, type ReservationPolicy } from './reservation-policy.js';

/** Shared by all conversations without a take under way. */
const noCalls: readonly Call[] = Object.freeze([]);

/**
 * What one generator knows and does about one conversation.
 *
 * - *waiting* calls are those that no take under way serves yet.
 * - *taking*: a take under way serves the calls in `served`; there is at most one, so order of arrival is order of numbers.
 * - *parked*: no take is sent until it has its next block, or until the gap that a lost take may have left is recorded, or
 *   until its tracking has begun, or until it is time to try again after the store could not be reached.
 */
export class ConversationState {
  readonly key: string;
  readonly type: string;
  readonly slot: number;
  /** How large its blocks are. */
  readonly policy: ReservationPolicy;
  readonly waiting = new CallQueue();
  /** Calls that the take under way serves; empty when none is. */
  served: readonly Call[] = noCalls;
  taking = false;
  /** Parked until a block is granted, or it is time to look again. */
  awaitingBlock = false;
  /** Parked until the gap behind a lost take is recorded. */
  awaitingRecord = false;
  /** Parked until its tracking has begun in this history. */
  awaitingTracking = false;
  /** Parked until it is time to try again: the store could not be reached. */
  awaitingRetry = false;
  /** False when it was released: whoever holds it still has nothing to do with it. */
  isInUse = true;
  /** True while it stands in the queue for the next batch. */
  queued = false;
  /** True while a reservation for it is queued or under way. */
  reserving = false;
  /** The highest number that was seen issued since it came into use; undefined before the first. */
  lastSeen: number | undefined;
  /** Size of the last block that was seen reserved, for all that is known. */
  blockSize: number;
  /** Calls had to wait for a refill: the next ones are asked for earlier. */
  refillWasLate = false;
  /** How often in a row a look at the stores led nowhere; sets the delay before the next. */
  fruitlessLooks = 0;
  /** How many takes in a row could not be sent; sets the delay before the next. */
  failedTakes = 0;
  /** What stood in the way last; the error of calls that reach their deadline. */
  trouble: TidemarkError | undefined;
  /** Up to where this process extended the word without the ledger; undefined when the ledger knows all. */
  unbackedCeiling: number | undefined;

  constructor(key: string, type: string, slot: number, policy: ReservationPolicy, blockSize: number) {
    this.key = key;
    this.type = type;
    this.slot = slot;
    this.policy = policy;
    this.blockSize = blockSize;
  }

  get parked(): boolean {
    return this.awaitingBlock || this.awaitingRecord || this.awaitingTracking || this.awaitingRetry;
  }

  /** Whether a word with so much left needs its next block: less than half of one, or less than one where that was late. */
  needsRefill(remaining: number): boolean {
    return this.refillWasLate ? remaining < this.blockSize : isLow(remaining, this.blockSize);
  }

  /** It may use up what is left while refills of others are gathered. */
  get isBusy(): boolean {
    return this.refillWasLate || this.blockSize >= busyBlockSize;
  }

  get hasCalls(): boolean {
    return !this.waiting.isEmpty || this.served.length > 0;
  }

  /** True when nothing refers to it any more, and forgetting it loses nothing but hints. */
  get isIdle(): boolean {
    const isUsed = this.taking || this.queued || this.reserving || this.parked || this.hasCalls;
    return !isUsed && this.unbackedCeiling === undefined;
  }

  /** What the ledger has to learn if the word is gone: as far as this process went without it. */
  get unbackedWord(): CounterWord | undefined {
    if (this.unbackedCeiling === undefined) return undefined;
    const last = Math.min(this.lastSeen ?? 0, this.unbackedCeiling);
    return { last, remaining: this.unbackedCeiling - last };
  }

  /** This process saw that numbers up to `last` were issued. */
  saw(last: number): void {
    if (this.lastSeen === undefined || last > this.lastSeen) this.lastSeen = last;
  }

  /** The numbers of the take under way were delivered. */
  endServedTake(): void {
    this.served = noCalls;
    this.taking = false;
  }

  /** Ends the take under way; calls that it did not end wait again, before all others. */
  endTake(): void {
    this.waiting.unshiftAll(this.served.filter((call) => !call.ended));
    this.endServedTake();
  }

  /** Fails every call, also those that a take under way serves. */
  failAll(error: TidemarkError): void {
    this.failWaiting(error);
    for (const call of this.served) if (!call.ended) call.fail(error);
  }

  /** Fails the calls that wait, or those of them that `which` picks. */
  failWaiting(error: TidemarkError, which: (call: Call) => boolean = () => true): void {
    for (let call = this.waiting.first; call !== undefined; ) {
      const next: Call | undefined = call.next;
      if (which(call)) {
        this.waiting.remove(call);
        call.fail(error);
      }
      call = next;
    }
  }
}

/** From this size on, the size of a block is remembered: such a conversation may use up a small rest within one refill. */
const busyBlockSize = 1_024;
const maxBusy = 10_000;

/**
 * Only numbers that this divides are remembered. What is remembered bounds a gap from below, so it may lag; and a map of
 * many conversations costs more to write than the rest of a call.
 */
const rememberEvery = 32;
/** The map of conversations in use is made anew when it has so many entries, and four times as many as are in use. */
const minEntries = 4_096;

/**
 * The conversations of a generator.
 *
 * One that is in use has a state. Of the others no more is kept than one number, of a bounded number of them: small
 * objects that die young cost much less than large ones that are in no cache when their turn comes.
 */
export class ConversationStates {
  /**
   * Undefined for those that were released. None is deleted by itself: a map that loses entries all the time is copied all
   * the time, and each copy that has become old keeps alive the next one, with all the states in it.
   */
  #inUse = new Map<string, ConversationState | undefined>();
  #countInUse = 0;
  #renewAt = minEntries;
  readonly #lastSeen: RecentMap<number>;
  /** Sizes of large blocks. */
  readonly #busy = new RecentMap<number>(maxBusy);
  readonly #policyFor: (key: string, type: string) => ReservationPolicy;
  readonly #slotOf: (key: string) => number;

  constructor(parts: {
    maxRemembered: number;
    policyFor: (key: string, type: string) => ReservationPolicy;
    slotOf: (key: string) => number;
  }) {
    this.#lastSeen = new RecentMap(parts.maxRemembered);
    this.#policyFor = parts.policyFor;
    this.#slotOf = parts.slotOf;
  }

  /** Every conversation that has calls, or has something under way. */
  *inUse(): Iterable<ConversationState> {
    for (const state of this.#inUse.values()) if (state !== undefined) yield state;
  }

  /** True when no conversation is in use. */
  get isEmpty(): boolean {
    return this.#countInUse === 0;
  }

  /** The state of a conversation that is in use. */
  find(key: string): ConversationState | undefined {
    return this.#countInUse === 0 ? undefined : this.#inUse.get(key);
  }

  /** The state of a conversation, which is in use from now on. */
  use(key: string, type: string): ConversationState {
    const known = this.#inUse.get(key);
    if (known !== undefined) return known;
    // The policy is asked for before anything is taken: it may be a caller's function, and may throw.
    const policy = this.#policyFor(key, type);
    const blockSize = this.blockSizeOf(key, policy);
    const state = new ConversationState(key, type, this.#slotOf(key), policy, blockSize);
    if (this.#inUse.size >= this.#renewAt) this.#renew();
    this.#inUse.set(key, state);
    this.#countInUse += 1;
    return state;
  }

  /** Ends its use, if nothing is left to do. */
  release(state: ConversationState): void {
    if (!state.isInUse || !state.isIdle) return;
    state.isInUse = false;
    this.#inUse.set(state.key, undefined);
    this.#countInUse -= 1;
    const { lastSeen, blockSize } = state;
    if (blockSize >= busyBlockSize || this.#busy.get(state.key) !== undefined)
      this.#busy.set(state.key, blockSize);
    if (lastSeen !== undefined && lastSeen % rememberEvery === 0) this.#lastSeen.set(state.key, lastSeen);
  }

  /** How large the blocks of a conversation are, for all that is remembered. */
  blockSizeOf(key: string, policy: ReservationPolicy): number {
    return this.#busy.get(key) ?? firstBlockSize(policy);
  }

  /** A number up to which this process knows that numbers were issued; 0 when it remembers none. */
  lastSeen(state: ConversationState): number {
    return state.lastSeen ?? this.#lastSeen.get(state.key) ?? 0;
  }

  #renew(): void {
    const inUse = new Map<string, ConversationState | undefined>();
    for (const state of this.inUse()) inUse.set(state.key, state);
    this.#inUse = inUse;
    this.#renewAt = Math.max(minEntries, 4 * inUse.size);
  }
}
