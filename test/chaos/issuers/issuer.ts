/** What the clients of the campaign take numbers from: Tidemark, or what people use today. */

import type { SequenceRange } from '../../../src/core/call.js';
import type { Conversation } from '../../../src/core/conversation.js';
import type { CallOptions, MessageIdOptions } from '../../../src/core/options.js';
import type { MessageNumber } from '../../../src/core/receipts.js';
import type { TrackedTake } from '../../../src/core/tracked-take.js';
import type { ClientOptions } from '../client-process.js';
import { openIncrIssuer } from './incr.js';
import { openIncrSnapshotIssuer } from './incr-snapshot.js';
import { openIncrWaitIssuer } from './incr-wait.js';
import { openMySqlRowIssuer } from './mysql-row.js';
import { openTidemarkIssuer } from './tidemark.js';

/** One way to number messages. What it does not have is missing. */
export interface Issuer {
  nextMany(of: Conversation, count: number, options: CallOptions): Promise<SequenceRange>;
  next?(of: Conversation, options: MessageIdOptions): Promise<MessageNumber>;
  take?(
    of: Conversation,
    count: number,
    options: CallOptions & Partial<MessageIdOptions>,
  ): Promise<TrackedTake>;
  completeUpTo?(of: Conversation): Promise<number>;
  close(): Promise<void>;
}

export interface IssuerNotices {
  readonly replyTimeoutMs: number;
  readonly onEvent: (type: string) => void;
  readonly onReceiptLost: (conversation: string, messageId: string) => void;
}

type OpenIssuer = (options: ClientOptions, notices: IssuerNotices) => Promise<Issuer>;

const issuers = {
  incr: openIncrIssuer,
  'incr-snapshot': openIncrSnapshotIssuer,
  // The same clients: what differs is how Redis writes its file.
  'incr-aof-always': openIncrIssuer,
  'incr-wait': openIncrWaitIssuer,
  'mysql-row': openMySqlRowIssuer,
  tidemark: openTidemarkIssuer,
} satisfies Record<string, OpenIssuer>;

export type PeerName = keyof typeof issuers;

export function openIssuer(options: ClientOptions, notices: IssuerNotices): Promise<Issuer> {
  return issuers[options.issuer](options, notices);
}
