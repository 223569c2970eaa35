/** A private primary with replicas, watched by Sentinels, on loopback. It belongs to the process that started it. */

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { replicate } from './replicate.js';
import type { RespValue } from './resp.js';
import { type RedisServer, startRedis, type TlsSetup, temporaryFolder } from './servers.js';
import { waitFor, waitUntil } from './wait.js';

const masterName = 'mymaster';
/** What Sentinels and replicas need of a primary, and clients do not. Without it they take the primary for lost. */
const watching = ['ping', 'psync', 'sync', 'publish', 'slaveof', 'replicaof', 'config'];
const questionTimeoutMs = 500;
/**
 * How often Sentinels talk to each other and look around. By default seconds, of which tests would spend many. A replica is
 * promoted only if it was asked within five ping periods, and it is asked once a second then.
 */
const eagerness = [
  ...['INFO-PERIOD', '500', 'PING-PERIOD', '300', 'ASK-PERIOD', '100', 'PUBLISH-PERIOD', '200'],
  ...['ELECTION-TIMEOUT', '1000'],
];

export interface SentinelsOptions {
  /** 2 unless said otherwise. */
  readonly replicas?: number;
  /** 3 unless said otherwise, which is the least of which one may be lost. */
  readonly sentinels?: number;
  /** After so long without an answer a primary counts as lost, in milliseconds. */
  readonly downAfterMs?: number;
  /** More arguments for the primary and its replicas. */
  readonly args?: readonly string[];
  readonly executable?: string;
  /** For clients, among the servers, and of the Sentinels. */
  readonly tls?: TlsSetup;
}

export interface Failover {
  /** The primary now. */
  readonly promoted: RedisServer;
  /** From the kill until most Sentinels named the promoted server. */
  readonly tookMs: number;
}

export interface PrivateSentinels {
  /** The server that was started as the primary first, then its replicas. */
  readonly servers: readonly RedisServer[];
  readonly sentinels: readonly RedisServer[];
  /** `redis+sentinel://` with every Sentinel and the name `mymaster`; `rediss+sentinel://` with TLS. */
  readonly url: string;
  /** The primary, as most Sentinels say. */
  primary(): Promise<RedisServer>;
  /** Kills the primary and waits until a replica has taken over. It stays away until it is started. */
  kill(): Promise<Failover>;
  /** The same, then starts it again and waits until the Sentinels have made it a replica that has caught up. */
  failOver(): Promise<Failover>;
  /** Waits until most Sentinels name another primary than `before`. */
  promotion(before: RedisServer): Promise<RedisServer>;
  /**
   * Hides the primary from the Sentinels and the replicas, and waits until a replica has taken over. Clients still reach
   * both: what a network split looks like that leaves some clients with the old primary.
   */
  isolate(): Promise<RedisServer>;
  /** Ends the isolation of an old primary, and waits until it is a replica that has caught up. */
  reconnect(old: RedisServer): Promise<void>;
  stop(): Promise<void>;
}

/** Starts the servers, and waits until every Sentinel knows all the others and every replica. */
export async function startSentinels(options: SentinelsOptions = {}): Promise<PrivateSentinels> {
  const watched = new WatchedServers(options);
  try {
    await watched.start();
    return watched;
  } catch (error) {
    await watched.stop();
    throw error;
  }
}

class WatchedServers implements PrivateSentinels {
  readonly servers: RedisServer[] = [];
  readonly sentinels: RedisServer[] = [];
  private readonly folders: { remove(): Promise<void> }[] = [];

  constructor(private readonly options: SentinelsOptions) {}

  get url(): string {
    const scheme = this.options.tls === undefined ? 'redis' : 'rediss';
    return `${scheme}+sentinel://${this.sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${masterName}`;
  }

  async start(): Promise<void> {
    const { replicas = 2, sentinels = 3, args = [], executable, tls } = this.options;
    const which = { ...(executable !== undefined && { executable }), ...(tls !== undefined && { tls }) };
    for (let index = 0; index <= replicas; index += 1) {
      this.servers.push(await startRedis({ ...which, args: ['--repl-diskless-sync-delay', '0', ...args] }));
    }
    const [primary, ...others] = this.servers;
    for (const replica of others) await replicate(replica, primary!);
    for (let index = 0; index < sentinels; index += 1) this.sentinels.push(await this.startSentinel(which));
    for (const sentinel of this.sentinels) await this.watch(sentinel, primary!.port);
    for (const sentinel of this.sentinels) {
      await waitUntil('a Sentinel knows all servers', async () => {
        const master = await describedMaster(sentinel);
        return (
          master['num-slaves'] === String(replicas) && master['num-other-sentinels'] === String(sentinels - 1)
        );
      });
    }
  }

  async primary(): Promise<RedisServer> {
    return waitFor('a primary that most Sentinels name', () => this.namedPrimary());
  }

  async kill(): Promise<Failover> {
    const before = await this.primary();
    const killedAtMs = performance.now();
    await before.kill();
    const promoted = await this.promotion(before);
    return { promoted, tookMs: performance.now() - killedAtMs };
  }

  async failOver(): Promise<Failover> {
    const before = await this.primary();
    const failover = await this.kill();
    await before.start();
    await waitUntil('the old primary is a replica that has caught up', () =>
      followsPrimary(before, failover.promoted),
    );
    return failover;
  }

  promotion(before: RedisServer): Promise<RedisServer> {
    return waitFor('another primary', async () => {
      const named = await this.namedPrimary();
      return named === before ? undefined : named;
    });
  }

  async isolate(): Promise<RedisServer> {
    const before = await this.primary();
    await before.command('ACL', 'SETUSER', 'default', ...watching.map((command) => `-${command}`));
    await before.command('CLIENT', 'KILL', 'TYPE', 'replica');
    return this.promotion(before);
  }

  async reconnect(old: RedisServer): Promise<void> {
    await old.command('ACL', 'SETUSER', 'default', '+@all');
    // Which one it is may change meanwhile, and be the old one again: a Sentinel that was away has its own view.
    await waitUntil('the old primary is a replica that has caught up', async () => {
      const primary = await this.namedPrimary();
      return primary === old || (primary !== undefined && (await followsPrimary(old, primary)));
    });
  }

  async stop(): Promise<void> {
    // The Sentinels first, so that they do not act on what they see of the end.
    await Promise.all(this.sentinels.map((sentinel) => sentinel.stop()));
    await Promise.all(this.servers.map((server) => server.stop()));
    await Promise.all(this.folders.map((folder) => folder.remove()));
  }

  /** A Sentinel keeps what it knows in its configuration file, also over a restart. */
  private async startSentinel(which: { executable?: string; tls?: TlsSetup }): Promise<RedisServer> {
    const folder = await temporaryFolder();
    this.folders.push(folder);
    const configFile = path.join(folder.path, 'sentinel.conf');
    await writeFile(configFile, '');
    return startRedis({ ...which, dir: folder.path, configFile, args: ['--sentinel'] });
  }

  private async watch(sentinel: RedisServer, primaryPort: number): Promise<void> {
    const quorum = String(Math.floor(this.sentinels.length / 2) + 1);
    await sentinel.command('SENTINEL', 'DEBUG', ...eagerness);
    await sentinel.command('SENTINEL', 'MONITOR', masterName, '127.0.0.1', String(primaryPort), quorum);
    // After a vote without a winner the next one is at twice the failover timeout.
    const settings = [
      'down-after-milliseconds',
      String(this.options.downAfterMs ?? 500),
      'failover-timeout',
      '1500',
    ];
    settings.push('parallel-syncs', '5');
    await sentinel.command('SENTINEL', 'SET', masterName, ...settings);
  }

  private async namedPrimary(): Promise<RedisServer | undefined> {
    const ports = await Promise.all(this.sentinels.map(namedPort));
    return this.servers.find(
      (server) => ports.filter((port) => port === server.port).length > this.sentinels.length / 2,
    );
  }
}

/** The port of the primary that a Sentinel names; undefined if it does not answer. */
async function namedPort(sentinel: RedisServer): Promise<number | undefined> {
  const question = ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', masterName];
  const [address] = await sentinel.commands([question], questionTimeoutMs).catch(() => []);
  return Array.isArray(address) ? Number(address[1]) : undefined;
}

async function describedMaster(sentinel: RedisServer): Promise<Record<string, RespValue | undefined>> {
  const pairs = (await sentinel.command('SENTINEL', 'MASTER', masterName)) as RespValue[];
  return Object.fromEntries(
    pairs.flatMap((name, index) => (index % 2 ? [] : [[String(name), pairs[index + 1]]])),
  );
}

async function followsPrimary(replica: RedisServer, primary: RedisServer): Promise<boolean> {
  const info = String(await replica.command('INFO', 'replication'));
  return info.includes(`master_port:${primary.port}\r`) && info.includes('master_link_status:up');
}
