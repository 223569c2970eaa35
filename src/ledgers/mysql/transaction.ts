import type { Connections, Session } from './connections.js';
import { isConflict, leavesConnectionUsable } from './server-errors.js';

/** How often a transaction is run again after a deadlock, a lock wait or a row that somebody else created first. */
const maxRetries = 10;
/** No retry begins later than this after the first attempt. */
const maxRetryMs = 15_000;
const firstPauseMs = 4;
const maxPauseMs = 250;

/**
 * Runs `work` in one transaction and returns its result only after the server has acknowledged the commit (I1).
 * `work` runs again after a conflict, so it must have no effect outside of the transaction.
 *
 * A connection that is lost during COMMIT leaves the outcome unknown, so that is never retried here: the error goes to
 * the caller, who looks at the counter store and asks again.
 */
export async function inTransaction<T>(
  connections: Connections,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const startMs = performance.now();
  for (let retries = 0; ; retries++) {
    try {
      return await connections.use((session) => attempt(session, work));
    } catch (error) {
      const spent = retries === maxRetries || performance.now() - startMs > maxRetryMs;
      if (spent || !isConflict(error)) throw error;
      await pause(retries);
    }
  }
}

async function attempt<T>(session: Session, work: (session: Session) => Promise<T>): Promise<T> {
  await session.query('START TRANSACTION');
  try {
    const result = await work(session);
    await session.query('COMMIT');
    return result;
  } catch (error) {
    // A lock wait that timed out rolls back one statement only, so the rest is rolled back here. Should that fail, its
    // error is thrown instead: it makes the caller drop the connection.
    if (leavesConnectionUsable(error)) await session.query('ROLLBACK');
    throw error;
  }
}

/** Jittered, so that two transactions that met once do not meet again. */
function pause(retries: number): Promise<void> {
  const pauseMs = Math.random() * Math.min(maxPauseMs, firstPauseMs * 2 ** retries);
  return new Promise((resolve) => setTimeout(resolve, pauseMs));
}
