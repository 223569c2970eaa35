/** What the servers say they did: read before and after each run. */

import { readFile } from 'node:fs/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import type { MariaDbServer, RedisServer } from '../test/support/servers.js';
import type { PeerServers } from './peer-servers.js';

/** Counters that only rise. */
export interface ServerCounters {
  /** User and system time of Redis, `INFO cpu`: `used_cpu_user` + `used_cpu_sys`, of all primaries together. */
  readonly redisCpuUs: number;
  /** User and system time of MariaDB, from the kernel; 0 where it does not say. */
  readonly mariaDbCpuUs: number;
  /** Rows of the peer's table `tidemark_ledger` inserted or updated: `rows_changed` of `table_statistics`. */
  readonly ledgerRows: number;
  /** `Com_commit`. */
  readonly ledgerTransactions: number;
}

/** Ticks of the kernel's process times. */
const kernelTickUs = 10_000;

/** What MariaDB must be started with to count changed rows by table. */
export const mariaDbArgs = ['--userstat=1'];

/** The meters of one peer's servers. */
export class Meters {
  readonly #redis: readonly RedisServer[];
  readonly #mariaDb: MariaDbServer | undefined;
  readonly #connection: Connection | undefined;

  private constructor({ redis, mariaDb }: PeerServers, connection: Connection | undefined) {
    this.#redis = redis;
    this.#mariaDb = mariaDb;
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
    const redisCpuUs = await Promise.all(this.#redis.map(redisCpuUsOf));
    return {
      redisCpuUs: redisCpuUs.reduce((sum, cpuUs) => sum + cpuUs, 0),
      mariaDbCpuUs: this.#mariaDb === undefined ? 0 : await kernelCpuUs(this.#mariaDb.pid),
      ledgerRows: await this.#number(
        "SELECT rows_changed FROM information_schema.table_statistics WHERE table_schema = DATABASE() AND table_name = 'tidemark_ledger'",
      ),
      ledgerTransactions: await this.#number(
        "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'Com_commit'",
      ),
    };
  }

  /** Versions of the servers. */
  async versions(): Promise<{ redis: string; mariaDb: string | undefined }> {
    const info = String(await this.#redis[0]!.command('INFO', 'server'));
    const redis = /^redis_version:(.*?)\r?$/m.exec(info)?.[1] ?? 'unknown';
    if (this.#connection === undefined) return { redis, mariaDb: undefined };
    const [rows] = await this.#connection.query({ sql: 'SELECT VERSION()', rowsAsArray: true });
    return { redis, mariaDb: String((rows as unknown as unknown[][])[0]?.[0]) };
  }

  async close(): Promise<void> {
    await this.#connection?.end();
  }

  /** The first column of the first row, 0 when there is none. */
  async #number(sql: string): Promise<number> {
    if (this.#connection === undefined) return 0;
    const [rows] = await this.#connection.query({ sql, rowsAsArray: true });
    return Number((rows as unknown as unknown[][])[0]?.[0] ?? 0);
  }
}

export function difference(after: ServerCounters, before: ServerCounters): ServerCounters {
  return {
    redisCpuUs: after.redisCpuUs - before.redisCpuUs,
    mariaDbCpuUs: after.mariaDbCpuUs - before.mariaDbCpuUs,
    ledgerRows: after.ledgerRows - before.ledgerRows,
    ledgerTransactions: after.ledgerTransactions - before.ledgerTransactions,
  };
}

async function redisCpuUsOf(redis: RedisServer): Promise<number> {
  const info = String(await redis.command('INFO', 'cpu'));
  const seconds = (field: string) => Number(new RegExp(`^${field}:([\\d.]+)`, 'm').exec(info)?.[1]);
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
}

async function kernelCpuUs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name of the process is in brackets and may hold anything; the fields that follow are numbers.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return Number.isNaN(ticks) ? 0 : ticks * kernelTickUs;
}
