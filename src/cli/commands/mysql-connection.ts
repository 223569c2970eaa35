/** One connection to MySQL or MariaDB, for a command that asks something of its own. */

import { type Connection, createConnection } from 'mysql2/promise';
import type { MySqlSettings } from '../../ledgers/mysql/options.js';

export async function connect({ driver }: MySqlSettings, timeoutMs: number): Promise<Connection> {
  const { host, port, user, password, database, ssl, socketPath } = driver;
  const given = { host, port, user, password, database, ssl, socketPath };
  const options = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  const connection = await createConnection({ ...options, connectTimeout: timeoutMs });
  // A connection that is lost later fails the query under way; that is reported.
  connection.on('error', () => undefined);
  return connection;
}
