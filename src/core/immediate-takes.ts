import type { Clock } from './clock.js';
import type { ConversationState, ConversationStates } from './conversation-state.js';
import type { CounterStore, Epoch } from './counter-store.js';
import { lastOf, remainingOf } from './counter-word.js';
import type { Epochs } from './epochs.js';
import type { ResolvedOptions } from './options.js';
import { isLow } from './reservation-policy.js';
import type { TakeFindings } from './takes.js';

/** Most takes in one turn of the event loop; more wait, so that timers, sockets and the ledger's disk have their turn. */
const maxPerTurn = 8_192;

/**
 * Takes that a store in this process answers before they return: no batch, no state, no trip.
 *
 * Only where no call of the conversation waits, so that order of arrival is order of numbers.
 */
export class ImmediateTakes {
  readonly #counters: CounterStore;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #options: ResolvedOptions;
  readonly #states: ConversationStates;
  readonly #onLow: TakeFindings['onLow'];
  readonly #beginTurn = () => {
    this.#inTurn = 0;
  };
  #inTurn = 0;

  constructor(parts: {
    counters: CounterStore;
    clock: Clock;
    epochs: Epochs;
    options: ResolvedOptions;
    states: ConversationStates;
    /** It is time for the next block. */
    onLow: TakeFindings['onLow'];
  }) {
    this.#counters = parts.counters;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
    this.#options = parts.options;
    this.#states = parts.states;
    this.#onLow = parts.onLow;
  }

  /** False where the store is elsewhere, and when no more are taken in this turn of the event loop. */
  get isPossible(): boolean {
    return this.#counters.takeNow !== undefined && !this.isTurnSpent;
  }

  /** True when no more are taken in this turn of the event loop. */
  get isTurnSpent(): boolean {
    return this.#inTurn === maxPerTurn;
  }

  /**
   * Only while {@link isPossible}.
   *
   * @param isAlone - no call of any conversation is under way
   * @returns the last of the numbers; undefined when nothing was taken, and the call has to wait for a take
   */
  take(key: string, type: string, count: number, isAlone: boolean): number | undefined {
    const state = isAlone ? undefined : this.#states.find(key);
    if (state !== undefined && (state.hasCalls || state.parked)) return undefined;
    const epoch = this.#epochs.of(this.#counters.slotOf(key));
    if (epoch === undefined) return undefined;
    // Asked for before anything is taken: it may be a caller's function, and may throw.
    const blockSize = this.#states.blockSizeOf(key, this.#options.policyFor(key, type));
    const word = this.#counters.takeNow!(epoch, key, count);
    if (word === undefined) return undefined;
    if (this.#inTurn === 0) this.#clock.nextTurn(this.#beginTurn);
    this.#inTurn += 1;
    const last = lastOf(word);
    const remaining = remainingOf(word);
    if (isLow(remaining, blockSize)) this.#low(epoch, this.#states.use(key, type), last, remaining);
    return last;
  }

  #low(epoch: Epoch, state: ConversationState, last: number, remaining: number): void {
    state.saw(last);
    this.#onLow(state, { epoch, saw: { last, remaining }, storeTimeMs: 0, need: 1 });
    this.#states.release(state);
  }
}
