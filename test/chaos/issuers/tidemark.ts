import type { TidemarkEvent } from '../../../src/core/events.js';
import type { SequenceGenerator } from '../../../src/core/sequence-generator.js';
import type { RedisCounterStoreOptions } from '../../../src/counters/redis/options.js';
import type { Address } from '../../../src/counters/redis/targets.js';
import { readUrl } from '../../../src/counters/redis/urls.js';
import { openEmbedded, openTidemark } from '../../../src/open.js';
import type { ClientOptions, ClientStores } from '../client-process.js';
import type { Issuer, IssuerNotices } from './issuer.js';

export async function openTidemarkIssuer(options: ClientOptions, notices: IssuerNotices): Promise<Issuer> {
  const { stores, workload, timeoutMs } = options;
  const onEvent = (event: TidemarkEvent) => {
    notices.onEvent(event.type);
    if (event.type === 'receipt_lost') notices.onReceiptLost(event.conversation, event.messageId);
  };
  const tuning = {
    timeoutMs,
    leaseMs: workload.leaseMs,
    fenceCheckMs: workload.fenceCheckMs,
    ledgerOutage: workload.ledgerOutage,
    ...(workload.idleAfterMs !== undefined && { idleAfterMs: workload.idleAfterMs }),
    reservation: {
      kind: 'adaptive',
      initial: workload.firstBlock,
      max: 4_500,
      growBelowMs: 60_000,
      shrinkAboveMs: 600_000,
    },
    onEvent,
  } as const;
  if (stores.folder !== undefined) return openEmbedded({ ...tuning, folder: stores.folder });
  const redis = { ...redisOf(stores), replyTimeoutMs: notices.replyTimeoutMs };
  return openTidemark({ ...tuning, redis, mysql: stores.mysql! });
}

/** A generator beside those of the clients, as an operator's command opens it. */
export function openForOperator(stores: ClientStores, timeoutMs: number): SequenceGenerator {
  return openTidemark({ redis: redisOf(stores), mysql: stores.mysql!, timeoutMs, ledgerOutage: 'refuse' });
}

/** The servers behind their proxies, wherever Sentinels or a cluster say that they are. */
function redisOf({ redis: url, proxies = {} }: ClientStores): RedisCounterStoreOptions {
  const addressMap = ({ host, port }: Address) => ({ host, port: proxies[port] ?? port });
  const { sentinel, cluster } = readUrl(url!);
  if (sentinel !== undefined) return { sentinel: { ...sentinel, addressMap } };
  if (cluster !== undefined)
    return { cluster: { ...cluster, nodes: cluster.nodes.map(addressMap), addressMap } };
  return { url: url! };
}
