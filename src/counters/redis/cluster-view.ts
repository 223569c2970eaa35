/** What the nodes of a cluster say of who serves which slots. Views differ while the cluster changes, or is split. */

import { RedisConnection } from './connection.js';
import { type Address, addressText, isAddress, mapped } from './node-settings.js';
import { clusterSlots } from './slots.js';
import type { ClusterTarget } from './targets.js';

/** Longest that a node may take to say what it knows, in milliseconds: others are asked at the same time. */
const viewTimeoutMs = 1_000;

/** A primary, and some of the slots that it serves, as one node sees it. */
export interface ServedRange {
  readonly first: number;
  readonly last: number;
  /** The node id of the primary. */
  readonly id: string;
  readonly address: Address;
}

/** How one node sees the cluster. */
export interface ClusterView {
  readonly ranges: readonly ServedRange[];
  /** Every node that is named, replicas included. */
  readonly nodes: readonly Address[];
}

/** A node that can be asked: over the connection that there is, or one of its own. */
export interface Source {
  readonly address: Address;
  readonly connection: RedisConnection | undefined;
}

export type ViewAnswer = { readonly view: ClusterView } | { readonly failure: unknown };

/** The primary of a slot in a view. */
export function servedBy(view: ClusterView, slot: number): ServedRange | undefined {
  return view.ranges.find(({ first, last }) => first <= slot && slot <= last);
}

/** The ids of all primaries in a view that serve slots. */
export function primaryIds(view: ClusterView): ReadonlySet<string> {
  return new Set(view.ranges.map(({ id }) => id));
}

/** The view that most answers give; of several the one with the most slots. Undefined when nobody answered. */
export function prevailing(answers: readonly ViewAnswer[]): { view: ClusterView; votes: number } | undefined {
  const byText = new Map<string, { view: ClusterView; votes: number }>();
  for (const answer of answers) {
    if (!('view' in answer)) continue;
    const { view } = answer;
    const text = view.ranges.map(({ first, last, id }) => `${first}-${last} ${id}`).join();
    const known = byText.get(text);
    if (known === undefined) byText.set(text, { view, votes: 1 });
    else known.votes += 1;
  }
  const ranked = [...byText.values()].sort(
    (one, other) => other.votes - one.votes || slotsIn(other.view) - slotsIn(one.view),
  );
  return ranked[0];
}

/**
 * Asks nodes for their views, all at once.
 *
 * @param isEnough - told of the answers so far; when it says so, the others are not waited for
 */
export function askViews(
  target: ClusterTarget,
  sources: readonly Source[],
  isEnough: (answers: readonly ViewAnswer[]) => boolean = () => false,
): Promise<readonly ViewAnswer[]> {
  const answers: ViewAnswer[] = [];
  if (sources.length === 0) return Promise.resolve(answers);
  return new Promise((resolve) => {
    for (const source of sources) {
      void askView(target, source).then((answer) => {
        answers.push(answer);
        if (answers.length === sources.length || isEnough(answers)) resolve([...answers]);
      });
    }
  });
}

async function askView(target: ClusterTarget, source: Source): Promise<ViewAnswer> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    const endpoint = addressText(source.address);
    timer = setTimeout(
      () => reject(new Error(`${endpoint} did not answer within ${viewTimeoutMs} ms`)),
      viewTimeoutMs,
    );
  });
  try {
    const reply = await Promise.race([clusterSlotsOf(target, source), tooLate]);
    return { view: readView(reply, source.address, target) };
  } catch (failure) {
    return { failure };
  } finally {
    clearTimeout(timer);
  }
}

async function clusterSlotsOf(target: ClusterTarget, { address, connection }: Source): Promise<unknown> {
  if (connection !== undefined) return connection.call(['CLUSTER', 'SLOTS']);
  const { connectTimeoutMs, replyTimeoutMs, ...node } = target.nodeAt(address);
  const settings = {
    ...node,
    connectTimeoutMs: Math.min(connectTimeoutMs, viewTimeoutMs),
    replyTimeoutMs: Math.min(replyTimeoutMs, viewTimeoutMs),
  };
  const own = await RedisConnection.open(settings, () => undefined);
  try {
    return await own.call(['CLUSTER', 'SLOTS']);
  } finally {
    own.destroy(new Error('it has answered'));
  }
}

/** Reads the reply to `CLUSTER SLOTS`: first slot, last slot, primary, replicas; each node its host, port and id. */
function readView(reply: unknown, asked: Address, target: ClusterTarget): ClusterView {
  if (!Array.isArray(reply)) throw unexpected('no list');
  const nodes = new Map<string, Address>();
  const ranges: ServedRange[] = [];
  for (const entry of reply as unknown[]) {
    if (!Array.isArray(entry)) throw unexpected('an entry that is no list');
    const [first, last, ...servers] = entry as unknown[];
    if (!isSlot(first) || !isSlot(last) || first > last)
      throw unexpected('a range that is no range of slots');
    const read = servers.map((server) => readNode(server, asked, target));
    for (const node of read) if (node !== undefined) nodes.set(addressText(node.address), node.address);
    const [primary] = read;
    if (primary !== undefined) ranges.push({ first, last, ...primary });
  }
  ranges.sort((one, other) => one.first - other.first);
  return { ranges, nodes: [...nodes.values()] };
}

/**
 * A node that does not know its own address says none, or `?`: it is the one that was asked. Undefined for one that nobody
 * can connect to: then its slots are served by nobody, and the other nodes are of use all the same.
 */
function readNode(
  server: unknown,
  asked: Address,
  target: ClusterTarget,
): { readonly id: string; readonly address: Address } | undefined {
  if (!Array.isArray(server)) throw unexpected('a node that is no list');
  const [host, port, id] = server as unknown[];
  const isNamed = typeof host === 'string' && host !== '' && host !== '?';
  const address = { host: isNamed ? host : asked.host, port };
  if (!isAddress(address) || typeof id !== 'string') return undefined;
  return { id, address: isNamed ? mapped(target.addressMap, address) : address };
}

function isSlot(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < clusterSlots;
}

/** What was found is not repeated: it may be anything. */
function unexpected(what: string): Error {
  return new Error(`the reply to CLUSTER SLOTS has ${what}`);
}

function slotsIn({ ranges }: ClusterView): number {
  const served = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return Math.min(served, clusterSlots);
}
