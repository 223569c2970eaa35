/** What is measured, and what beside it. */

import type { PeerName } from './clients/peers.js';
import type { Distribution } from './clients/picks.js';

/** The load of redis-benchmark is no client process; see redis-benchmark.ts. */
export type MeasuredName = PeerName | 'redis-benchmark';

/** Rounds of calls of each peer, in turn. */
export interface CallWorkload {
  readonly kind: 'calls';
  readonly title: string;
  readonly peers: readonly MeasuredName[];
  readonly distribution: Distribution;
  /** Undefined: as many as the command line says. */
  readonly conversations?: readonly number[];
  /** Undefined: as many as the command line says. */
  readonly underWay?: readonly number[];
  /** Numbers of one call. */
  readonly batch: number;
  /** Each round uses conversations that were never used before, once each. */
  readonly isFirstUse: boolean;
}

/** Anything else has a program of its own. */
export interface OtherWorkload {
  readonly kind: 'cold-start' | 'doors' | 'private-chats';
  readonly title: string;
}

export type Workload = CallWorkload | OtherWorkload;

const calls = { kind: 'calls', distribution: 'uniform', batch: 1, isFirstUse: false } as const;
const withClients = ['tidemark', 'incr', 'ioredis'] as const;

export const workloads = {
  uniform: {
    ...calls,
    title: 'every conversation equally often',
    peers: [...withClients, 'redis-benchmark', 'mysql', 'block-sequence', 'harness'],
  },
  zipf: {
    ...calls,
    title: 'few conversations often, most seldom (Zipf, exponent 1.1)',
    peers: withClients,
    distribution: 'zipf',
  },
  hot: {
    ...calls,
    title: 'one conversation',
    peers: [...withClients, 'redis-benchmark', 'mysql', 'block-sequence'],
    conversations: [1],
  },
  light: { ...calls, title: '10 calls under way', peers: withClients, underWay: [10] },
  single: { ...calls, title: 'one call at a time', peers: withClients, underWay: [1] },
  batch: { ...calls, title: '100 numbers with each call', peers: ['tidemark', 'incr'], batch: 100 },
  'message-ids': {
    ...calls,
    title: 'a message id with every call, beside calls without',
    peers: ['message-ids', 'tidemark'],
  },
  tracked: {
    ...calls,
    title: 'every number taken and settled, beside plain calls',
    peers: ['tracked', 'tidemark'],
  },
  new: {
    ...calls,
    title: 'conversations that are used for the first time',
    peers: ['tidemark', 'incr'],
    isFirstUse: true,
  },
  cluster: {
    ...calls,
    title: 'a cluster of three primaries, beside one server',
    peers: ['cluster', 'incr-cluster', 'incr'],
  },
  embedded: { ...calls, title: 'without servers', peers: ['embedded', 'incr'] },
  'embedded-hot': {
    ...calls,
    title: 'without servers, one conversation',
    peers: ['embedded', 'incr'],
    conversations: [1],
  },
  'cold-start': { kind: 'cold-start', title: 'every conversation once, after Redis has lost everything' },
  concurrency: {
    ...calls,
    title: '1 to 10,000 calls under way',
    peers: withClients,
    underWay: [1, 10, 100, 1_000, 10_000],
  },
  words: {
    ...calls,
    title: '1,000 to 10,000,000 conversations',
    peers: ['tidemark', 'incr'],
    conversations: [1_000, 10_000, 100_000, 1_000_000, 10_000_000],
  },
  doors: { kind: 'doors', title: 'the three doors of the server, embedded, beside redis-server' },
  'private-chats': {
    kind: 'private-chats',
    title: 'ledger writes of chats with few messages: computed, not measured',
  },
} as const satisfies Record<string, Workload>;

export type WorkloadName = keyof typeof workloads;

export const workloadNames = Object.keys(workloads) as readonly WorkloadName[];
