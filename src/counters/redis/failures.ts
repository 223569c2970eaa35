/** What errors of Redis and of its connection mean: whether the call ran, and what to do about it. */

import { ClientClosedError, ClientOfflineError, ErrorReply } from 'redis';
import { TidemarkError } from '../../errors.js';

/**
 * Error replies that Redis gives instead of running a command, with what to do. Redis refuses a script's writes before
 * its first one, never in the middle, so with these nothing ran (the scripts pass them on unchanged).
 */
const refusals: Readonly<Record<string, string>> = {
  READONLY: 'it is a replica; point to the primary',
  LOADING: 'it is loading its data; wait until it is done',
  MASTERDOWN: 'it is a replica without its primary; point to the primary',
  NOAUTH: 'it asks for a login; give user and password',
  WRONGPASS: 'user or password are wrong; correct them',
  NOPERM: 'the user lacks a permission; see the ACL rule in the operations guide',
  OOM: 'its memory is full; raise maxmemory or make room',
  MISCONF: 'it cannot persist and therefore refuses writes; see its log',
  BUSY: 'another script blocks it; wait, or stop that script with SCRIPT KILL',
  NOREPLICAS: 'it has fewer replicas than min-replicas-to-write asks for; bring them back',
  CLUSTERDOWN: 'its cluster is down, or nobody serves the slot; bring the missing primaries back',
  MOVED: 'another node serves the slot now; it is asked next time',
  ASK: 'the slot is being moved to another node; it answers again once that is done',
  TRYAGAIN: 'the slot is being moved to another node; it answers again once that is done',
  CROSSSLOT: 'it is a cluster node; give redis+cluster://, or the option cluster',
};
const tooManyClients = /^ERR max number of clients/;
/** The second is how Valkey says it. */
const scriptPermission = /^(?:ERR )?.*(?:The user executing the script|ACL failure in script)/;
/** Redis before 7 puts its own place before the code of an error inside a script. */
const errorCode = /^(?:@user_script: ?\d+: )?-?([A-Z]+)(?: |$)/;
/** What CLUSTERDOWN is called inside a script that names its keys among its arguments. */
const clusterDown = /Script attempted to execute a (?:write )?command while the cluster is down/i;
const moved = /^MOVED (\d{1,5}) (\S*):(\d{1,5})$/;
const maxQuotedLength = 200;

/** The code of an error reply (`OOM`, `ERR`); undefined for anything else than an error reply. */
export function replyCode(error: unknown): string | undefined {
  if (!(error instanceof ErrorReply)) return undefined;
  return clusterDown.test(error.message) ? 'CLUSTERDOWN' : errorCode.exec(error.message)?.[1];
}

/** True for an error that Redis sent, false for a connection that ended. */
export function isReply(error: unknown): error is ErrorReply {
  return error instanceof ErrorReply;
}

/** True when the call was never written, or Redis refused to run it. */
export function hasCertainlyNotRun(error: unknown): boolean {
  if (error instanceof ClientOfflineError || error instanceof ClientClosedError) return true;
  if (!(error instanceof ErrorReply)) return false;
  const code = replyCode(error);
  return (code !== undefined && code in refusals) || tooManyClients.test(error.message);
}

/** True when the user may not do what Tidemark needs. */
export function isPermissionError(error: unknown): boolean {
  return (
    replyCode(error) === 'NOPERM' || (error instanceof ErrorReply && scriptPermission.test(error.message))
  );
}

/** True when the server has become a replica: its address may lead to the new primary next time. */
export function isReplicaError(error: unknown): boolean {
  const code = replyCode(error);
  return code === 'READONLY' || code === 'MASTERDOWN';
}

/** True when a node of a cluster says that it does not serve the slot: the map of the cluster is out of date. */
export function isOutOfPlace(error: unknown): boolean {
  const code = replyCode(error);
  return code === 'MOVED' || code === 'CLUSTERDOWN' || isReplicaError(error);
}

/** True when a node of a cluster says that a key is, or will be, somewhere else. */
export function isElsewhere(error: unknown): boolean {
  const code = replyCode(error);
  return code === 'MOVED' || code === 'ASK' || code === 'TRYAGAIN';
}

/** Where a slot has moved to; undefined for any other error. The host is empty where it is that of the node that says so. */
export function movedTo(error: unknown): { slot: number; host: string; port: number } | undefined {
  const parts = error instanceof ErrorReply ? moved.exec(error.message) : null;
  return parts === null ? undefined : { slot: Number(parts[1]), host: parts[2]!, port: Number(parts[3]) };
}

/** The error for a call that cannot be done now. */
export function unavailable(endpoint: string, cause: unknown): TidemarkError {
  if (cause instanceof TidemarkError) return cause;
  const what = quote(cause instanceof Error ? cause.message || cause.name : String(cause));
  if (!(cause instanceof ErrorReply)) {
    return failure(
      'counter_unavailable',
      `Redis at ${endpoint} is out of reach (${what}); check that it runs and that address and network are right`,
      cause,
    );
  }
  const advice = tooManyClients.test(cause.message)
    ? 'it has too many clients; raise maxclients'
    : (refusals[replyCode(cause) ?? ''] ?? 'see its log');
  return failure('counter_unavailable', `Redis at ${endpoint} answered "${what}": ${advice}`, cause);
}

/** The error for a server that cannot do what Tidemark needs. */
export function unsupported(endpoint: string, message: string, cause?: unknown): TidemarkError {
  return failure('counter_unsupported', `Redis at ${endpoint} ${message}`, cause);
}

/** Why nothing can be learned of a cluster. */
export function explainClusterTrouble(endpoint: string, cause: unknown): TidemarkError {
  if (isPermissionError(cause)) {
    const message = `does not tell this user who serves which slots (${(cause as Error).message})`;
    return unsupported(endpoint, `${message}; allow it: ACL SETUSER <user> +cluster|slots`, cause);
  }
  if (isReply(cause) && /cluster support disabled/.test(cause.message))
    return unsupported(
      endpoint,
      'belongs to no cluster; give redis://host:port, or the option client',
      cause,
    );
  return unavailable(endpoint, cause);
}

/** The error for calls after close, and for those that it cut off. */
export function closed(): TidemarkError {
  return new TidemarkError('closed', 'the Redis counter store is closed; make a new one');
}

function failure(
  code: 'counter_unavailable' | 'counter_unsupported',
  message: string,
  cause: unknown,
): TidemarkError {
  return new TidemarkError(code, message, { cause });
}

function quote(text: string): string {
  return text.length > maxQuotedLength ? `${text.slice(0, maxQuotedLength)}…` : text;
}
