import type { RedisClientOptions } from 'redis';
import { TidemarkError } from '../../errors.js';

/** How to reach one server. */
export interface NodeSettings {
  /** For node-redis; new objects at each call, because node-redis writes into them. */
  readonly clientOptions: () => RedisClientOptions;
  /** Where the server is, without credentials, for messages. */
  readonly endpoint: string;
  readonly connectTimeoutMs: number;
  readonly replyTimeoutMs: number;
}

/** Where a server listens. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const defaultConnectTimeoutMs = 2_000;

/** The settings of a server that options of node-redis lead to. */
export function nodeSettings(
  client: RedisClientOptions,
  endpoint: string,
  replyTimeoutMs: number,
): NodeSettings {
  const connectTimeoutMs = client.socket?.connectTimeout ?? defaultConnectTimeoutMs;
  return {
    clientOptions: () => clientOptions(client, connectTimeoutMs),
    endpoint,
    connectTimeoutMs,
    replyTimeoutMs,
  };
}

/** The settings of a server at an address, with what `client` says of all of them. */
export function nodeAt(client: RedisClientOptions, address: Address, replyTimeoutMs: number): NodeSettings {
  const socket = { ...client.socket, host: address.host, port: address.port };
  const at = { ...client, socket } as RedisClientOptions;
  return nodeSettings(at, endpointOf(at), replyTimeoutMs);
}

/** `host:port`, with brackets around IPv6. */
export function addressText({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
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

/** Where a node is, without credentials. */
export function endpointOf(client: RedisClientOptions): string {
  if (client.url !== undefined) return endpointOfUrl(client.url, client);
  const socket = client.socket as { path?: string; host?: string; port?: number; tls?: boolean } | undefined;
  if (socket?.path !== undefined) return `unix:${socket.path}`;
  const address = addressText({ host: socket?.host ?? 'localhost', port: socket?.port ?? 6379 });
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

export function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

export function integer(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(`${name} must be an integer from ${min} to ${max}, got ${String(value)}`);
}

/** The error for options that make no sense. It never repeats a URL or credentials. */
export function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', `RedisCounterStore: ${message}`);
}
