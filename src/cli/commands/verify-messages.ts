/** Numbers of stored messages, as a query of the user's own selects them, row by row. */

import type { Readable } from 'node:stream';
import type { Connection } from 'mysql2';
import type { StoredNumber } from '../../core/stored-numbers.js';
import { TidemarkError } from '../../errors.js';
import { mySqlSettings } from '../../ledgers/mysql/options.js';
import { failureOf } from '../../ledgers/mysql/server-errors.js';
import { connect } from './mysql-connection.js';

/** Rows that are read ahead. */
const rowsAhead = 2_000;
/** As far as a number can be one. */
const digits = /^\d{1,15}$/;

/**
 * Runs the query in a transaction that can only read, and that sees one moment.
 *
 * @param url - mysql://user:password@host:3306/database
 * @param query - selects the key of the conversation and the number, in the order of their bytes and of the numbers
 * @throws TidemarkError `invalid_argument` for a query that is no SELECT, or of other columns; what the server says
 */
export async function* storedNumbers(
  url: string,
  query: string,
  timeoutMs: number,
): AsyncGenerator<StoredNumber> {
  const settings = mySqlSettings(url);
  const sql = query.trim().replace(/;$/, '');
  if (!/^(?:select|with)\b/i.test(sql)) throw invalid('it must begin with SELECT (or WITH)');
  const connection = await connect(settings, timeoutMs).catch((error: unknown) => {
    throw failureOf(error, settings.server).error;
  });
  try {
    await connection.query('SET NAMES utf8mb4');
    await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await connection.query('START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY');
    // The promises of the driver would wait for all rows.
    const { connection: raw } = connection as unknown as { connection: Connection };
    const rows: Readable = raw.query({ sql, rowsAsArray: true }).stream({ highWaterMark: rowsAhead });
    for await (const row of rows) yield storedNumber(row as readonly unknown[]);
  } catch (error) {
    throw failureOf(error, settings.server).error;
  } finally {
    connection.destroy();
  }
}

function storedNumber(row: readonly unknown[]): StoredNumber {
  if (row.length !== 2)
    throw invalid(`it must select two columns, the conversation and the number, not ${row.length}`);
  const [conversation, number] = row.map((value) =>
    value instanceof Uint8Array ? Buffer.from(value).toString() : value,
  );
  if (typeof conversation !== 'string')
    throw invalid('its first column must be the key of the conversation, such as group:g1');
  const value = typeof number === 'number' || !digits.test(String(number)) ? number : Number(number);
  if (typeof value !== 'number') throw invalid('its second column must be the number of the message');
  return { conversation, number: value };
}

function invalid(what: string): TidemarkError {
  const example = 'SELECT conversation, number FROM messages ORDER BY conversation, number';
  return new TidemarkError(
    'invalid_argument',
    `--messages cannot be used: ${what}; write it like: ${example}`,
  );
}
