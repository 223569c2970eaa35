import type { Clock } from './core/clock.js';

/** The real clock and the real event loop. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
  // Runs when the promise callbacks of this turn have run, before any input or timer.
  defer: (callback) => process.nextTick(callback),
};
