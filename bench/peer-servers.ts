/** The private servers of a benchmark: the same for both peers, or for the tested one a cluster of its own. */

import { startCluster } from '../test/support/cluster.js';
import { type MariaDbServer, type RedisServer, startMariaDb, startRedis } from '../test/support/servers.js';
import { mariaDbArgs } from './meters.js';
import type { Workload } from './workloads.js';

/** What one peer uses. */
export interface PeerServers {
  /** One, or every primary of a cluster. */
  readonly redis: readonly RedisServer[];
  readonly redisUrl: string;
  readonly mariaDb: MariaDbServer | undefined;
  /** The peer's database; undefined for peers without a ledger server. */
  readonly mysqlUrl: string | undefined;
}

export interface BenchServers {
  readonly tested: PeerServers;
  readonly beside: PeerServers;
  stop(): Promise<void>;
}

export async function startServers({ peers, clusterPrimaries }: Workload): Promise<BenchServers> {
  const redis = await startRedis();
  const mariaDb = peers[0] === 'embedded' ? undefined : await startMariaDb({ args: mariaDbArgs });
  const beside = { redis: [redis], redisUrl: redis.url, mariaDb, mysqlUrl: mariaDb?.url };
  const stopBoth = async () => {
    await Promise.all([redis.stop(), mariaDb?.stop()]);
  };
  if (clusterPrimaries === 0) return { tested: beside, beside, stop: stopBoth };
  // Redis' own timeout: a busy machine must not make a node look lost.
  const cluster = await startCluster({
    primaries: clusterPrimaries,
    replicasPerPrimary: 0,
    nodeTimeoutMs: 15_000,
  });
  // Two Redis data sets are two histories. In one ledger the newer one would fence the conversations of the older one.
  const mysqlUrl = await mariaDb?.createDatabase();
  return {
    tested: { redis: cluster.nodes, redisUrl: cluster.url, mariaDb, mysqlUrl },
    beside,
    stop: async () => {
      await Promise.all([stopBoth(), cluster.stop()]);
    },
  };
}
