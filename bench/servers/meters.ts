/** What the servers say they did and hold: read before and after each run. */

import { readFile } from 'node:fs/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import type { RedisServer } from '../../test/support/servers.js';
import type { PeerServers } from './peer-servers.js';

/** Counters that only rise. Undefined for a server that the peer has not. */
export interface ServerCounters {
  /** User and system time of Redis, `INFO cpu`: `used_cpu_user` + `used_cpu_sys`, of all primaries together. */
  readonly redisCpuUs: number | undefined;
  /** User and system time of MariaDB, from the kernel. */
  readonly mariaDbCpuUs: number | undefined;
  /** Rows inserted or updated in the table that the peer's numbers come from: `rows_changed` of `table_statistics`. */
  readonly ledgerRows: number | undefined;
  /** `Com_commit`: a statement that commits by itself does not count. */
  readonly ledgerCommits: number | undefined;
}

/** Ticks of the kernel's process times. */
const kernelTickUs = 10_000;
/** Of Tidemark, of a MySQL row for each conversation, and of block-sequence. */
const tables = "'tidemark_ledger', 'numbers', 'gs_block_sequence'";

/** What MariaDB must be started with to count changed rows by table. */
export const mariaDbArgs = ['--userstat=1'];

/** The meters of one peer's servers. */
export class Meters {
  readonly #servers: PeerServers;
  readonly #connection: Connection | undefined;

  private constructor(servers: PeerServers, connection: Connection | undefined) {
    this.#servers = servers;
    this.#connection = connection;
  }

  static async open(servers: PeerServers): Promise<Meters> {
    const { mysqlUrl } = servers;
    return new Meters(
      servers,
      mysqlUrl === undefined ? undefined : await createConnection({ uri: mysqlUrl }),
    );
  }

  async read(): Promise<ServerCounters> {
    const { redis, mariaDb } = this.#servers;
    return {
      redisCpuUs: redis.length === 0 ? undefined : await sumOf(redis, redisCpuUs),
      mariaDbCpuUs: mariaDb === undefined ? undefined : await kernelCpuUs(mariaDb.pid),
      ledgerRows: await this.#number(
        `SELECT SUM(rows_changed) FROM information_schema.table_statistics WHERE table_schema = DATABASE() AND table_name IN (${tables})`,
      ),
      ledgerCommits: await this.#number(
        "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Com_commit'",
      ),
    };
  }

  /** `used_memory` of all primaries together; undefined without Redis. */
  async redisBytes(): Promise<number | undefined> {
    const { redis } = this.#servers;
    if (redis.length === 0) return undefined;
    return sumOf(redis, async (server) => infoNumber(await server.command('INFO', 'memory'), 'used_memory'));
  }

  /** What the table that the numbers come from takes on disk; undefined without MariaDB. */
  async ledgerBytes(): Promise<number | undefined> {
    if (this.#connection === undefined) return undefined;
    for (const table of tables.replaceAll("'", '').split(', ')) {
      await this.#connection.query(`ANALYZE TABLE ${table}`);
    }
    return this.#number(
      `SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name IN (${tables})`,
    );
  }

  async close(): Promise<void> {
    await this.#connection?.end();
  }

  /** The first column of the first row, 0 when there is none; undefined without MariaDB. */
  async #number(sql: string): Promise<number | undefined> {
    if (this.#connection === undefined) return undefined;
    const [rows] = await this.#connection.query({ sql, rowsAsArray: true });
    return Number((rows as unknown as unknown[][])[0]?.[0] ?? 0);
  }
}

export function difference(after: ServerCounters, before: ServerCounters): ServerCounters {
  const minus = (name: keyof ServerCounters) =>
    after[name] === undefined || before[name] === undefined ? undefined : after[name] - before[name];
  return {
    redisCpuUs: minus('redisCpuUs'),
    mariaDbCpuUs: minus('mariaDbCpuUs'),
    ledgerRows: minus('ledgerRows'),
    ledgerCommits: minus('ledgerCommits'),
  };
}

async function redisCpuUs(redis: RedisServer): Promise<number> {
  const info = await redis.command('INFO', 'cpu');
  return (infoNumber(info, 'used_cpu_user') + infoNumber(info, 'used_cpu_sys')) * 1e6;
}

function infoNumber(info: unknown, field: string): number {
  return Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(String(info))?.[1]);
}

async function sumOf(
  servers: readonly RedisServer[],
  read: (server: RedisServer) => Promise<number>,
): Promise<number> {
  const values = await Promise.all(servers.map(read));
  return values.reduce((sum, value) => sum + value, 0);
}

async function kernelCpuUs(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name of the process is in brackets and may hold anything; the fields that follow are numbers.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return Number.isNaN(ticks) ? undefined : ticks * kernelTickUs;
}
