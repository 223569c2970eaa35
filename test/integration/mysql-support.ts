/** What the tests of the MySQL ledger share. */

import { type Connection, createConnection } from 'mysql2/promise';
import type { LedgerNotice, ReserveOutcome, ReserveRequest } from '../../src/core/ledger.js';
import { TidemarkError } from '../../src/errors.js';

/** A request for ten numbers. */
export function ask(
  conversation: string,
  saw?: readonly [last: number, remaining: number],
  generation = 1,
): ReserveRequest {
  return {
    conversation,
    generation,
    saw: saw && { last: saw[0], remaining: saw[1] },
    need: 1,
    policy: { kind: 'fixed', size: 10 },
  };
}

/** What an outcome is called for short. */
export function kindOf(outcome: ReserveOutcome | undefined): string {
  return outcome?.status === 'reserved' ? outcome.kind : String(outcome?.status);
}

/** The error that a call ends with. */
export async function errorOf(call: Promise<unknown>): Promise<TidemarkError> {
  try {
    await call;
  } catch (error) {
    if (error instanceof TidemarkError) return error;
    throw error;
  }
  throw new Error('the call succeeded, and an error was expected');
}

/** Runs `use` with a plain connection of the driver, next to the ledger's. */
export async function withConnection<T>(
  url: string,
  use: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await createConnection(url);
  try {
    return await use(connection);
  } finally {
    connection.destroy();
  }
}

/** Runs statements and returns the rows of the last one. */
export async function sql(url: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  return withConnection(url, async (connection) => {
    let rows: unknown;
    for (const statement of statements) [rows] = await connection.query(statement);
    return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
  });
}

/** One value of `SHOW GLOBAL STATUS`. */
export async function globalStatus(url: string, name: string): Promise<number> {
  const [row] = await sql(url, `SHOW GLOBAL STATUS LIKE '${name}'`);
  return Number(row?.['Value']);
}

/** A URL as another user. */
export function asUser(url: string, user: string, password: string): string {
  const other = new URL(url);
  other.username = encodeURIComponent(user);
  other.password = encodeURIComponent(password);
  return other.href;
}

/** The states that a ledger told, in order. */
export function statesOf(notices: readonly LedgerNotice[]): string[] {
  return notices.map(({ status }) => status);
}

/** Waits until `condition` holds, at most 20 seconds. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`still not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Waits until a session of the server runs or waits in a statement that contains `text`. */
export function untilServerRuns(url: string, text: string): Promise<void> {
  const query = `SELECT COUNT(*) AS n FROM information_schema.processlist WHERE info LIKE '%${text}%' AND id <> CONNECTION_ID()`;
  return until(async () => Number((await sql(url, query))[0]!['n']) > 0, `a session runs ${text}`);
}
