/** The private servers of a peer. Each has a Redis of its own, and a database of its own in a MariaDB that all share. */

import { startCluster } from '../../test/support/cluster.js';
import { type MariaDbServer, type RedisServer, startRedis } from '../../test/support/servers.js';
import { type PeerKind, peerKinds } from '../clients/peers.js';
import type { MeasuredName } from '../workloads.js';

const clusterPrimaries = 3;
/** Redis' own default: a busy machine must not make a node look lost. */
const nodeTimeoutMs = 15_000;

/** What one peer uses. */
export interface PeerServers {
  /** None, one, or every primary of a cluster. */
  readonly redis: readonly RedisServer[];
  readonly redisUrl: string;
  readonly mariaDb: MariaDbServer | undefined;
  /** The peer's database; undefined for peers without one. */
  readonly mysqlUrl: string | undefined;
  stop(): Promise<void>;
}

export function usesMysql(name: MeasuredName): boolean {
  return name !== 'redis-benchmark' && peerKinds[name].usesMysql;
}

export async function startPeerServers(
  name: MeasuredName,
  sharedMariaDb: MariaDbServer | undefined,
): Promise<PeerServers> {
  const needs: PeerKind['redis'] = name === 'redis-benchmark' ? 'one' : peerKinds[name].redis;
  const mariaDb = usesMysql(name) ? sharedMariaDb : undefined;
  const mysqlUrl = await mariaDb?.createDatabase();
  const shared = { mariaDb, mysqlUrl };
  if (needs === 'none') return { ...shared, redis: [], redisUrl: '', stop: async () => undefined };
  if (needs === 'one') {
    const redis = await startRedis();
    return { ...shared, redis: [redis], redisUrl: redis.url, stop: () => redis.stop() };
  }
  const cluster = await startCluster({ primaries: clusterPrimaries, replicasPerPrimary: 0, nodeTimeoutMs });
  return { ...shared, redis: cluster.nodes, redisUrl: cluster.url, stop: () => cluster.stop() };
}
