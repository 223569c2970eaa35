/** Who makes a gRPC call, and how long it may take. */

import type { Metadata } from '@grpc/grpc-js';
import { maxTimeoutMs } from '../../core/options.js';
import { TidemarkError } from '../../errors.js';
import type { Access, Client } from '../access.js';
import type { Caller } from '../service.js';

/** What there is of a call of grpc-js, unary or not. */
export interface IncomingCall {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  getDeadline(): Date | number;
  once(event: 'cancelled', listener: () => void): unknown;
}

/** @throws TidemarkError `unauthenticated` */
export function clientOf(call: IncomingCall, access: Access): Client {
  const [header] = call.metadata.get('authorization');
  return access.clientOfHeader(header === undefined ? undefined : String(header));
}

/**
 * The time that is left of a call; undefined where it has no deadline.
 *
 * @throws TidemarkError `deadline_exceeded`
 */
export function timeLeftMs(call: IncomingCall): number | undefined {
  const deadlineMs = Number(call.getDeadline());
  if (!Number.isFinite(deadlineMs)) return undefined;
  const leftMs = Math.ceil(deadlineMs - Date.now());
  if (leftMs > 0) return Math.min(leftMs, maxTimeoutMs);
  throw new TidemarkError(
    'deadline_exceeded',
    'the deadline of the call had passed when it came; give it more time',
  );
}

export function makeCaller(client: Client, signal: AbortSignal, timeoutMs: number | undefined): Caller {
  return { client, door: 'grpc', signal, ...(timeoutMs !== undefined && { timeoutMs }) };
}

/** Aborts when the client gives the call up, or is gone. */
export function signalOf(call: IncomingCall): AbortSignal {
  const controller = new AbortController();
  call.once('cancelled', () => controller.abort(new Error('the client gave the call up')));
  if (call.cancelled) controller.abort(new Error('the client gave the call up'));
  return controller.signal;
}
