/** A private Redis or Valkey cluster on loopback, which belongs to the process that started it. */

import { parseNodes, type SeenNode, type SlotRange, serves } from './cluster-nodes.js';
import { hasCaughtUp } from './replicate.js';
import type { RespValue } from './resp.js';
import { type RedisServer, startRedis, type TlsSetup } from './servers.js';
import { waitFor, waitUntil } from './wait.js';

export type { SlotRange } from './cluster-nodes.js';

const slotCount = 16_384;
/** Slots that are on the move at the same time, and keys that one MIGRATE takes along. */
const movedAtOnce = 64;
/** A node that is paused does not answer for longer than this. */
const viewTimeoutMs = 500;
const busPort = '--cluster-port';

export interface ClusterNode extends RedisServer {
  readonly id: string;
}

export interface ClusterOptions {
  /** 3 unless said otherwise, which is the least that can replace one. */
  readonly primaries?: number;
  readonly replicasPerPrimary?: number;
  /** After so long without an answer a node counts as lost, in milliseconds. */
  readonly nodeTimeoutMs?: number;
  /** More arguments for every node. */
  readonly args?: readonly string[];
  readonly executable?: string;
  /** For clients and among the nodes. */
  readonly tls?: TlsSetup;
}

export interface Failover {
  /** The primary now. */
  readonly promoted: ClusterNode;
  /** From the kill until the promoted node served the slots. */
  readonly tookMs: number;
}

export interface PrivateCluster {
  /** Those that were started as primaries first, then their replicas in the same order, then those that were added. */
  readonly nodes: readonly ClusterNode[];
  /** `redis+cluster://` with every node; `rediss+cluster://` with TLS. */
  readonly url: string;
  /** `redis://` of every node. */
  readonly urls: readonly string[];
  /** Who serves a slot, by the newest word of the nodes that answer. */
  primaryOf(slot: number): Promise<ClusterNode>;
  /** The slot of each key. */
  slotsOf(keys: readonly string[]): Promise<number[]>;
  /** The replicas of a node, as it knows them itself. */
  replicasOf(primary: ClusterNode): Promise<ClusterNode[]>;
  /** Kills a primary and waits until one of its replicas serves its slots. It stays away until it is started. */
  kill(primary: ClusterNode): Promise<Failover>;
  /** The same, then starts it again and waits until it is a replica that has caught up. */
  failOver(primary: ClusterNode): Promise<Failover>;
  /** Waits until another node serves what `primary` served, when the test took it away in its own manner. */
  promotion(primary: ClusterNode): Promise<ClusterNode>;
  /**
   * Cuts a primary off from all the others, and makes its replica the primary without it. Clients reach both, and the old
   * one serves them as before: what a network split that leaves some clients with the old primary looks like.
   */
  isolate(primary: ClusterNode): Promise<ClusterNode>;
  /** Moves slots with their keys from one primary to another, in small steps. Clients go on meanwhile. */
  moveSlots(slots: SlotRange, from: ClusterNode, to: ClusterNode): Promise<void>;
  /** A new primary without slots, which every node knows. */
  addNode(): Promise<ClusterNode>;
  stop(): Promise<void>;
}

/** Starts a cluster, and waits until every node serves and every replica has caught up. */
export async function startCluster(options: ClusterOptions = {}): Promise<PrivateCluster> {
  const { primaries = 3, replicasPerPrimary = 1 } = options;
  const starts = await Promise.allSettled(
    Array.from({ length: primaries * (1 + replicasPerPrimary) }, () => startNode(options)),
  );
  const nodes = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const cluster = new RunningCluster(nodes, options);
  try {
    for (const start of starts) if (start.status === 'rejected') throw start.reason;
    await cluster.join(primaries);
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function startNode({
  nodeTimeoutMs = 1_000,
  args = [],
  executable,
  tls,
}: ClusterOptions): Promise<ClusterNode> {
  const server = await startRedis({
    args: [
      ...['--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf'],
      ...['--cluster-node-timeout', String(nodeTimeoutMs), '--cluster-require-full-coverage', 'no'],
      ...['--repl-diskless-sync-delay', '0', ...args],
    ],
    otherPorts: [busPort],
    ...(executable !== undefined && { executable }),
    ...(tls !== undefined && { tls }),
  });
  // Adding to the server, not copying it, keeps the getters of the server.
  return Object.assign(server, { id: String(await server.command('CLUSTER', 'MYID')) });
}

class RunningCluster implements PrivateCluster {
  constructor(
    readonly nodes: ClusterNode[],
    private readonly options: ClusterOptions,
  ) {}

  get url(): string {
    const scheme = this.options.tls === undefined ? 'redis' : 'rediss';
    return `${scheme}+cluster://${this.nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
  }

  get urls(): string[] {
    return this.nodes.map(({ url }) => url);
  }

  /** Makes one cluster of the nodes: slots for the first ones, and the others as their replicas. */
  async join(primaries: number): Promise<void> {
    for (const [index, node] of this.nodes.entries()) {
      await node.command('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
      if (index >= primaries) continue;
      const first = Math.floor((index * slotCount) / primaries);
      const last = Math.floor(((index + 1) * slotCount) / primaries) - 1;
      await node.command('CLUSTER', 'ADDSLOTSRANGE', String(first), String(last));
    }
    // Each with each, because waiting for gossip takes much longer.
    for (const [index, node] of this.nodes.entries()) await introduce(node, this.nodes.slice(index + 1));
    await this.everyNode('all nodes know each other', (seen) => this.areAllConnected(seen));
    for (const [index, node] of this.nodes.entries()) {
      if (index >= primaries) await node.command('CLUSTER', 'REPLICATE', this.nodes[index % primaries]!.id);
    }
    const replicas = this.nodes.length - primaries;
    await this.everyNode(
      'all nodes know who is a replica',
      (seen) => seen.filter(({ flags }) => flags.includes('slave')).length === replicas,
    );
    for (const node of this.nodes) await isServing(node);
    for (const replica of this.nodes.slice(primaries)) await hasCaughtUp(replica);
  }

  async primaryOf(slot: number): Promise<ClusterNode> {
    return waitFor(`a primary of slot ${slot}`, () => this.servingSlot(slot));
  }

  async slotsOf(keys: readonly string[]): Promise<number[]> {
    const questions = keys.map((key) => ['CLUSTER', 'KEYSLOT', key]);
    const [node] = await this.answering();
    return (await all(node!, questions)).map(Number);
  }

  async replicasOf(primary: ClusterNode): Promise<ClusterNode[]> {
    const seen = await view(primary);
    return seen.filter(({ primaryId }) => primaryId === primary.id).map(({ id }) => this.node(id));
  }

  async kill(primary: ClusterNode): Promise<Failover> {
    const slot = await firstSlotOf(primary);
    const killedAtMs = performance.now();
    await primary.kill();
    const promoted = await this.otherPrimaryOf(slot, primary);
    return { promoted, tookMs: performance.now() - killedAtMs };
  }

  async failOver(primary: ClusterNode): Promise<Failover> {
    const failover = await this.kill(primary);
    await primary.start();
    await hasCaughtUp(primary);
    await waitUntil('the others know the new replica', async () =>
      (await this.replicasOf(failover.promoted)).includes(primary),
    );
    return failover;
  }

  async promotion(primary: ClusterNode): Promise<ClusterNode> {
    const views = await Promise.all(this.nodes.filter((node) => node !== primary).map(view));
    const lost = views.flat().find(({ id, slots }) => id === primary.id && slots.length > 0);
    // Without slots of its own it has been replaced already.
    const slot = lost?.slots[0]?.first;
    if (slot === undefined) throw new Error('nobody knows a slot of this node any more');
    return this.otherPrimaryOf(slot, primary);
  }

  async isolate(primary: ClusterNode): Promise<ClusterNode> {
    const slot = await firstSlotOf(primary);
    const [replica] = await this.replicasOf(primary);
    if (replica === undefined) throw new Error('it has no replica that could take over');
    // A node that was told to forget another ignores whatever it says for a minute.
    const others = this.nodes.filter((node) => node !== primary);
    await all(
      primary,
      others.map(({ id }) => ['CLUSTER', 'FORGET', id]),
    );
    await replica.command('CLUSTER', 'FAILOVER', 'TAKEOVER');
    return this.otherPrimaryOf(slot, primary);
  }

  async moveSlots({ first, last }: SlotRange, from: ClusterNode, to: ClusterNode): Promise<void> {
    const primaries = await this.primaries();
    const others = primaries.filter((node) => node !== from && node !== to);
    for (let begin = first; begin <= last; begin += movedAtOnce) {
      const slots = range(begin, Math.min(last, begin + movedAtOnce - 1));
      const setSlot = (...what: string[]) =>
        slots.map((slot) => ['CLUSTER', 'SETSLOT', String(slot), ...what]);
      await all(to, setSlot('IMPORTING', from.id));
      await all(from, setSlot('MIGRATING', to.id));
      for (const slot of slots) await moveKeys(slot, from, to);
      // The new owner first: until it knows, nobody would serve the slot.
      for (const node of [to, from, ...others]) await all(node, setSlot('NODE', to.id));
    }
  }

  async addNode(): Promise<ClusterNode> {
    const node = await startNode(this.options);
    const present = await this.answering();
    this.nodes.push(node);
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', String(this.nodes.length + 1_000));
    await introduce(node, present);
    await this.everyNode('all nodes know the new one', (seen) => this.areAllConnected(seen), [
      ...present,
      node,
    ]);
    await isServing(node);
    return node;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  private node(id: string): ClusterNode {
    const node = this.nodes.find((candidate) => candidate.id === id);
    if (node === undefined) throw new Error(`${id} is no node of this cluster`);
    return node;
  }

  private otherPrimaryOf(slot: number, than: ClusterNode): Promise<ClusterNode> {
    return waitFor(`another primary of slot ${slot}`, async () => {
      const node = await this.servingSlot(slot);
      return node === than ? undefined : node;
    });
  }

  /** Who says of itself that it serves a slot; the one with the newest configuration if there are several. */
  private async servingSlot(slot: number): Promise<ClusterNode | undefined> {
    const found = (await this.selves()).filter(({ self }) => serves(self, slot));
    found.sort((one, other) => other.self.configEpoch - one.self.configEpoch);
    return found[0]?.node;
  }

  private async primaries(): Promise<ClusterNode[]> {
    return (await this.selves()).filter(({ self }) => self.flags.includes('master')).map(({ node }) => node);
  }

  private async answering(): Promise<ClusterNode[]> {
    return (await this.selves()).map(({ node }) => node);
  }

  /** What each node that answers says of itself. */
  private async selves(): Promise<{ node: ClusterNode; self: SeenNode }[]> {
    const answers = await Promise.all(
      this.nodes.map(async (node) => {
        const self = (await view(node)).find(({ flags }) => flags.includes('myself'));
        return self === undefined ? [] : [{ node, self }];
      }),
    );
    return answers.flat();
  }

  private areAllConnected(seen: readonly SeenNode[]): boolean {
    const alive = seen.filter(({ flags }) => !flags.includes('fail'));
    return (
      seen.length === this.nodes.length &&
      alive.every(({ connected, flags }) => connected && !flags.includes('handshake'))
    );
  }

  private async everyNode(
    what: string,
    condition: (seen: readonly SeenNode[]) => boolean,
    nodes: readonly ClusterNode[] = this.nodes,
  ): Promise<void> {
    for (const node of nodes) await waitUntil(what, async () => condition(await view(node)));
  }
}

/** What a node knows of all nodes; nothing if it does not answer. */
async function view(node: ClusterNode): Promise<SeenNode[]> {
  try {
    const [nodes] = await node.commands([['CLUSTER', 'NODES']], viewTimeoutMs);
    return nodes instanceof Error ? [] : parseNodes(String(nodes));
  } catch {
    return [];
  }
}

async function firstSlotOf(primary: ClusterNode): Promise<number> {
  const self = (await view(primary)).find(({ flags }) => flags.includes('myself'));
  const slot = self?.slots[0]?.first;
  if (slot === undefined) throw new Error(`the node on port ${primary.port} serves no slot`);
  return slot;
}

async function isServing(node: ClusterNode): Promise<void> {
  await waitUntil('the cluster is complete', async () =>
    String(await node.command('CLUSTER', 'INFO')).includes('cluster_state:ok'),
  );
}

async function introduce(node: ClusterNode, others: readonly ClusterNode[]): Promise<void> {
  await all(
    node,
    others.map(({ port, otherPorts }) => [
      ...['CLUSTER', 'MEET', '127.0.0.1', String(port), String(otherPorts[busPort])],
    ]),
  );
}

async function moveKeys(slot: number, from: ClusterNode, to: ClusterNode): Promise<void> {
  for (;;) {
    const keys = await from.command('CLUSTER', 'GETKEYSINSLOT', String(slot), String(movedAtOnce));
    if (!Array.isArray(keys) || keys.length === 0) return;
    const target = ['127.0.0.1', String(to.port), '', '0', '5000', 'KEYS'];
    await from.command('MIGRATE', ...target, ...keys.map(String));
  }
}

/** Runs commands on a node. An error reply is thrown. */
async function all(node: ClusterNode, commands: readonly (readonly string[])[]): Promise<RespValue[]> {
  if (commands.length === 0) return [];
  return (await node.commands(commands)).map((reply) => {
    if (reply instanceof Error) throw reply;
    return reply;
  });
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
