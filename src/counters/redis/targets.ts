/** What the store can be pointed to: one primary, sentinels that name one, or a cluster. */

import type { RedisClientOptions } from 'redis';
import { quote } from '../../core/quote.js';
import {
  type Address,
  addressText,
  checkClient,
  invalid,
  isAddress,
  type NodeSettings,
  nodeAt,
} from './node-settings.js';

export type { Address } from './node-settings.js';

/** Gives another address for one that a server names: for networks that translate addresses. */
export type AddressMap = (address: Address) => Address;

/** Sentinels, and how to reach the servers that they watch. */
export interface SentinelOptions {
  /** The name that the sentinels know the primary by, such as `mymaster`. */
  readonly name: string;
  /** Some of the sentinels, 1 to 100; others are learned from these. */
  readonly nodes: readonly Address[];
  /** Of the sentinels, if they ask for a login. */
  readonly username?: string;
  readonly password?: string;
  /** TLS to the sentinels: true, or options of `tls.connect`. */
  readonly tls?: boolean | Readonly<Record<string, unknown>>;
  /** Options of node-redis for the servers: `username`, `password`, `database`, TLS in `socket`. */
  readonly client?: RedisClientOptions;
  /** Asked for every address that a sentinel names. */
  readonly addressMap?: AddressMap;
}

/** A cluster, by some of its nodes. */
export interface ClusterOptions {
  /** Some of the nodes, 1 to 100; the others are learned from these. */
  readonly nodes: readonly Address[];
  /** Options of node-redis for all nodes: `username`, `password`, TLS in `socket`. */
  readonly client?: RedisClientOptions;
  /** Asked for every address that a node names. */
  readonly addressMap?: AddressMap;
}

export type Target = StandaloneTarget | SentinelTarget | ClusterTarget;

export interface StandaloneTarget {
  readonly kind: 'standalone';
  readonly endpoint: string;
  readonly node: NodeSettings;
}

export interface SentinelTarget {
  readonly kind: 'sentinel';
  readonly endpoint: string;
  readonly name: string;
  readonly sentinels: readonly Address[];
  readonly sentinelAt: (address: Address) => NodeSettings;
  readonly nodeAt: (address: Address) => NodeSettings;
  readonly addressMap: AddressMap;
}

export interface ClusterTarget {
  readonly kind: 'cluster';
  readonly endpoint: string;
  readonly seeds: readonly Address[];
  readonly nodeAt: (address: Address) => NodeSettings;
  readonly addressMap: AddressMap;
}

const maxNodes = 100;
/** Longest that a sentinel may take to answer, in milliseconds: others are asked at the same time. */
const sentinelTimeoutMs = 1_000;

/** @throws TidemarkError `invalid_argument` */
export function sentinelTarget(options: SentinelOptions, replyTimeoutMs: number): SentinelTarget {
  const known = ['name', 'nodes', 'username', 'password', 'tls', 'client', 'addressMap'];
  checkShape('sentinel', options, known);
  const { name, nodes, username, password, tls, client = {}, addressMap = (address) => address } = options;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this pattern refuses.
  if (typeof name !== 'string' || name.length > 256 || !/^[^\u0000-\u001f\u007f-\u009f]+$/.test(name))
    throw invalid('sentinel.name must be the name of the primary, such as mymaster, 1 to 256 characters');
  for (const [option, value] of Object.entries({ username, password }))
    if (value !== undefined && typeof value !== 'string') throw invalid(`sentinel.${option} must be text`);
  const login = { ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
  const socket = {
    connectTimeout: sentinelTimeoutMs,
    ...(tls && { ...(tls !== true && tls), tls: true as const }),
  };
  const scheme = usesTls(client) ? 'rediss' : 'redis';
  return {
    kind: 'sentinel',
    endpoint: `${scheme}+sentinel://${nodes.map(addressText).join(',')}/${name}`,
    name,
    sentinels: nodes,
    sentinelAt: (address) =>
      nodeAt({ ...login, socket }, address, Math.min(replyTimeoutMs, sentinelTimeoutMs)),
    nodeAt: (address) => nodeAt(client, address, replyTimeoutMs),
    addressMap,
  };
}

/** @throws TidemarkError `invalid_argument` */
export function clusterTarget(options: ClusterOptions, replyTimeoutMs: number): ClusterTarget {
  checkShape('cluster', options, ['nodes', 'client', 'addressMap']);
  const { nodes, client = {}, addressMap = (address) => address } = options;
  if (client.database) throw invalid('a cluster has database 0 only; leave out cluster.client.database');
  const scheme = usesTls(client) ? 'rediss' : 'redis';
  return {
    kind: 'cluster',
    endpoint: `${scheme}+cluster://${nodes.map(addressText).join(',')}`,
    seeds: nodes,
    nodeAt: (address) => nodeAt(client, address, replyTimeoutMs),
    addressMap,
  };
}

function checkShape(
  name: 'sentinel' | 'cluster',
  options: SentinelOptions | ClusterOptions,
  known: readonly string[],
): void {
  if (typeof options !== 'object' || options === null)
    throw invalid(`${name} must be { nodes: [{ host, port }] }`);
  for (const key of Object.keys(options)) {
    if (!known.includes(key))
      throw invalid(`there is no option ${quote(key)} of ${name}; use ${known.join(', ')}`);
  }
  const { nodes, client, addressMap } = options;
  // A hole in the array is no address, and every() passes over it.
  if (
    !Array.isArray(nodes) ||
    nodes.length < 1 ||
    nodes.length > maxNodes ||
    !Array.from<unknown>(nodes).every(isAddress)
  )
    throw invalid(`${name}.nodes must be 1 to ${maxNodes} of { host, port }`);
  if (client !== undefined) checkClient(`${name}.client`, client);
  if (client?.url !== undefined || (client?.socket as { path?: unknown } | undefined)?.path !== undefined)
    throw invalid(
      `${name}.client must have neither url nor socket.path; the addresses are those of ${name}.nodes`,
    );
  if (addressMap !== undefined && typeof addressMap !== 'function')
    throw invalid(`${name}.addressMap must be a function from { host, port } to { host, port }`);
}

function usesTls(client: RedisClientOptions): boolean {
  return (client.socket as { tls?: boolean } | undefined)?.tls === true;
}
