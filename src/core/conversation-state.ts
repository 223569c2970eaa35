import type { TidemarkError } from '../errors.js';
import { type Call, CallQueue } from './call.js';
import type { CounterWord } from './counter-word.js';
import type { ReservationPolicy } from './reservation-policy.js';

/**
 * Shared by all conversations without a take under way. An array of its own would outlive its conversation's takes, move
 * to the old generation of the heap, and keep every call that it once held alive until the next full collection.
 */
export const noCalls: readonly Call[] = Object.freeze([]);

/**
 * What one generator knows and does about one conversation.
 *
 * - *waiting* calls are those that no take under way serves yet.
 * - *taking*: a take under way serves the calls in `served`; there is at most one, so order of arrival is order of numbers.
 * - *parked*: no take is sent until it has its next block, or until the gap that a lost take may have left is recorded.
 */
export class ConversationState {
  readonly key: string;
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
  /** True while it stands in the queue for the next batch. */
  queued = false;
  /** True while a reservation for it is queued or under way. */
  reserving = false;
  /** The highest number that this process has seen issued; undefined before the first. */
  lastSeen: number | undefined;
  /** Size of the last block that this process saw reserved; before the first, what the policy begins with. */
  blockSize: number;
  /** How often in a row a look at the stores led nowhere; sets the delay before the next. */
  fruitlessLooks = 0;
  /** What stood in the way last; the error of calls that reach their deadline. */
  trouble: TidemarkError | undefined;
  /** Up to where this process extended the word without the ledger; undefined when the ledger knows all. */
  unbackedCeiling: number | undefined;
  /** True while it stands in the list of conversations whose calls have deadlines. */
  watched = false;

  constructor(key: string, policy: ReservationPolicy) {
    this.key = key;
    this.policy = policy;
    this.blockSize = policy.kind === 'fixed' ? policy.size : policy.initial;
  }

  get parked(): boolean {
    return this.awaitingBlock || this.awaitingRecord;
  }

  get hasCalls(): boolean {
    return !this.waiting.isEmpty || this.served.length > 0;
  }

  /** True when forgetting it loses nothing but hints. */
  get isIdle(): boolean {
    return (
      !this.hasCalls && !this.taking && !this.parked && !this.reserving && this.unbackedCeiling === undefined
    );
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

  /** Ends the take under way; calls that it did not settle wait again, before all others. */
  endTake(): void {
    this.waiting.unshiftAll(this.served.filter((call) => !call.settled));
    this.served = noCalls;
    this.taking = false;
  }

  /** Fails every call, also those that a take under way serves. */
  failAll(error: TidemarkError): void {
    this.failWaiting(error);
    for (const call of this.served) if (!call.settled) call.fail(error);
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

/** How many of the oldest conversations are looked at when one must be forgotten. */
const looksPerEviction = 8;

/** The conversations that a generator remembers: bounded, the ones that were idle longest go first. */
export class ConversationStates {
  readonly #states = new Map<string, ConversationState>();
  readonly #limit: number;
  readonly #policyFor: (key: string, type: string) => ReservationPolicy;

  constructor(limit: number, policyFor: (key: string, type: string) => ReservationPolicy) {
    this.#limit = limit;
    this.#policyFor = policyFor;
  }

  get size(): number {
    return this.#states.size;
  }

  get(key: string, type: string): ConversationState {
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    // Asked for before anything is taken: it may be a caller's function, and may throw.
    const state = new ConversationState(key, this.#policyFor(key, type));
    if (this.#states.size >= this.#limit) this.#evict();
    this.#states.set(key, state);
    return state;
  }

  /** Conversations in use stay, so the bound is exceeded by at most those: they are bounded by the call queue. */
  #evict(): void {
    let looks = 0;
    for (const [key, state] of this.#states) {
      this.#states.delete(key);
      if (!state.isIdle) this.#states.set(key, state);
      looks += 1;
      if (looks >= looksPerEviction || this.#states.size < this.#limit) return;
    }
  }
}
