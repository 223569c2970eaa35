import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionChange } from '../../core/counter-store.js';
import { askViews, type ClusterView, prevailing, primaryIds, type Source, servedBy } from './cluster-view.js';
import type { RedisConnection } from './connection.js';
import { closed, explainClusterTrouble, isOutOfPlace, movedTo, unavailable } from './failures.js';
import type { Histories } from './histories.js';
import { RedisLink } from './link.js';
import { type Address, addressText } from './node-settings.js';
import type { Primaries } from './primaries.js';
import type { PrimaryOpener } from './primary-opener.js';
import { clusterSlots, slotOfConversation } from './slots.js';
import type { ClusterTarget } from './targets.js';

/** Least time between the beginnings of two looks at the cluster, in milliseconds. */
const minRefreshIntervalMs = 100;
/** How often the cluster is looked at when nothing asks for it, and after a look that found nobody, in milliseconds. */
const refreshIntervalMs = 5_000;
const retryIntervalMs = 250;
/** Nodes that are asked in one look. With three, one that was cut off from the others does not prevail. */
const sourcesPerLook = 3;
/** How often a recall looks whether its slot is served again, in milliseconds. */
const upPollMs = 20;
/** Answers to a confirmation are used again for so long, in milliseconds. */
const sharedForMs = 100;

/** A primary, or what was one a moment ago. */
interface Node {
  readonly address: Address;
  readonly link: RedisLink;
}

/**
 * The primaries of a cluster, and which slots they serve.
 *
 * The map of the slots follows what nodes say: at the start, every few seconds, and as soon as a call shows that it is out of
 * date. It need not be right: a node that does not serve a slot says so (MOVED), and one with another history lets nothing
 * run (I4). One connection for each primary; never a redirect, never a command that is sent again.
 */
export class ClusterPrimaries implements Primaries {
  readonly slots = clusterSlots;
  readonly slotOf = slotOfConversation;
  readonly #target: ClusterTarget;
  readonly #opener: PrimaryOpener;
  readonly #histories: Histories;
  readonly #closing = new AbortController();
  readonly #owners = new Array<Node | undefined>(clusterSlots).fill(undefined);
  readonly #nodes = new Map<string, Node>();
  #view: ClusterView | undefined;
  #refreshing: Promise<void> | undefined;
  #refreshedAtMs = Number.NEGATIVE_INFINITY;
  #next: NodeJS.Timeout | undefined;
  /** Why the last look found nobody; undefined after one that did. */
  #trouble: Error | undefined;
  #isUp: boolean | undefined;
  #listener: (change: ConnectionChange) => void = () => undefined;
  #poll: { readonly atMs: number; readonly views: Promise<readonly ClusterView[]> } | undefined;

  constructor(target: ClusterTarget, opener: PrimaryOpener, histories: Histories) {
    this.#target = target;
    this.#opener = opener;
    this.#histories = histories;
    // Each recall that waits for its slot listens to it.
    setMaxListeners(0, this.#closing.signal);
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  current(slot: number): RedisConnection | undefined {
    return this.#owners[slot]?.link.current;
  }

  async connection(slot: number): Promise<RedisConnection> {
    if (this.isClosed) throw closed();
    if (this.#owners[slot] === undefined) await this.#findOwner(slot);
    const node = this.#owners[slot];
    if (node === undefined) throw this.#unavailable(new Error(`nobody serves slot ${slot}`));
    try {
      return await node.link.connection();
    } catch (error) {
      // Meanwhile the slot may have got another primary.
      this.#refreshSoon();
      throw error;
    }
  }

  async whenUp(slot: number): Promise<RedisConnection> {
    for (;;) {
      try {
        return await this.connection(slot);
      } catch {
        await this.pause(upPollMs);
      }
    }
  }

  async pause(delayMs: number): Promise<void> {
    await sleep(delayMs, undefined, { signal: this.#closing.signal }).catch(() => {
      throw closed();
    });
  }

  moved(slot: number, connection: RedisConnection, error: unknown): boolean {
    if (isOutOfPlace(error)) this.#refreshSoon();
    const to = movedTo(error);
    if (to === undefined || this.isClosed) return false;
    const owner = this.#owners[slot];
    // What an earlier primary says does not count any more.
    if (owner !== undefined && owner.link.current !== connection) return true;
    const { host, port } = to;
    if (host !== '') this.#owners[slot] = this.#node(this.#target.addressMap({ host, port }));
    else if (owner !== undefined) this.#owners[slot] = this.#node({ host: owner.address.host, port });
    return true;
  }

  /** More than half of all primaries, those out of reach included, must name the same one; and it must have this history. */
  async confirms(slot: number, history: string): Promise<boolean> {
    if (this.isClosed) throw closed();
    if (this.#view === undefined) await this.#refresh();
    const views = await this.#askPrimaries();
    const votes = new Map<string, { readonly address: Address; count: number }>();
    let primaries = primaryIds(this.#view!).size;
    for (const view of views) {
      primaries = Math.max(primaries, primaryIds(view).size);
      const served = servedBy(view, slot);
      if (served === undefined) continue;
      const known = votes.get(served.id);
      if (known === undefined) votes.set(served.id, { address: served.address, count: 1 });
      else known.count += 1;
    }
    const elected = [...votes.values()].find(({ count }) => count * 2 > primaries);
    if (elected === undefined) return false;
    const node = this.#node(elected.address);
    this.#owners[slot] = node;
    try {
      return (await this.#histories.of(await node.link.connection())).id === history;
    } catch {
      return false;
    }
  }

  onChange(listener: (change: ConnectionChange) => void): void {
    this.#listener = listener;
  }

  async close(lastWords: (connection: RedisConnection) => Promise<unknown>): Promise<void> {
    clearTimeout(this.#next);
    const connections = [...this.#nodes.values()].flatMap(({ link }) => link.current ?? []);
    await Promise.allSettled(connections.map(lastWords));
    this.#closing.abort();
    clearTimeout(this.#next);
    for (const { link } of this.#nodes.values()) link.close();
  }

  async #findOwner(slot: number): Promise<void> {
    if (this.#trouble === undefined) return this.#refresh();
    // Known to be out of reach.
    this.#refreshSoon();
    if (this.#owners[slot] === undefined) throw this.#unavailable(this.#trouble);
  }

  #refreshSoon(): void {
    this.#refresh().catch(() => undefined);
  }

  /** Looks at the cluster, one look at a time. @throws TidemarkError when nobody answers */
  #refresh(): Promise<void> {
    this.#refreshing ??= this.#look().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async #look(): Promise<void> {
    const waitMs = this.#refreshedAtMs + minRefreshIntervalMs - performance.now();
    if (waitMs > 0) await this.pause(waitMs);
    if (this.isClosed) throw closed();
    this.#refreshedAtMs = performance.now();
    try {
      const view = await this.#findView();
      if (this.isClosed) return;
      this.#trouble = undefined;
      this.#apply(view);
      if (this.#isUp === false)
        for (const { link } of this.#nodes.values()) link.connection().catch(() => undefined);
    } catch (error) {
      if (this.isClosed) throw closed();
      this.#trouble = explainClusterTrouble(this.#target.endpoint, error);
      this.#reportDown(this.#trouble);
      throw this.#trouble;
    } finally {
      this.#lookAgainLater();
    }
  }

  #lookAgainLater(): void {
    clearTimeout(this.#next);
    if (this.isClosed) return;
    const delayMs = this.#trouble === undefined ? refreshIntervalMs : retryIntervalMs;
    this.#next = setTimeout(() => this.#refreshSoon(), delayMs);
    // Connections keep the process alive; without one, the look for the cluster does.
    if (this.#trouble === undefined) this.#next.unref();
  }

  /** Asks some nodes, and more of them when none of those answers. */
  async #findView(): Promise<ClusterView> {
    const sources = this.#sources();
    let failure: unknown = new Error('there is no node to ask');
    for (let at = 0; at < sources.length; at += sourcesPerLook) {
      const asked = sources.slice(at, at + sourcesPerLook);
      const answers = await askViews(this.#target, asked, (some) => {
        return (prevailing(some)?.votes ?? 0) * 2 > asked.length;
      });
      const found = prevailing(answers);
      if (found !== undefined && found.view.ranges.length > 0) return found.view;
      for (const answer of answers) if ('failure' in answer) failure = answer.failure;
    }
    throw failure;
  }

  /** Nodes that can be asked: those with a connection first, then other primaries, replicas, and those that were given. */
  #sources(): readonly Source[] {
    const sources = new Map<string, Source>();
    const add = (address: Address, connection?: RedisConnection): void => {
      const name = addressText(address);
      if (!sources.has(name)) sources.set(name, { address, connection });
    };
    const nodes = shuffled([...this.#nodes.values()]);
    for (const { address, link } of nodes) if (link.current !== undefined) add(address, link.current);
    for (const { address } of shuffled(this.#view?.ranges ?? [])) add(address);
    for (const address of shuffled(this.#view?.nodes ?? [])) add(address);
    for (const address of this.#target.seeds) add(address);
    return [...sources.values()];
  }

  #apply(view: ClusterView): void {
    this.#view = view;
    const serving = new Set<Node>();
    this.#owners.fill(undefined);
    for (const { first, last, address } of view.ranges) {
      const node = this.#node(address);
      serving.add(node);
      this.#owners.fill(node, first, last + 1);
    }
    for (const [name, node] of this.#nodes) {
      if (serving.has(node)) continue;
      this.#nodes.delete(name);
      void this.#retire(node);
    }
  }

  /** Answers come in order: behind this one nothing is under way there. */
  async #retire({ link }: Node): Promise<void> {
    await link.current?.call(['TIME']).catch(() => undefined);
    link.close(this.#unavailable(new Error('the node serves no slot any more')));
  }

  #node(address: Address): Node {
    const name = addressText(address);
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    const { endpoint } = this.#target.nodeAt(address);
    const link = new RedisLink(endpoint, (onEnd) => this.#open(node, onEnd));
    const node: Node = { address, link };
    link.onChange((change) => this.#changed(change));
    this.#nodes.set(name, node);
    return node;
  }

  #open(node: Node, onEnd: (cause: unknown) => void): Promise<RedisConnection> {
    // Not always the same one: a slot that is being moved lets nobody write.
    const start = Math.floor(Math.random() * clusterSlots);
    const served = this.#owners.indexOf(node, start);
    const slot = served < 0 ? this.#owners.indexOf(node) : served;
    if (slot < 0) throw this.#unavailable(new Error(`${addressText(node.address)} serves no slot`));
    return this.#opener.open(this.#target.nodeAt(node.address), slot, onEnd);
  }

  #changed(change: ConnectionChange): void {
    if (change.status === 'up') {
      this.#isUp = true;
      this.#listener(change);
      return;
    }
    this.#refreshSoon();
    this.#reportDown(change.cause);
  }

  #reportDown(cause: unknown): void {
    if (this.#isUp === false || [...this.#nodes.values()].some(({ link }) => link.current !== undefined))
      return;
    this.#isUp = false;
    this.#listener({ status: 'down', cause });
  }

  /** The views of all primaries that the newest map knows. */
  #askPrimaries(): Promise<readonly ClusterView[]> {
    const nowMs = performance.now();
    if (this.#poll !== undefined && nowMs - this.#poll.atMs < sharedForMs) return this.#poll.views;
    const addresses = new Map(this.#view!.ranges.map(({ id, address }) => [id, address]));
    const sources = [...addresses.values()].map((address) => {
      return { address, connection: this.#nodes.get(addressText(address))?.link.current };
    });
    const views = askViews(this.#target, sources).then((answers) =>
      answers.flatMap((answer) => ('view' in answer ? [answer.view] : [])),
    );
    this.#poll = { atMs: nowMs, views };
    return views;
  }

  #unavailable(cause: Error): ReturnType<typeof unavailable> {
    return unavailable(this.#target.endpoint, cause);
  }
}

/** In another order each time, so that not all processes ask the same node. */
function shuffled<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item);
}
