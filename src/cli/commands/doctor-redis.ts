/** What `tidemark doctor` looks at in Redis, over a connection of its own. */

import { createClient } from 'redis';
import { type RedisSettings, resolveOptions } from '../../counters/redis/options.js';
import { RedisCounterStore } from '../../counters/redis/redis-counter-store.js';
import { type Check, clockCheck, reasonOf, within } from './doctor.js';

type Client = ReturnType<typeof createClient>;
/** Where Redis is, and the first part of the keys. */
export interface RedisTarget {
  readonly url: string;
  readonly prefix?: string;
}

type Info = ReadonlyMap<string, string>;

/** Everything about one Redis server. Faults become checks; nothing is thrown. */
export async function examineRedis(target: RedisTarget, timeoutMs: number): Promise<Check[]> {
  let settings: RedisSettings;
  try {
    settings = resolveOptions(target);
  } catch (error) {
    return [
      { check: 'redis.connection', status: 'failure', found: reasonOf(error), advice: 'correct the URL' },
    ];
  }
  const client = createClient(settings.clientOptions()) as Client;
  // A connection that is lost later ends the calls under way; they report it.
  client.on('error', () => undefined);
  const startedAtMs = performance.now();
  try {
    await within(timeoutMs, client.connect());
  } catch (error) {
    client.destroy();
    return [
      {
        check: 'redis.connection',
        status: 'failure',
        found: `${settings.endpoint}: ${reasonOf(error)}`,
        advice: 'check that the server runs, and host, port, user and password',
      },
    ];
  }
  const tookMs = Math.ceil(performance.now() - startedAtMs);
  try {
    const connection: Check = {
      check: 'redis.connection',
      status: 'ok',
      found: `${settings.endpoint}, ${tookMs} ms`,
    };
    return [connection, ...(await within(timeoutMs, examineConnected(client, target)))];
  } catch (error) {
    const found = `${settings.endpoint}: ${reasonOf(error)}`;
    return [
      {
        check: 'redis.connection',
        status: 'failure',
        found,
        advice: 'the server did not answer; see its log',
      },
    ];
  } finally {
    client.destroy();
  }
}

async function examineConnected(client: Client, target: RedisTarget): Promise<Check[]> {
  const info = await infoOf(client);
  const checks = [await permissionCheck(target)];
  if (info === undefined) {
    const advice = 'allow the user +info: Tidemark needs it, inside scripts, too';
    checks.push({ check: 'redis.info', status: 'warning', found: 'INFO is forbidden', advice });
  } else {
    checks.unshift(versionCheck(info), ...roleChecks(info));
    checks.push(await persistenceCheck(client, info), evictionCheck(info));
  }
  checks.push(await clockOf(client));
  return checks;
}

/** The sections of INFO that are used; undefined when the user may not ask. */
async function infoOf(client: Client): Promise<Info | undefined> {
  let text: unknown;
  try {
    text = await client.sendCommand(['INFO']);
  } catch (error) {
    if (reasonOf(error).startsWith('NOPERM')) return undefined;
    throw error;
  }
  const info = new Map<string, string>();
  for (const line of String(text).split('\r\n')) {
    const separator = line.indexOf(':');
    if (separator > 0) info.set(line.slice(0, separator), line.slice(separator + 1));
  }
  return info;
}

function versionCheck(info: Info): Check {
  const valkey = info.get('valkey_version');
  const version = valkey ?? info.get('redis_version') ?? 'unknown';
  const found = `${valkey === undefined ? 'Redis' : 'Valkey'} ${version}`;
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (valkey !== undefined || major > 6 || (major === 6 && minor >= 2))
    return { check: 'redis.version', status: 'ok', found };
  return { check: 'redis.version', status: 'failure', found, advice: 'use Redis 6.2 or newer, or Valkey' };
}

function roleChecks(info: Info): Check[] {
  const role = info.get('role') ?? 'unknown';
  const replicas = info.get('connected_slaves') ?? '0';
  const isPrimary = role === 'master';
  const mode = info.get('redis_mode') ?? info.get('server_mode') ?? 'standalone';
  const history = info.get('master_replid');
  return [
    isPrimary
      ? { check: 'redis.role', status: 'ok', found: `primary with ${replicas} replicas` }
      : { check: 'redis.role', status: 'failure', found: role, advice: 'point --redis to the primary' },
    mode === 'standalone'
      ? { check: 'redis.mode', status: 'ok', found: mode }
      : {
          check: 'redis.mode',
          status: 'failure',
          found: mode,
          advice: 'point --redis to a standalone primary',
        },
    history === undefined
      ? {
          check: 'redis.replication_id',
          status: 'failure',
          found: 'not told',
          advice: 'use a server that tells master_replid',
        }
      : { check: 'redis.replication_id', status: 'ok', found: history },
  ];
}

/** The store's own check of version, role and permissions: what passes here works there. */
async function permissionCheck(target: RedisTarget): Promise<Check> {
  const check = 'redis.permissions';
  const store = new RedisCounterStore(target);
  try {
    await store.history();
    return { check, status: 'ok', found: 'scripts and keys may be used' };
  } catch (error) {
    return { check, status: 'failure', found: reasonOf(error), advice: 'see the message' };
  } finally {
    await store.close();
  }
}

async function persistenceCheck(client: Client, info: Info): Promise<Check> {
  const check = 'redis.persistence';
  const lastSave =
    info.get('rdb_last_bgsave_status') === 'err' || info.get('aof_last_write_status') === 'err';
  if (lastSave) {
    const advice = 'see the log of the server: its disk may be full, and it may refuse writes soon';
    return { check, status: 'warning', found: 'the last save or append has failed', advice };
  }
  if (info.get('aof_enabled') === '1') {
    const fsync = await configOf(client, 'appendfsync');
    return {
      check,
      status: 'ok',
      found: `append-only file${fsync === undefined ? '' : `, appendfsync ${fsync}`}`,
    };
  }
  const save = await configOf(client, 'save');
  if (save === undefined) {
    const advice = 'make sure that appendonly is yes, for fewer gaps after a restart';
    return {
      check,
      status: 'warning',
      found: 'no append-only file; CONFIG is forbidden, so snapshots are unknown',
      advice,
    };
  }
  const advice =
    'set appendonly yes: then a crash loses a second of words, and each lost word is a gap of a block at most';
  const found =
    save === ''
      ? 'nothing is saved: a restart loses all words'
      : `snapshots only (save ${save}): a crash loses words`;
  return { check, status: 'warning', found, advice };
}

function evictionCheck(info: Info): Check {
  const check = 'redis.eviction';
  const policy = info.get('maxmemory_policy');
  const limit = info.get('maxmemory_human') ?? 'unknown';
  if (policy === undefined)
    return {
      check,
      status: 'warning',
      found: 'the policy is not told',
      advice: 'make sure that it is noeviction',
    };
  const found =
    info.get('maxmemory') === '0' ? `${policy}, no memory limit` : `${policy}, memory limit ${limit}`;
  if (!policy.startsWith('allkeys-')) return { check, status: 'ok', found };
  const advice =
    'set maxmemory-policy noeviction (or volatile-*): an evicted word is safe, but each one is a gap';
  return { check, status: 'warning', found, advice };
}

async function configOf(client: Client, name: string): Promise<string | undefined> {
  try {
    const reply = (await client.sendCommand(['CONFIG', 'GET', name])) as unknown;
    return Array.isArray(reply) ? String(reply[1]) : undefined;
  } catch {
    return undefined;
  }
}

async function clockOf(client: Client): Promise<Check> {
  const check = 'redis.clock';
  try {
    const beforeMs = performance.now();
    const reply = (await client.sendCommand(['TIME'])) as unknown;
    const errorMs = (performance.now() - beforeMs) / 2;
    const [seconds, microseconds] = (reply as unknown[]).map(Number);
    return clockCheck(check, seconds! * 1_000 + microseconds! / 1_000 - (Date.now() - errorMs), errorMs);
  } catch (error) {
    return { check, status: 'warning', found: reasonOf(error), advice: 'allow the user +time' };
  }
}
