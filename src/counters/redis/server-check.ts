/** What is asked of a server before it is used: its version, its role, and that the user may do what is needed. */

import { quote } from '../../core/quote.js';
import type { RedisConnection } from './connection.js';
import { isPermissionError, unsupported } from './failures.js';
import { primaryHistory } from './histories.js';
import { laneKey } from './keys.js';
import { infoField } from './reply.js';
import type { Scripts } from './scripts.js';

/** Scripts write after asking for the time and the history, and read by BYSCORE, which older servers refuse. */
const oldestVersion = { major: 6, minor: 2 };
/** The probe's records go within this time even when they cannot be deleted, in milliseconds. */
const probeTtlMs = 10_000;

/** Everything that scripts and sweeps run, as an ACL rule. */
const neededCommands =
  '+evalsha +script|load +info +time +get +set +incrby +unlink +scan +zadd +zrange +zrem +zremrangebyscore';
/** What else a cluster needs. */
const neededInCluster = '+cluster|slots';
/** What else the expiry of idle words needs. */
const neededForIdle = '+object|idletime';

/** Where and as whom the server is checked. */
export interface CheckTarget {
  readonly prefix: string;
  readonly processId: string;
  readonly scripts: Scripts;
  readonly mode: 'standalone' | 'cluster';
  /** A text whose slot the server serves; undefined where there are no slots. */
  readonly tag: string | undefined;
}

/**
 * Checks the server at the other end and gives it the scripts.
 *
 * @returns its reply to `INFO server`
 * @throws TidemarkError `counter_unsupported` when it can never work so, `counter_unavailable` when it cannot now
 */
export async function checkServer(connection: RedisConnection, target: CheckTarget): Promise<unknown> {
  const { endpoint } = connection;
  try {
    const info = await connection.call(['INFO', 'server']);
    checkVersion(info, endpoint);
    checkMode(info, endpoint, target.mode);
    const history = primaryHistory(await connection.call(['INFO', 'replication']), endpoint);
    for (const { text } of Object.values(target.scripts)) await connection.call(['SCRIPT', 'LOAD', text]);
    await tryEverything(connection, target, history);
    return info;
  } catch (error) {
    if (!isPermissionError(error)) throw error;
    const rule = target.mode === 'cluster' ? `${neededCommands} ${neededInCluster}` : neededCommands;
    throw missingPermission(endpoint, target.prefix, rule, error as Error);
  }
}

/** The error for a user that may not ask how long words have been idle; undefined for any other error. */
export function idleNotSupported(endpoint: string, prefix: string, error: unknown): Error | undefined {
  if (isPermissionError(error)) {
    const rule = `${neededCommands} ${neededForIdle}`;
    return missingPermission(endpoint, prefix, rule, error as Error);
  }
  if (!(error instanceof Error) || !/LFU maxmemory policy/.test(error.message)) return undefined;
  const advice =
    'set a maxmemory-policy that is not LFU, such as noeviction, or switch the expiry of idle words off';
  return unsupported(
    endpoint,
    `does not know how long words have been idle (${error.message}); ${advice}`,
    error,
  );
}

function checkVersion(info: unknown, endpoint: string): void {
  const valkey = infoField(info, 'valkey_version');
  // Every Valkey can do all that is needed; what it says of Redis is for clients that know only that.
  if (valkey !== undefined) return;
  const version = infoField(info, 'redis_version') ?? 'an unknown version';
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const { major: oldestMajor, minor: oldestMinor } = oldestVersion;
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return;
  const reason = 'older ones refuse scripts that write after TIME and INFO, and ZRANGE BYSCORE';
  throw unsupported(
    endpoint,
    `is ${quote(version).slice(1, -1)}; Redis 6.2 or newer, or Valkey, is needed: ${reason}`,
  );
}

function checkMode(info: unknown, endpoint: string, wanted: 'standalone' | 'cluster'): void {
  const mode = infoField(info, 'redis_mode') ?? infoField(info, 'server_mode') ?? 'standalone';
  if (mode === wanted) return;
  const advice: Record<string, string> = {
    cluster: 'it is a cluster node; give redis+cluster://host:port, or the option cluster',
    sentinel: 'it is a sentinel; give redis+sentinel://host:port/name-of-the-primary, or the option sentinel',
    standalone: 'it belongs to no cluster; give redis://host:port, or the option client',
  };
  const name = infoField(info, 'valkey_version') === undefined ? '' : ' (Valkey)';
  const what = Object.hasOwn(advice, mode) ? advice[mode] : 'point to a standalone primary';
  throw unsupported(endpoint, `runs in ${quote(mode).slice(1, -1)} mode${name}; ${what}`);
}

/**
 * Runs each command that scripts and sweeps use on keys of our own, so that a missing permission shows now and not in
 * the middle of a take.
 */
async function tryEverything(
  connection: RedisConnection,
  { prefix, processId, scripts, tag }: CheckTarget,
  history: string,
): Promise<void> {
  const lane = laneKey(prefix, processId, 'probe', tag);
  const word = `${lane}:word`;
  const ttlMs = String(probeTtlMs);
  const call = [history, '1', ttlMs];
  const command =
    tag === undefined
      ? ['EVALSHA', scripts.take.sha, '2', lane, word, ...call, '1']
      : ['EVALSHA', scripts.take.sha, '0', ...call, '1 2', lane, word];
  await connection.call(command);
  // Each of these finds nothing to do.
  await connection.call(['ZADD', `${lane}:open`, 'XX', '0', '0']);
  await connection.call(['ZRANGE', `${lane}:open`, '0', '0']);
  await connection.call(['ZREM', `${lane}:open`, '0']);
  await connection.call(['ZREMRANGEBYSCORE', `${lane}:open`, '0', '0']);
  await connection.call(['SCAN', '0', 'MATCH', lane, 'COUNT', '1', 'TYPE', 'string']);
  await connection.call(['UNLINK', lane]);
}

function missingPermission(endpoint: string, prefix: string, commands: string, error: Error): Error {
  return unsupported(
    endpoint,
    `does not let this user do what is needed (${error.message}); allow it: ACL SETUSER <user> ~${prefix}:* ${commands}`,
    error,
  );
}
