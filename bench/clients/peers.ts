/** What is measured: Tidemark in its ways to be used, and what people use today. */

import type { Issued } from './call-loops.js';
import type { ClientSetup } from './messages.js';
import { clusterIncr, harness, incr, ioredisIncr } from './plain-peers.js';
import { blockSequence, mysqlRow } from './sql-peers.js';
import { embedded, tidemark, tracked, withMessageIds } from './tidemark-peers.js';

/** Something that issues numbers. Conversations are named by their index. */
export interface Peer {
  readonly next: (index: number) => Promise<Issued>;
  /** Absent where nobody measures it. */
  readonly nextMany?: (index: number, count: number) => Promise<Issued>;
  /** How often something noteworthy happened since the last call, by name; absent where nothing is told. */
  readonly takeEvents?: () => Record<string, number>;
  readonly close: () => Promise<void>;
}

export interface PeerKind {
  readonly title: string;
  readonly open: (setup: ClientSetup) => Promise<Peer>;
  readonly redis: 'none' | 'one' | 'cluster';
  readonly usesMysql: boolean;
  /** Slow ones get fewer calls under way and fewer conversations. */
  readonly maxUnderWay?: number;
  readonly maxConversations?: number;
}

/** A transaction for each number: what is more under way only waits. */
const slow = { maxUnderWay: 100, maxConversations: 10_000 };

export const peerKinds = {
  tidemark: { title: 'Tidemark', open: tidemark, redis: 'one', usesMysql: true },
  // The same: that it is a cluster is in the URL.
  cluster: { title: 'Tidemark, cluster', open: tidemark, redis: 'cluster', usesMysql: true },
  embedded: { title: 'Tidemark, embedded', open: embedded, redis: 'none', usesMysql: false },
  'message-ids': { title: 'Tidemark, message ids', open: withMessageIds, redis: 'one', usesMysql: true },
  tracked: { title: 'Tidemark, tracked', open: tracked, redis: 'one', usesMysql: true },
  incr: { title: 'node-redis INCR', open: incr, redis: 'one', usesMysql: false },
  'incr-cluster': {
    title: 'node-redis INCR, cluster',
    open: clusterIncr,
    redis: 'cluster',
    usesMysql: false,
  },
  ioredis: { title: 'ioredis INCR', open: ioredisIncr, redis: 'one', usesMysql: false },
  mysql: { title: 'a MySQL row', open: mysqlRow, redis: 'none', usesMysql: true, ...slow },
  'block-sequence': {
    title: 'block-sequence',
    open: blockSequence,
    redis: 'none',
    usesMysql: true,
    ...slow,
  },
  harness: { title: 'harness alone', open: harness, redis: 'none', usesMysql: false },
} as const satisfies Record<string, PeerKind>;

export type PeerName = keyof typeof peerKinds;

export function openPeer(setup: ClientSetup): Promise<Peer> {
  return peerKinds[setup.peer].open(setup);
}
