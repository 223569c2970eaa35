import type { TidemarkEvent } from '../../../src/core/events.js';
import { openEmbedded, openTidemark } from '../../../src/open.js';
import type { ClientOptions } from '../client-process.js';
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
  const redis = { url: stores.redis!, replyTimeoutMs: notices.replyTimeoutMs };
  return openTidemark({ ...tuning, redis, mysql: stores.mysql! });
}
