/** What the tests of the Redis store share that use a cluster. */

import {
  RedisCounterStore,
  type RedisCounterStoreOptions,
} from '../../src/counters/redis/redis-counter-store.js';
import { type ClusterNode, type PrivateCluster, startCluster } from '../support/cluster.js';
import { seed } from '../support/runs.js';

/** Three primaries, each with a replica. One that loses its last slot stays a primary, so that slots can go back and forth. */
export function startMovableCluster(): Promise<PrivateCluster> {
  const args = ['--cluster-allow-replica-migration', 'no'];
  return startCluster({ primaries: 3, replicasPerPrimary: 1, nodeTimeoutMs: 1_000, args });
}

/** The stores of a test, and conversations for them. */
export class ClusterStores {
  readonly #cluster: PrivateCluster;
  readonly #topic: string;
  readonly #stores: RedisCounterStore[] = [];
  #names = 0;

  constructor(cluster: PrivateCluster, topic: string) {
    this.#cluster = cluster;
    this.#topic = topic;
  }

  open(options: RedisCounterStoreOptions = { url: this.#cluster.url }): RedisCounterStore {
    const store = new RedisCounterStore(options);
    this.#stores.push(store);
    return store;
  }

  /** A conversation of its own, and where it is. */
  async place(store: RedisCounterStore): Promise<{ name: string; slot: number; node: ClusterNode }> {
    this.#names += 1;
    const name = `group:${this.#topic}-${seed}-${this.#names}`;
    const slot = store.slotOf(name);
    return { name, slot, node: await this.#cluster.primaryOf(slot) };
  }

  /** Conversations in slots of their own that are served by the primary of a slot, and not in that one. */
  async namesAt(store: RedisCounterStore, slot: number, count: number): Promise<readonly string[]> {
    const node = await this.#cluster.primaryOf(slot);
    const bySlot = new Map<number, string>();
    while (bySlot.size < count) {
      const placed = await this.place(store);
      if (placed.node === node && placed.slot !== slot) bySlot.set(placed.slot, placed.name);
    }
    return [...bySlot.values()];
  }

  async close(): Promise<void> {
    await Promise.all(this.#stores.splice(0).map((store) => store.close()));
  }
}

export async function otherPrimary(cluster: PrivateCluster, than: ClusterNode): Promise<ClusterNode> {
  for (const slot of [0, 6_000, 16_000]) {
    const node = await cluster.primaryOf(slot);
    if (node !== than) return node;
  }
  throw new Error('there is only one primary');
}
