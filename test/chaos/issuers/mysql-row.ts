/** One row for each conversation, raised in the statement that tells its new value; flushed at every commit. */

import type { ResultSetHeader } from 'mysql2/promise';
import type { ClientOptions } from '../client-process.js';
import type { Issuer, IssuerNotices } from './issuer.js';
import { retried } from './patience.js';
import { PeerMySql } from './peer-mysql.js';
import { tableOf } from './tables.js';

const table = tableOf['mysql-row']!;
const sql = `INSERT INTO ${table} (conversation, seq) VALUES (?, LAST_INSERT_ID(?))
  ON DUPLICATE KEY UPDATE seq = LAST_INSERT_ID(seq + ?)`;

export async function openMySqlRowIssuer(
  { stores, workload }: ClientOptions,
  { replyTimeoutMs }: IssuerNotices,
): Promise<Issuer> {
  const mysql = new PeerMySql(stores.mysql!, replyTimeoutMs, workload.callers);
  await mysql.createTable(table);
  return {
    nextMany: (of, count, options) =>
      retried(options, async () => {
        const { insertId: last } = await mysql.run<ResultSetHeader>(sql, [of.key, count, count]);
        return { first: last - count + 1, last };
      }),
    close: () => mysql.close(),
  };
}
