/** Connections that are set up alike, bounded in number, in waiting calls and in time. */

import type { Pool, PoolConnection } from 'mysql2/promise';
import { createPool } from 'mysql2/promise';
import { TidemarkError } from '../../errors.js';
import { checkDurability } from './durability.js';
import type { Health } from './health.js';
import type { MySqlSettings } from './options.js';
import { leavesConnectionUsable } from './server-errors.js';
import { Turns } from './turns.js';

/** One row, as an array of its columns. */
export type Row = readonly unknown[];

/** Longest wait for connections to say goodbye; then they are cut. */
const endTimeoutMs = 1_000;

/** One connection while one call uses it. */
export class Session {
  readonly #connection: PoolConnection;
  readonly #timeoutMs: number;

  constructor(connection: PoolConnection, timeoutMs: number) {
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
  }

  /** Runs one statement. Values are escaped by the driver; an array in `IN (?)` or `VALUES ?` becomes a list. */
  async query(
    sql: string,
    values: readonly unknown[] = [],
    timeoutMs = this.#timeoutMs,
  ): Promise<readonly Row[]> {
    const [rows] = await this.#connection.query({
      sql,
      values: [...values],
      timeout: timeoutMs,
      rowsAsArray: true,
    });
    return Array.isArray(rows) ? (rows as readonly unknown[] as readonly Row[]) : [];
  }
}

/** What lies under the driver's promises: the same object each time that its connection is handed out. */
type RawConnection = NodeJS.EventEmitter & { destroy(): void };

function rawOf(connection: PoolConnection): RawConnection {
  return connection.connection;
}

/** The pool of one ledger. */
export class Connections {
  readonly #settings: MySqlSettings;
  readonly #health: Health;
  readonly #pool: Pool;
  readonly #turns: Turns;
  readonly #ready = new WeakSet<object>();
  readonly #open = new Set<RawConnection>();

  constructor(settings: MySqlSettings, health: Health) {
    this.#settings = settings;
    this.#health = health;
    this.#pool = createCheckedPool(settings);
    this.#turns = new Turns(settings.poolSize, settings.acquireTimeoutMs);
  }

  /** Runs `work` with a connection of its own, which is dropped if its state is in doubt afterwards. */
  async use<T>(work: (session: Session) => Promise<T>): Promise<T> {
    await this.#turns.take();
    try {
      return await this.#useConnection(work);
    } finally {
      this.#turns.end();
    }
  }

  async #useConnection<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const connection = await this.#connect();
    const session = new Session(connection, this.#settings.queryTimeoutMs);
    try {
      if (!this.#ready.has(rawOf(connection))) {
        await this.#setUp(session);
        this.#ready.add(rawOf(connection));
      }
      const result = await work(session);
      connection.release();
      return result;
    } catch (error) {
      // A statement that timed out may still run in the server: nobody else may get this connection.
      if (leavesConnectionUsable(error)) connection.release();
      else this.#drop(connection);
      throw error;
    }
  }

  /** Ends all connections, politely if they answer within a second. */
  async end(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, endTimeoutMs);
    });
    await Promise.race([this.#pool.end().catch(() => undefined), late]);
    clearTimeout(timer);
    for (const connection of this.#open) connection.destroy();
    this.#open.clear();
  }

  async #connect(): Promise<PoolConnection> {
    try {
      return this.#watch(await this.#pool.getConnection());
    } catch (error) {
      if ((error as Error).message !== 'Pool is closed.') throw error;
      throw new TidemarkError('closed', 'the ledger is closed; open a new one');
    }
  }

  #watch(connection: PoolConnection): PoolConnection {
    const raw = rawOf(connection);
    if (this.#open.has(raw)) return connection;
    this.#open.add(raw);
    // The driver emits `error` on idle connections; without a listener that would end the process.
    raw.on('error', () => this.#open.delete(raw));
    raw.on('end', () => this.#open.delete(raw));
    return connection;
  }

  #drop(connection: PoolConnection): void {
    this.#open.delete(rawOf(connection));
    connection.destroy();
  }

  /** Nothing is left to the server's defaults that the ledger depends on. */
  async #setUp(session: Session): Promise<void> {
    // UTC: in the hour that a summer time repeats, UNIX_TIMESTAMP of a local time jumps back.
    // The sql_mode has no NO_BACKSLASH_ESCAPES: the driver's escaping relies on backslashes.
    await session.query(
      "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1, innodb_lock_wait_timeout = ?",
      [this.#settings.lockWaitSeconds],
    );
    // READ COMMITTED locks no gaps: looking for rows that do not exist yet would deadlock at once otherwise.
    await session.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
    await checkDurability(session, this.#health);
  }
}

function createCheckedPool({ driver, server }: MySqlSettings): Pool {
  try {
    return createPool(driver);
  } catch (error) {
    // The driver checks TLS options and profile names itself.
    throw new TidemarkError('invalid_argument', `MySQL ledger ${server}: ${(error as Error).message}`);
  }
}
