/** What carries calls to a server. One for each way, HTTP and gRPC. */

import type { SequenceRange } from '../core/call.js';
import type { Explanation } from '../core/explanations.js';
import type { Gap } from '../core/ledger.js';
import { type ErrorCode, errorCodes, TidemarkError } from '../errors.js';

/** One call for numbers, as it goes into a batch. */
export interface NextItem {
  /** Key of the conversation. */
  readonly conversation: string;
  readonly count: number;
  readonly messageId: string | undefined;
}

/** Numbers that a server issued. */
export interface Issued extends SequenceRange {
  readonly repeated: boolean;
}

/** The calls beside those for plain numbers, each about one conversation: what they ask, and what comes back. */
export interface Calls {
  take: { ask: Omit<NextItem, 'conversation'>; answer: Issued & { readonly open: boolean } };
  settle: { ask: SequenceRange; answer: undefined };
  abandon: { ask: SequenceRange; answer: undefined };
  renew: { ask: SequenceRange; answer: undefined };
  current: { ask: undefined; answer: number };
  completeUpTo: { ask: undefined; answer: number };
  gaps: { ask: { from: number; to: number; limit: number }; answer: readonly Gap[] };
  explain: { ask: number; answer: Explanation };
}

export type Method = keyof Calls;

/** How long a call may take, and what gives it up. */
export interface Effort {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** A connection to one server. */
export interface Transport {
  /** Each item succeeds or fails by itself. */
  next(items: readonly NextItem[], effort: Effort): Promise<readonly (Issued | TidemarkError)[]>;
  call<M extends Method>(
    method: M,
    conversation: string,
    ask: Calls[M]['ask'],
    effort: Effort,
  ): Promise<Calls[M]['answer']>;
  close(): void;
}

/** Certificates of a client, as PEM. */
export interface ClientTls {
  /** Whom it trusts; the system's authorities where it is missing. */
  readonly ca?: string;
  /** Its own certificate and key, where the server wants one. */
  readonly cert?: string;
  readonly key?: string;
}

/** How to reach a server. */
export interface Target {
  readonly url: URL;
  readonly token: string | undefined;
  readonly tls: ClientTls;
}

/** No server answered. It may have done the call, unless it was certainly never sent. */
export class NoAnswer extends TidemarkError {
  constructor(
    url: URL,
    reason: string,
    readonly wasSent: boolean,
  ) {
    const outcome = wasSent ? 'the call may have been done' : 'the call was not done';
    super(
      'server_unavailable',
      `no answer from ${url.host} (${reason}); ${outcome}; see that a server runs there`,
    );
  }
}

/** What calls fail with once their client is closed. */
export function closedError(): TidemarkError {
  return new TidemarkError('closed', 'the client is closed; open a new one');
}

/** An error that a server told. Codes that this version does not know are faults. */
export function toldError(code: string, message: string, conversation: string | undefined): TidemarkError {
  const details = conversation === undefined ? {} : { conversation };
  if (!Object.hasOwn(errorCodes, code)) return new TidemarkError('internal', `${code}: ${message}`, details);
  const prefix = `${code}: `;
  const text = message.startsWith(prefix) ? message.slice(prefix.length) : message;
  return new TidemarkError(code as ErrorCode, text, details);
}
