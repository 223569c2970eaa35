import type { RedisClientOptions } from 'redis';
import { shown } from '../../core/quote.js';
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
const maxPort = 65_535;
/** A login in a host would be shown in messages. */
const hostPattern = /^[^\s@/?#\p{Cc}]{1,255}$/u;

/** True for what can be the address of a server. */
export function isAddress(address: unknown): address is Address {
  if (typeof address !== 'object' || address === null) return false;
  const { host, port } = address as Partial<Address>;
  return isHost(host) && isPort(port);
}

/** The address to use for one that a server names. @throws TidemarkError `invalid_argument` where the map gives none */
export function mapped(map: (address: Address) => Address, address: Address): Address {
  const given: unknown = map(address);
  if (isAddress(given)) return given;
  throw invalid(`addressMap must return { host, port }; it did not for ${addressText(address)}`);
}

/**
 * Refuses options of node-redis that cannot lead anywhere. What they hold is not repeated: it may be a password.
 *
 * @param name - how the options are called in the message
 */
export function checkClient(name: string, client: unknown): void {
  if (!isRecord(client)) throw invalid(`${name} must be an object of options of node-redis`);
  const { socket, database, username, password } = client;
  for (const [option, value] of Object.entries({ username, password }))
    if (value !== undefined && typeof value !== 'string') throw invalid(`${name}.${option} must be text`);
  if (database !== undefined && !(Number.isSafeInteger(database) && (database as number) >= 0))
    throw invalid(`${name}.database must be a number of 0 or more`);
  if (socket === undefined) return;
  if (!isRecord(socket)) throw invalid(`${name}.socket must be an object`);
  const { host, port, path, connectTimeout } = socket;
  if (path !== undefined && (typeof path !== 'string' || path === ''))
    throw invalid(`${name}.socket.path must be the path of a socket`);
  if (host !== undefined && !isHost(host))
    throw invalid(`${name}.socket.host must be the name or the IP address of a host`);
  if (port !== undefined && !isPort(Number(port)))
    throw invalid(`${name}.socket.port must be a number from 1 to ${maxPort}`);
  if (connectTimeout !== undefined && !(Number.isFinite(connectTimeout) && (connectTimeout as number) > 0))
    throw invalid(`${name}.socket.connectTimeout must be a number of milliseconds`);
}

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
    const [, login, path] = /^unix:\/\/([^@/]*@)?(\/[^?#]+)/.exec(url) ?? [];
    if (path === undefined) throw invalid('the Redis URL has no path; write unix:///path/to/socket?db=0');
    // It may be a part of the password that is not escaped.
    if (login !== undefined && path.includes('@'))
      throw invalid('the Redis URL has an @ in its path; give the path as client.socket.path instead');
    return `unix:${path}`;
  }
  if (!URL.canParse(url)) throw invalid(`the Redis URL cannot be read; ${advice}`);
  const { protocol, host, pathname, search, hash, username, password } = new URL(url);
  if (protocol !== 'redis:' && protocol !== 'rediss:') {
    throw invalid(
      `the Redis URL must begin with redis://, rediss:// or unix://, and this one with ${protocol}//`,
    );
  }
  // A / ? or # that is not escaped ends the login: what is left of a password would be the host, and hosts are shown.
  if (`${pathname}${search}${hash}`.includes('@'))
    throw invalid(`the Redis URL has an @ behind its host; ${advice}`);
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

function isHost(host: unknown): host is string {
  return typeof host === 'string' && hostPattern.test(host);
}

function isPort(port: unknown): port is number {
  return Number.isInteger(port) && (port as number) > 0 && (port as number) <= maxPort;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
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
  throw invalid(`${name} must be an integer from ${min} to ${max}, got ${shown(value)}`);
}

/** The error for options that make no sense. It never repeats a URL or credentials. */
export function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', `RedisCounterStore: ${message}`);
}
