import type { RedisClientOptions } from 'redis';
import { quote } from '../../core/quote.js';
import { TidemarkError } from '../../errors.js';
import { checkPrefix } from './keys.js';
import { checkClient, endpointOf, integer, invalid, nodeSettings } from './node-settings.js';
import {
  type ClusterOptions,
  clusterTarget,
  type SentinelOptions,
  sentinelTarget,
  type Target,
} from './targets.js';
import { readUrl } from './urls.js';

/** How to reach Redis, and the limits of a {@link RedisCounterStore}. Give exactly one of `url`, `client`, `sentinel` and `cluster`. */
export interface RedisCounterStoreOptions {
  /**
   * One primary: `redis://user:password@host:port/database`; `rediss://` for TLS; `unix:///path?db=0` for a socket.
   * Sentinel: `redis+sentinel://user:password@host1:26379,host2:26379/mymaster?db=0`, user and password of the data nodes.
   * Cluster: `redis+cluster://user:password@host1:6379,host2:6379`. Both with `rediss+` for TLS.
   */
  readonly url?: string;
  /**
   * Options of node-redis instead of a URL: `url`, `socket` (host, port, TLS), `username`, `password`, `database`,
   * `credentialsProvider`. How commands are queued, timed and resent is decided by the store.
   */
  readonly client?: RedisClientOptions;
  /** The primary that sentinels name. */
  readonly sentinel?: SentinelOptions;
  /** All primaries of a cluster. */
  readonly cluster?: ClusterOptions;
  /** First part of every key, 1 to 64 bytes without braces, `*?[]\^` and control characters; `seq` by default. */
  readonly prefix?: string;
  /** A connection that has not answered for this long is given up, 50 to 60,000 ms; 2,000 by default. */
  readonly replyTimeoutMs?: number;
  /** Takes under way at once, 1 to 16, in a cluster for each primary; a further one waits. 8 by default. */
  readonly maxConcurrentTakes?: number;
}

/** Options, checked, with defaults. */
export interface RedisSettings {
  readonly target: Target;
  /** Where Redis is, without credentials, for messages. */
  readonly endpoint: string;
  readonly prefix: string;
  readonly replyTimeoutMs: number;
  readonly maxConcurrentTakes: number;
}

const knownOptions = new Set([
  'url',
  'client',
  'sentinel',
  'cluster',
  'prefix',
  'replyTimeoutMs',
  'maxConcurrentTakes',
]);

/** @throws TidemarkError `invalid_argument`; the message never repeats a URL, which may hold a password. */
export function resolveOptions(options: RedisCounterStoreOptions): RedisSettings {
  try {
    return resolve(options);
  } catch (error) {
    if (error instanceof TidemarkError) throw error;
    // A getter or a proxy of the caller's own. What it says is not repeated: it may quote a password.
    throw invalid('an option cannot be read; give plain values');
  }
}

function resolve(options: RedisCounterStoreOptions): RedisSettings {
  if (typeof options !== 'object' || options === null)
    throw invalid('give { url }, or one of the other ways');
  for (const name of Object.keys(options)) {
    if (!knownOptions.has(name))
      throw invalid(`there is no option ${quote(name)}; use ${[...knownOptions].join(', ')}`);
  }
  const prefix = options.prefix ?? 'seq';
  checkPrefix(prefix);
  const replyTimeoutMs = integer('replyTimeoutMs', options.replyTimeoutMs ?? 2_000, 50, 60_000);
  const target = targetOf(options, replyTimeoutMs);
  return {
    target,
    endpoint: target.endpoint,
    prefix,
    replyTimeoutMs,
    maxConcurrentTakes: integer('maxConcurrentTakes', options.maxConcurrentTakes ?? 8, 1, 16),
  };
}

function targetOf(options: RedisCounterStoreOptions, replyTimeoutMs: number): Target {
  const { url, client, sentinel, cluster } = options;
  if ([url, client, sentinel, cluster].filter((given) => given !== undefined).length !== 1)
    throw invalid('give either url, client, sentinel or cluster, and only one of them');
  const byUrl = url === undefined ? undefined : readUrl(url);
  if (byUrl?.sentinel !== undefined || sentinel !== undefined)
    return sentinelTarget((byUrl?.sentinel ?? sentinel)!, replyTimeoutMs);
  if (byUrl?.cluster !== undefined || cluster !== undefined)
    return clusterTarget((byUrl?.cluster ?? cluster)!, replyTimeoutMs);
  if (client !== undefined) checkClient('client', client);
  const one = client ?? { url: url! };
  const node = nodeSettings(one, endpointOf(one), replyTimeoutMs);
  return { kind: 'standalone', endpoint: node.endpoint, node };
}
