/** What is asked of a server before it is used: its version, its role, and that the user may do what is needed. */

import type { RedisConnection } from './connection.js';
import { isPermissionError, unavailable, unsupported } from './failures.js';
import { laneKey } from './keys.js';
import { infoField } from './reply.js';
import type { Scripts } from './scripts.js';

/** Scripts write after asking for the time and the history, which older servers refuse. */
const oldestVersion = { major: 6, minor: 2 };
/** The probe's records go within this time even when they cannot be deleted, in milliseconds. */
const probeTtlMs = 10_000;

/** Everything that scripts and sweeps run, as an ACL rule. */
const neededCommands =
  '+evalsha +script|load +info +time +get +set +incrby +unlink +scan +zadd +zrange +zrem +zremrangebyscore';

/** Where and as whom the server is checked. */
export interface CheckTarget {
  readonly endpoint: string;
  readonly prefix: string;
  readonly processId: string;
  readonly scripts: Scripts;
}

/**
 * Checks the server at the other end and gives it the scripts.
 *
 * @throws TidemarkError `counter_unsupported` when it can never work so, `counter_unavailable` when it cannot now
 */
export async function checkServer(connection: RedisConnection, target: CheckTarget): Promise<void> {
  try {
    checkVersion(await connection.call(['INFO', 'server']), target.endpoint);
    const history = primaryHistory(await connection.call(['INFO', 'replication']), target.endpoint);
    for (const { text } of Object.values(target.scripts)) await connection.call(['SCRIPT', 'LOAD', text]);
    await tryEverything(connection, target, history);
  } catch (error) {
    if (isPermissionError(error)) throw missingPermission(target, error as Error);
    throw error;
  }
}

/**
 * The history of a primary's data set, from its INFO reply.
 *
 * @throws TidemarkError `counter_unavailable` when it is a replica
 */
export function primaryHistory(info: unknown, endpoint: string): string {
  const history = infoField(info, 'master_replid');
  const role = infoField(info, 'role');
  if (history === undefined || role === undefined) {
    throw unsupported(endpoint, 'does not tell its replication id; use Redis 6.2 or newer, or Valkey');
  }
  if (role !== 'master') throw unavailable(endpoint, new Error('it is a replica; point to the primary'));
  return history;
}

function checkVersion(info: unknown, endpoint: string): void {
  const version = infoField(info, 'redis_version') ?? 'an unknown version';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const { major: oldestMajor, minor: oldestMinor } = oldestVersion;
  if (!(major > oldestMajor || (major === oldestMajor && minor >= oldestMinor))) {
    throw unsupported(endpoint, `is ${version}; Redis 6.2 or newer, or Valkey, is needed`);
  }
  const mode = infoField(info, 'redis_mode') ?? 'standalone';
  if (mode !== 'standalone')
    throw unsupported(endpoint, `runs in ${mode} mode; point to a standalone primary`);
}

/**
 * Runs each command that scripts and sweeps use on keys of our own, so that a missing permission shows now and not in
 * the middle of a take.
 */
async function tryEverything(
  connection: RedisConnection,
  target: CheckTarget,
  history: string,
): Promise<void> {
  const { prefix, processId, scripts } = target;
  const lane = laneKey(prefix, processId, 'probe');
  const word = `${lane}:word`;
  const ttlMs = String(probeTtlMs);
  await connection.call(['EVALSHA', scripts.take.sha, '2', lane, word, history, '1', ttlMs, '1']);
  // Each of these finds nothing to do.
  await connection.call(['ZADD', `${lane}:open`, 'XX', '0', '0']);
  await connection.call(['ZRANGE', `${lane}:open`, '0', '0']);
  await connection.call(['ZREM', `${lane}:open`, '0']);
  await connection.call(['ZREMRANGEBYSCORE', `${lane}:open`, '0', '0']);
  await connection.call(['SCAN', '0', 'MATCH', lane, 'COUNT', '1', 'TYPE', 'string']);
  await connection.call(['UNLINK', lane]);
}

function missingPermission({ endpoint, prefix }: CheckTarget, error: Error): Error {
  const rule = `~${prefix}:* ${neededCommands}`;
  return unsupported(
    endpoint,
    `does not let this user do what is needed (${error.message}); allow it: ACL SETUSER <user> ${rule}`,
    error,
  );
}
