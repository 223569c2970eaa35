/** Time and scheduling as the core sees them. Replaced by a virtual clock in tests. */
export interface Clock {
  /** Milliseconds of a clock that never goes back; only differences mean anything. */
  monotonicMs(): number;
  /** Calls back once after `delayMs`; the returned function cancels. Keeps the process alive until then. */
  setTimer(delayMs: number, callback: () => void): () => void;
  /** Calls back once the current turn's promise callbacks have run, without waiting for input or timers. */
  defer(callback: () => void): void;
  /** Calls back once input and timers have had their turn. */
  nextTurn(callback: () => void): void;
}

/** Resolves after `delayMs` of the clock. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(delayMs, resolve));
}
