/** A primary with two replicas, watched by three Sentinels. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type PrivateSentinels, startSentinels } from '../../support/sentinels.js';
import type { RedisServer } from '../../support/servers.js';
import type { Fault } from '../schedule.js';
import type { RunLedger } from './ledger-server.js';
import { ServerProxies } from './network.js';
import { cutClients, dataFaults } from './redis-data.js';
import type { Inflictions, System } from './system.js';

export class SentinelSystem implements System {
  readonly inflictions: Inflictions;

  private constructor(
    private readonly ledger: RunLedger,
    private readonly sentinels: PrivateSentinels,
    private readonly proxies: ServerProxies,
  ) {
    const { servers } = sentinels;
    this.inflictions = {
      ...ledger.inflictions,
      ...proxies.inflictions,
      ...dataFaults(() => sentinels.primary()),
      'cut-counters': async () => cutClients(await sentinels.primary()),
      'kill-primary': (fault) => this.killPrimary(fault),
      'promote-lagging-replica': (fault) => this.promoteLagging(fault),
      'hang-primary': (fault) => this.hangPrimary(fault),
      'isolate-primary': (fault) => this.isolatePrimary(fault),
      'kill-replica': async (fault) => {
        const primary = await sentinels.primary();
        await restart(
          servers.filter((server) => server !== primary),
          fault,
        );
      },
      'pause-replica': async (fault) => {
        const primary = await sentinels.primary();
        await pause(
          servers.filter((server) => server !== primary),
          fault,
        );
      },
      'kill-sentinel': (fault) => restart(sentinels.sentinels, fault),
      'pause-sentinel': (fault) => pause(sentinels.sentinels, fault),
    };
  }

  static async start(ledger: RunLedger): Promise<SentinelSystem> {
    const sentinels = await startSentinels();
    return new SentinelSystem(ledger, sentinels, await ServerProxies.before(sentinels.servers));
  }

  storesFor() {
    return { redis: this.sentinels.url, proxies: this.proxies.ports, mysql: this.ledger.proxiedUrl };
  }

  gaps(conversations: ReadonlySet<string>) {
    return this.ledger.gaps(conversations);
  }

  async stop(): Promise<void> {
    await this.proxies.stop();
    await this.sentinels.stop();
  }

  private async killPrimary({ durationMs }: Fault): Promise<void> {
    const before = await this.sentinels.primary();
    await this.sentinels.kill();
    await sleep(durationMs);
    // It comes back empty, as a primary, until the Sentinels make it a replica.
    await before.start();
    await this.sentinels.reconnect(before);
  }

  private async promoteLagging({ durationMs }: Fault): Promise<void> {
    const before = await this.sentinels.primary();
    const replicas = this.sentinels.servers.filter((server) => server !== before);
    for (const replica of replicas) replica.pause();
    await sleep(durationMs);
    await before.kill();
    for (const replica of replicas) replica.resume();
    await this.sentinels.promotion(before);
    await before.start();
    await this.sentinels.reconnect(before);
  }

  /** It answers nobody for so long that a replica takes over, and then goes on where it was, until it hears of that. */
  private async hangPrimary({ durationMs }: Fault): Promise<void> {
    const before = await this.sentinels.primary();
    before.pause();
    await Promise.all([this.sentinels.promotion(before), sleep(durationMs)]);
    before.resume();
    await this.sentinels.reconnect(before);
  }

  private async isolatePrimary({ durationMs }: Fault): Promise<void> {
    const before = await this.sentinels.primary();
    await this.sentinels.isolate();
    await sleep(durationMs);
    await this.sentinels.reconnect(before);
  }
}

/** Kills one, and starts it again after a while. */
export async function restart(servers: readonly RedisServer[], { pick, durationMs }: Fault): Promise<void> {
  const server = picked(servers, pick);
  await server.kill();
  await sleep(durationMs);
  await server.start();
}

/** Suspends one for a while. */
export async function pause(servers: readonly RedisServer[], { pick, durationMs }: Fault): Promise<void> {
  const server = picked(servers, pick);
  server.pause();
  await sleep(durationMs);
  server.resume();
}

export function picked<T>(all: readonly T[], pick: number): T {
  return all[Math.floor(pick * all.length)]!;
}
