import type { TidemarkError } from '../errors.js';
import type { Call } from './call.js';
import type { Clock } from './clock.js';
import type { ConversationState, ConversationStates } from './conversation-state.js';

/** How often deadlines are looked at, in milliseconds: a call may end this much late. */
export const deadlineTickMs = 20;

/** Ends calls at their deadline. One timer for all of them, running only while there are any. */
export class CallDeadlines {
  readonly #clock: Clock;
  readonly #states: ConversationStates;
  readonly #timeoutError: (call: Call, state: ConversationState) => TidemarkError;
  #ticking = false;
  #cancelTick: (() => void) | undefined;

  constructor(parts: {
    clock: Clock;
    states: ConversationStates;
    timeoutError: (call: Call, state: ConversationState) => TidemarkError;
  }) {
    this.#clock = parts.clock;
    this.#states = parts.states;
    this.#timeoutError = parts.timeoutError;
  }

  /** There are calls now. */
  watch(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    this.#cancelTick = this.#clock.setTimer(deadlineTickMs, () => this.#tick());
  }

  /** No call will come any more, and none is left. */
  close(): void {
    this.#cancelTick?.();
  }

  #tick(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const state of this.#states.inUse()) {
      this.#expire(state, nowMs);
      this.#states.release(state);
    }
    this.#ticking = false;
    if (!this.#states.isEmpty) this.watch();
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
      if (!call.ended && call.deadlineMs <= nowMs) call.fail(this.#timeoutError(call, state));
    }
  }
}
