/** Who makes a gRPC call, and how long it may take. */

import { setMaxListeners } from 'node:events';
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

/** What many requests of one caller may listen to, which Node would take for a leak. */
export function sharedController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}

/** Aborts when the client gives the call up, or is gone. */
export function signalOf(call: IncomingCall): AbortSignal {
  const controller = sharedController();
  const giveUp = () => controller.abort(new Error('the client gave the call up'));
  call.once('cancelled', giveUp);
  if (call.cancelled) giveUp();
  return controller.signal;
}
