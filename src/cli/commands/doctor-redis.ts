/** What `tidemark doctor` looks at in Redis, over a connection of its own. */

import { createClient } from 'redis';
import { findPrimaries } from '../../counters/redis/find-primaries.js';
import type { NodeSettings } from '../../counters/redis/node-settings.js';
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

/** Everything about Redis: one server, the primary that sentinels name, or all primaries of a cluster. Nothing is thrown. */
export async function examineRedis(target: RedisTarget, timeoutMs: number): Promise<Check[]> {
  let settings: RedisSettings;
  let primaries: readonly NodeSettings[];
  try {
    settings = resolveOptions(target);
  } catch (error) {
    return [failure(reasonOf(error), 'correct the URL')];
  }
  try {
    primaries = await within(timeoutMs, findPrimaries(settings));
  } catch (error) {
    return [failure(`${settings.endpoint}: ${reasonOf(error)}`, connectionAdvice)];
  }
  const kind = settings.target.kind;
  const found = primaries.map((node) => examineNode(node, kind === 'cluster', timeoutMs));
  const permissions = await permissionCheck(target);
  return [...(await Promise.all(found)).flat(), permissions];
}

const connectionAdvice = 'check that the server runs, and host, port, user and password';

function failure(found: string, advice: string): Check {
  return { check: 'redis.connection', status: 'failure', found, advice };
}

async function examineNode(node: NodeSettings, inCluster: boolean, timeoutMs: number): Promise<Check[]> {
  const client = createClient(node.clientOptions()) as Client;
  // A connection that is lost later ends the calls under way; they report it.
  client.on('error', () => undefined);
  const startedAtMs = performance.now();
  try {
    await within(timeoutMs, client.connect());
  } catch (error) {
    client.destroy();
    return [failure(`${node.endpoint}: ${reasonOf(error)}`, connectionAdvice)];
  }
  const found = `${node.endpoint}, ${Math.ceil(performance.now() - startedAtMs)} ms`;
  try {
    const checks = await within(timeoutMs, examineConnected(client, inCluster));
    return [{ check: 'redis.connection', status: 'ok', found }, ...checks];
  } catch (error) {
    return [failure(`${node.endpoint}: ${reasonOf(error)}`, 'the server did not answer; see its log')];
  } finally {
    client.destroy();
  }
}

async function examineConnected(client: Client, inCluster: boolean): Promise<Check[]> {
  const info = await infoOf(client);
  const checks: Check[] = [];
  if (info === undefined) {
    const advice = 'allow the user +info: Tidemark needs it, inside scripts, too';
    checks.push({ check: 'redis.info', status: 'warning', found: 'INFO is forbidden', advice });
  } else {
    checks.push(versionCheck(info), ...roleChecks(info, inCluster));
    checks.push(await persistenceCheck(client, info), evictionCheck(info));
    checks.push(...(await backlogChecks(client)));
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

function roleChecks(info: Info, inCluster: boolean): Check[] {
  const role = info.get('role') ?? 'unknown';
  const replicas = info.get('connected_slaves') ?? '0';
  const isPrimary = role === 'master';
  const mode = info.get('redis_mode') ?? info.get('server_mode') ?? 'standalone';
  const history = info.get('master_replid');
  return [
    isPrimary
      ? { check: 'redis.role', status: 'ok', found: `primary with ${replicas} replicas` }
      : { check: 'redis.role', status: 'failure', found: role, advice: 'point --redis to the primary' },
    mode === (inCluster ? 'cluster' : 'standalone')
      ? { check: 'redis.mode', status: 'ok', found: mode }
      : { check: 'redis.mode', status: 'failure', found: mode, advice: modeAdvice(mode) },
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

function modeAdvice(mode: string): string {
  if (mode === 'cluster') return 'give redis+cluster:// with some of its nodes';
  if (mode === 'sentinel') return 'give redis+sentinel:// with the name of the primary';
  return 'point --redis to the primary itself';
}

/** The proof that a history only got a new name needs a server that does not forget within a second where it came from. */
async function backlogChecks(client: Client): Promise<Check[]> {
  const seconds = await configOf(client, 'repl-backlog-ttl');
  if (seconds !== '1') return [];
  const advice = 'set repl-backlog-ttl to 2 s or more, or to 0';
  return [{ check: 'redis.repl_backlog_ttl', status: 'warning', found: '1 s', advice }];
}

/** The store's own check of version, role and permissions: what passes here works there. */
async function permissionCheck(target: RedisTarget): Promise<Check> {
  const check = 'redis.permissions';
  const store = new RedisCounterStore(target);
  try {
    await store.history(0);
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
