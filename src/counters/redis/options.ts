import type { RedisClientOptions } from 'redis';
import { TidemarkError } from '../../errors.js';
import { checkPrefix } from './keys.js';

/** How to reach Redis, and the limits of a {@link RedisCounterStore}. Give `url` or `client`, not both. */
export interface RedisCounterStoreOptions {
  /** `redis://user:password@host:port/database`; `rediss://` for TLS; `unix:///path?db=0` for a socket. */
  readonly url?: string;
  /**
   * Options of node-redis instead of a URL: `url`, `socket` (host, port, TLS), `username`, `password`, `database`,
   * `credentialsProvider`. How commands are queued, timed and resent is decided by the store.
   */
  readonly client?: RedisClientOptions;
  /** First part of every key, 1 to 64 bytes without braces, `*?[]\^` and control characters; `seq` by default. */
  readonly prefix?: string;
  /** A connection that has not answered for this long is given up, 50 to 60,000 ms; 2,000 by default. */
  readonly replyTimeoutMs?: number;
  /** Takes under way at once, 1 to 16; a further one waits. 8 by default. */
  readonly maxConcurrentTakes?: number;
}

/** Options, checked, with defaults. */
export interface RedisSettings {
  /** For node-redis; new objects at each call, because node-redis writes into them. */
  readonly clientOptions: () => RedisClientOptions;
  /** Where Redis is, without credentials, for messages. */
  readonly endpoint: string;
  readonly prefix: string;
  readonly replyTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly maxConcurrentTakes: number;
}

const defaultConnectTimeoutMs = 2_000;
const knownOptions = new Set(['url', 'client', 'prefix', 'replyTimeoutMs', 'maxConcurrentTakes']);

/** @throws TidemarkError `invalid_argument`; the message never repeats a URL, which may hold a password. */
export function resolveOptions(options: RedisCounterStoreOptions): RedisSettings {
  if (typeof options !== 'object' || options === null) throw invalid('give { url } or { client }');
  for (const name of Object.keys(options)) {
    if (!knownOptions.has(name))
      throw invalid(`there is no option ${name}; use ${[...knownOptions].join(', ')}`);
  }
  if ((options.url === undefined) === (options.client === undefined)) {
    throw invalid('give either url or client, and not both');
  }
  const client = options.client ?? { url: options.url! };
  const endpoint = endpointOf(client);
  const prefix = options.prefix ?? 'seq';
  checkPrefix(prefix);
  const connectTimeoutMs = client.socket?.connectTimeout ?? defaultConnectTimeoutMs;
  return {
    clientOptions: () => clientOptions(client, connectTimeoutMs),
    endpoint,
    prefix,
    connectTimeoutMs,
    replyTimeoutMs: integer('replyTimeoutMs', options.replyTimeoutMs ?? 2_000, 50, 60_000),
    maxConcurrentTakes: integer('maxConcurrentTakes', options.maxConcurrentTakes ?? 8, 1, 16),
  };
}

/**
 * What is decided here and not by the user: node-redis must neither queue nor resend commands by itself, because a
 * take that runs twice burns numbers, and its timer for each command costs more than the command.
 */
function clientOptions(client: RedisClientOptions, connectTimeout: number): RedisClientOptions {
  const {
    clientSideCache: _cache,
    emitInvalidate: _invalidate,
    readonly: _readonly,
    commandsQueueMaxLength: _length,
    ...options
  } = client;
  return {
    // The two commands of the client info would need a permission of their own.
    disableClientInfo: true,
    ...options,
    // RESP2 is as fast here, and signs in without HELLO.
    RESP: 2 as 3,
    maintNotifications: 'disabled',
    disableOfflineQueue: true,
    commandOptions: { timeout: undefined } as unknown as NonNullable<RedisClientOptions['commandOptions']>,
    socket: { ...client.socket, connectTimeout, reconnectStrategy: false },
  };
}

function endpointOf(client: RedisClientOptions): string {
  if (client.url !== undefined) return endpointOfUrl(client.url, client);
  const socket = client.socket as { path?: string; host?: string; port?: number; tls?: boolean } | undefined;
  if (socket?.path !== undefined) return `unix:${socket.path}`;
  const host = socket?.host ?? 'localhost';
  const address = `${host.includes(':') ? `[${host}]` : host}:${socket?.port ?? 6379}`;
  return `${socket?.tls ? 'rediss' : 'redis'}://${address}${client.database ? `/${client.database}` : ''}`;
}

function endpointOfUrl(url: string, client: RedisClientOptions): string {
  const advice = 'write redis://user:password@host:port/database, with special characters percent-encoded';
  if (typeof url !== 'string') throw invalid(`the Redis URL must be a string; ${advice}`);
  if (url.startsWith('unix:')) {
    const path = /^unix:\/\/(?:[^@/]*@)?(\/[^?#]+)/.exec(url)?.[1];
    if (path === undefined) throw invalid('the Redis URL has no path; write unix:///path/to/socket?db=0');
    return `unix:${path}`;
  }
  if (!URL.canParse(url)) throw invalid(`the Redis URL cannot be read; ${advice}`);
  const { protocol, host, pathname, username, password } = new URL(url);
  if (protocol !== 'redis:' && protocol !== 'rediss:') {
    throw invalid(
      `the Redis URL must begin with redis://, rediss:// or unix://, and this one with ${protocol}//`,
    );
  }
  if (host === '') throw invalid(`the Redis URL has no host; ${advice}`);
  if (!/^\/?\d*$/.test(pathname))
    throw invalid('the path of the Redis URL must be a database number, such as /0');
  if (!isDecodable(username) || !isDecodable(password)) {
    throw invalid('the user or password in the Redis URL has a bare %; write it as %25');
  }
  const tls = (client.socket as { tls?: boolean } | undefined)?.tls;
  if (tls !== undefined && tls !== (protocol === 'rediss:')) {
    throw invalid('socket.tls and the Redis URL disagree; use rediss:// with TLS and redis:// without');
  }
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

function integer(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(`${name} must be an integer from ${min} to ${max}, got ${String(value)}`);
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', `RedisCounterStore: ${message}`);
}
