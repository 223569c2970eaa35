import type { Clock } from './core/clock.js';

/**
 * How often in one turn of the event loop work may be deferred to its end. With counters in memory every deferred take is
 * answered in the same turn and makes callers ask again: timers, sockets and the ledger's disk would never have theirs.
 */
const maxDefersPerTurn = 8;

/** Before so many, nobody has to be told of the next turn: an event loop that is told has more to do. */
const defersUnwatched = 4;

let defersInTurn = 0;

/** The real clock and the real event loop. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
  defer(callback) {
    defersInTurn += 1;
    if (defersInTurn === defersUnwatched) setImmediate(beginTurn);
    // Runs when the promise callbacks of this turn have run, before any input or timer.
    if (defersInTurn <= maxDefersPerTurn) process.nextTick(callback);
    else setImmediate(callback);
  },
  nextTurn(callback) {
    setImmediate(callback);
  },
};

function beginTurn(): void {
  defersInTurn = 0;
}
