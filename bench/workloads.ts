/** Which conversation gets the next number, and how many calls are under way. */

import type { PeerName } from './peers.js';

export interface Workload {
  readonly title: string;
  /** 0: as many as the command line says. */
  readonly conversations: number;
  /** 0: as many as the command line says. */
  readonly underWay: number;
  readonly distribution: 'uniform' | 'zipf';
  /** What is measured, and what beside it. */
  readonly peers: readonly [tested: PeerName, beside: PeerName];
  /** So many primaries has the cluster that the tested peer uses; 0: both peers use the same Redis. */
  readonly clusterPrimaries: number;
}

const asAsked = {
  conversations: 0,
  underWay: 0,
  distribution: 'uniform',
  peers: ['tidemark', 'incr'],
  clusterPrimaries: 0,
} as const;

export const workloads = {
  uniform: { ...asAsked, title: 'every conversation equally often' },
  hot: { ...asAsked, title: 'one conversation', conversations: 1 },
  zipf: { ...asAsked, title: 'few conversations often, most seldom (Zipf, 0.99)', distribution: 'zipf' },
  light: { ...asAsked, title: 'every conversation equally often, 10 calls under way', underWay: 10 },
  single: { ...asAsked, title: 'every conversation equally often, one call at a time', underWay: 1 },
  embedded: {
    ...asAsked,
    title: 'every conversation equally often, Tidemark embedded',
    peers: ['embedded', 'incr'],
  },
  'message-ids': {
    ...asAsked,
    title: 'a message id with every call, beside calls without',
    peers: ['message-ids', 'tidemark'],
  },
  tracked: {
    ...asAsked,
    title: 'every number taken and settled, beside plain calls',
    peers: ['tracked', 'tidemark'],
  },
  cluster: {
    ...asAsked,
    title: 'every conversation equally often, a cluster of three primaries, beside one primary',
    peers: ['cluster', 'tidemark'],
    clusterPrimaries: 3,
  },
  'one-primary-cluster': {
    ...asAsked,
    title: 'every conversation equally often, a cluster of one primary, beside one that is none',
    peers: ['cluster', 'tidemark'],
    clusterPrimaries: 1,
  },
} as const satisfies Record<string, Workload>;

export type WorkloadName = keyof typeof workloads;

const zipfExponent = 0.99;
/** So many picks are drawn before the run and then repeated: drawing one takes a search. */
const zipfPicks = 1 << 22;

/** Picks the index of the next conversation. The same seed gives the same picks. */
export function picker(
  distribution: Workload['distribution'],
  conversations: number,
  seed: number,
): () => number {
  if (conversations === 1) return () => 0;
  const random = randomUint32(seed);
  if (distribution === 'uniform') return () => random() % conversations;
  const picks = zipf(conversations, random);
  let at = 0;
  return () => {
    at = (at + 1) % zipfPicks;
    return picks[at]!;
  };
}

function zipf(conversations: number, random: () => number): Uint32Array {
  const upTo = new Float64Array(conversations);
  let total = 0;
  for (let index = 0; index < conversations; index += 1) {
    total += 1 / (index + 1) ** zipfExponent;
    upTo[index] = total;
  }
  const picks = new Uint32Array(zipfPicks);
  for (let pick = 0; pick < zipfPicks; pick += 1) {
    const wanted = (random() / 2 ** 32) * total;
    let low = 0;
    let high = conversations - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (upTo[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    picks[pick] = low;
  }
  return picks;
}

/** Mulberry32: integers from 0 to 2^32 − 1. */
export function randomUint32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
