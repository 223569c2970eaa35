import type { TidemarkError } from '../errors.js';
import type { Call } from './call.js';
import type { Clock } from './clock.js';
import type { ConversationState } from './conversation-state.js';

/** How often deadlines are looked at, in milliseconds: a call may end this much late. */
export const deadlineTickMs = 20;

/** Ends calls at their deadline. One timer for all of them, running only while there are any. */
export class CallDeadlines {
  readonly #clock: Clock;
  readonly #timeoutError: (call: Call, state: ConversationState) => TidemarkError;
  #watched: ConversationState[] = [];
  #ticking = false;

  constructor(clock: Clock, timeoutError: (call: Call, state: ConversationState) => TidemarkError) {
    this.#clock = clock;
    this.#timeoutError = timeoutError;
  }

  /** The conversation has calls now. */
  watch(state: ConversationState): void {
    if (state.watched) return;
    state.watched = true;
    this.#watched.push(state);
    if (this.#ticking) return;
    this.#ticking = true;
    this.#clock.setTimer(deadlineTickMs, () => this.#tick());
  }

  /** Every conversation that has calls. */
  get watched(): readonly ConversationState[] {
    return this.#watched;
  }

  #tick(): void {
    const nowMs = this.#clock.monotonicMs();
    const still: ConversationState[] = [];
    for (const state of this.#watched) {
      this.#expire(state, nowMs);
      if (state.hasCalls) still.push(state);
      else state.watched = false;
    }
    this.#watched = still;
    this.#ticking = still.length > 0;
    if (this.#ticking) this.#clock.setTimer(deadlineTickMs, () => this.#tick());
  }

  #expire(state: ConversationState, nowMs: number): void {
    for (let call = state.waiting.first; call !== undefined; ) {
      const next: Call | undefined = call.next;
      if (call.deadlineMs <= nowMs) {
        state.waiting.remove(call);
        call.fail(this.#timeoutError(call, state));
      }
      call = next;
    }
    // The take that serves them goes on; their numbers are recorded as abandoned.
    for (const call of state.served) {
      if (!call.settled && call.deadlineMs <= nowMs) call.fail(this.#timeoutError(call, state));
    }
  }
}
