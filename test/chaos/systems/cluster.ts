/** Three primaries with a replica each. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterNode, type PrivateCluster, startCluster } from '../../support/cluster.js';
import { hasCaughtUp } from '../../support/replicate.js';
import type { Fault } from '../schedule.js';
import type { RunLedger } from './ledger-server.js';
import { ServerProxies } from './network.js';
import { cutClients, dataFaults } from './redis-data.js';
import { pause, picked, restart } from './sentinel.js';
import { type Inflictions, NotPossible, type System } from './system.js';

const slotCount = 16_384;
/** How many conversations get another primary in one fault; each has a slot of its own. */
const movedConversations = 8;

export class ClusterSystem implements System {
  readonly inflictions: Inflictions;

  private constructor(
    private readonly ledger: RunLedger,
    private readonly cluster: PrivateCluster,
    private readonly proxies: ServerProxies,
    private readonly conversations: readonly string[],
  ) {
    this.inflictions = {
      ...ledger.inflictions,
      ...proxies.inflictions,
      ...dataFaults((pick) => this.primary(pick)),
      'cut-counters': async ({ pick }) => cutClients(await this.primary(pick)),
      'kill-primary': (fault) => this.killPrimary(fault),
      'promote-lagging-replica': (fault) => this.promoteLagging(fault),
      'hang-primary': (fault) => this.hangPrimary(fault),
      'kill-replica': async (fault) =>
        restart(await cluster.replicasOf(await this.primaryWithReplica(fault)), fault),
      'pause-replica': async (fault) =>
        pause(await cluster.replicasOf(await this.primaryWithReplica(fault)), fault),
      'move-slots': (fault) => this.moveSlots(fault),
    };
  }

  static async start(ledger: RunLedger, conversations: readonly string[]): Promise<ClusterSystem> {
    const cluster = await startCluster();
    return new ClusterSystem(ledger, cluster, await ServerProxies.before(cluster.nodes), conversations);
  }

  storesFor() {
    return { redis: this.cluster.url, proxies: this.proxies.ports, mysql: this.ledger.proxiedUrl };
  }

  gaps(conversations: ReadonlySet<string>) {
    return this.ledger.gaps(conversations);
  }

  async stop(): Promise<void> {
    await this.proxies.stop();
    await this.cluster.stop();
  }

  private primary(pick: number): Promise<ClusterNode> {
    return this.cluster.primaryOf(Math.floor(pick * slotCount));
  }

  private async primaryWithReplica({ pick }: Fault): Promise<ClusterNode> {
    const primary = await this.primary(pick);
    if ((await this.cluster.replicasOf(primary)).length > 0) return primary;
    throw new NotPossible('nothing would take over from this primary');
  }

  private async killPrimary(fault: Fault): Promise<void> {
    const primary = await this.primaryWithReplica(fault);
    await this.cluster.kill(primary);
    await sleep(fault.durationMs);
    await primary.start();
    await hasCaughtUp(primary);
  }

  private async promoteLagging(fault: Fault): Promise<void> {
    const primary = await this.primaryWithReplica(fault);
    const replicas = await this.cluster.replicasOf(primary);
    for (const replica of replicas) replica.pause();
    await sleep(fault.durationMs);
    await primary.kill();
    for (const replica of replicas) replica.resume();
    await this.cluster.promotion(primary);
    await primary.start();
    await hasCaughtUp(primary);
  }

  private async hangPrimary(fault: Fault): Promise<void> {
    const primary = await this.primaryWithReplica(fault);
    primary.pause();
    await Promise.all([this.cluster.promotion(primary), sleep(fault.durationMs)]);
    primary.resume();
    await hasCaughtUp(primary);
  }

  /** Some conversations get another primary, and every other time they come back. */
  private async moveSlots({ pick, durationMs }: Fault): Promise<void> {
    const start = Math.floor(pick * this.conversations.length);
    const moved = this.conversations.slice(start, start + movedConversations);
    for (const slot of new Set(await this.cluster.slotsOf(moved))) {
      const from = await this.cluster.primaryOf(slot);
      const to = await this.primary(picked([0, 0.4, 0.8], (pick * 10) % 1));
      if (from === to) continue;
      await this.cluster.moveSlots({ first: slot, last: slot }, from, to);
      await sleep(durationMs / movedConversations);
      if (slot % 2 === 0) await this.cluster.moveSlots({ first: slot, last: slot }, to, from);
    }
  }
}
