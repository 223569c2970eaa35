/** A pool of connections to MySQL or MariaDB as a careful engineer sets it up with mysql2. */

import { createPool, type Pool, type ResultSetHeader, type RowDataPacket } from 'mysql2/promise';
import { inTime } from './patience.js';

const connectTimeoutMs = 1_000;
const createTimeoutMs = 60_000;
const createPauseMs = 100;

export class PeerMySql {
  readonly #pool: Pool;

  constructor(
    url: string,
    private readonly replyTimeoutMs: number,
    connections: number,
  ) {
    this.#pool = createPool({ uri: url, connectionLimit: connections, connectTimeout: connectTimeoutMs });
  }

  /** Runs one statement. A connection on which anything went wrong is not used again. */
  async run<T extends ResultSetHeader | RowDataPacket[]>(sql: string, values: unknown[] = []): Promise<T> {
    const connection = await this.#pool.getConnection();
    try {
      const [result] = await inTime(connection.query<T>(sql, values), this.replyTimeoutMs);
      connection.release();
      return result;
    } catch (error) {
      connection.destroy();
      throw error;
    }
  }

  /** Makes the table of one number for each conversation, where it is not there. */
  async createTable(table: string): Promise<void> {
    const deadlineMs = performance.now() + createTimeoutMs;
    for (;;) {
      try {
        await this.run(
          `CREATE TABLE IF NOT EXISTS ${table} (conversation VARBINARY(600) PRIMARY KEY, seq BIGINT NOT NULL)`,
        );
        return;
      } catch (error) {
        if (performance.now() > deadlineMs) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, createPauseMs));
    }
  }

  async close(): Promise<void> {
    await this.#pool.end().catch(() => undefined);
  }
}
