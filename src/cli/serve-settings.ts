/** What `tidemark serve` is told: flags before the environment, the environment before the part `server` of the config file. */

import path from 'node:path';
import { pathText, quote } from '../core/quote.js';
import { TidemarkError } from '../errors.js';
import { type ClientOptions, type Right, rights } from '../server/access.js';
import { addressText, type DoorLimits, type Listen, type TlsMaterial } from '../server/door.js';
import { type LogLevel, logLevels } from '../server/log.js';
import type { Door } from '../server/metrics.js';
import { type Environment, readAtMost, type ServerSection, type Settings } from './config.js';

/** The flags of `serve`, as commander collects them: what the config file can say, too, but for limits. */
export interface ServeFlags extends Omit<ServerSection, 'shutdownTimeoutMs' | keyof DoorLimits> {
  /** Milliseconds. */
  readonly shutdownTimeout?: number;
}

/** Everything the server needs to know beside its stores. */
export interface ServeSettings {
  readonly doors: Readonly<Partial<Record<Door, Listen>>>;
  readonly clientsFile: string | undefined;
  readonly tlsFiles: { readonly cert: string; readonly key: string; readonly clientCa?: string } | undefined;
  readonly keyPrefix: string;
  readonly shutdownTimeoutMs: number;
  readonly logLevel: LogLevel;
  readonly limits: DoorLimits;
}

/** Where the doors are unless something else is said. */
export const defaultAddresses: Readonly<Record<Door, string>> = {
  resp: '127.0.0.1:6380',
  http: '127.0.0.1:7380',
  grpc: '127.0.0.1:7381',
};
export const defaultShutdownTimeoutMs = 10_000;
const maxClientsFileBytes = 1_048_576;
const maxClients = 10_000;

/**
 * Brings the levels together.
 *
 * @param folder - where relative paths of flags and environment are looked for
 * @throws TidemarkError `invalid_argument`
 */
export function serveSettings(flags: ServeFlags, settings: Settings, folder: string): ServeSettings {
  const { server: file, environment } = settings;
  const given = ofEnvironment(environment);
  const pick = <Name extends keyof ServeFlags & keyof ServerSection>(name: Name) =>
    flags[name] ?? given[name] ?? file[name];
  const pathOf = (name: 'clients' | 'tlsCert' | 'tlsKey' | 'tlsClientCa') => {
    const found = pick(name);
    return found === undefined ? undefined : path.resolve(folder, found);
  };
  const doors: Partial<Record<Door, Listen>> = {};
  for (const door of ['resp', 'http', 'grpc'] as const) {
    const listen = addressOf(door, pick(door) ?? defaultAddresses[door]);
    if (listen !== undefined) doors[door] = listen;
  }
  if (Object.keys(doors).length === 0)
    throw invalid('every door is off; open one of --resp, --http and --grpc');
  const clientsFile = pathOf('clients');
  if (clientsFile === undefined && pick('allowAnonymous') !== true) checkOnlyLocal(doors);
  return {
    doors,
    clientsFile,
    tlsFiles: tlsFilesOf(pathOf('tlsCert'), pathOf('tlsKey'), pathOf('tlsClientCa')),
    keyPrefix: keyPrefixOf(pick('keyPrefix') ?? 'seq'),
    shutdownTimeoutMs: flags.shutdownTimeout ?? file.shutdownTimeoutMs ?? defaultShutdownTimeoutMs,
    logLevel: logLevelOf(pick('logLevel') ?? 'info'),
    limits: {
      maxConnections: file.maxConnections ?? 10_000,
      maxRequestBytes: file.maxRequestBytes ?? 1_048_576,
      maxPipelined: file.maxPipelined ?? 10_000,
      requestTimeoutMs: file.requestTimeoutMs ?? 10_000,
    },
  };
}

/** Settings as they are, without what could be secret: for `--print-config`. */
export function printable(serve: ServeSettings, settings: Settings): Record<string, unknown> {
  const { stores, prefix, tuning } = settings;
  const { doors, ...rest } = serve;
  return {
    stores:
      stores?.kind === 'servers'
        ? { redis: withoutLogin(stores.redis), ledger: withoutLogin(stores.ledger), prefix: prefix ?? 'seq' }
        : { data: stores?.folder },
    ...Object.fromEntries(
      (['resp', 'http', 'grpc'] as const).map((door) => {
        const listen = doors[door];
        return [door, listen === undefined ? 'off' : addressText(listen)];
      }),
    ),
    ...rest,
    tuning,
  };
}

function withoutLogin(url: string | undefined): string | undefined {
  // An @ may stand in a password, too: everything up to the last one before the path is left out.
  return url?.replace(/^([a-z+]+:\/\/)(?:[^/]*@)?/i, '$1').replace(/\?.*$/, '');
}

function ofEnvironment(environment: Environment): ServeFlags {
  const text = (name: keyof Environment, flag: keyof ServeFlags) => {
    const value = environment[name];
    return value === undefined || value === '' ? {} : { [flag]: value };
  };
  const anonymous = environment.TIDEMARK_ALLOW_ANONYMOUS ?? '';
  if (!['', '0', '1'].includes(anonymous)) throw invalid('TIDEMARK_ALLOW_ANONYMOUS must be 1 or 0');
  return {
    ...text('TIDEMARK_RESP', 'resp'),
    ...text('TIDEMARK_HTTP', 'http'),
    ...text('TIDEMARK_GRPC', 'grpc'),
    ...text('TIDEMARK_CLIENTS', 'clients'),
    ...text('TIDEMARK_TLS_CERT', 'tlsCert'),
    ...text('TIDEMARK_TLS_KEY', 'tlsKey'),
    ...text('TIDEMARK_TLS_CLIENT_CA', 'tlsClientCa'),
    ...text('TIDEMARK_LOG_LEVEL', 'logLevel'),
    ...(anonymous !== '' && { allowAnonymous: anonymous === '1' }),
  };
}

/** `host:port`, `[::1]:port`; undefined for `off`. */
function addressOf(door: Door, text: string): Listen | undefined {
  if (text === 'off') return undefined;
  const [, ipv6, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^[\]:\s]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = ipv6 ?? name;
  const port = Number(digits);
  if (host === undefined || port > 65_535)
    throw invalid(
      `the address of --${door} is ${quote(text)}; write host:port, such as ${defaultAddresses[door]}, or off`,
    );
  return { host, port };
}

/** Whoever can reach a server without clients may take numbers of every conversation. */
function checkOnlyLocal(doors: Readonly<Partial<Record<Door, Listen>>>): void {
  for (const [door, listen] of Object.entries(doors)) {
    if (/^(localhost|127(\.\d{1,3}){3}|::1)$/.test(listen.host)) continue;
    throw invalid(
      `--${door} ${addressText(listen)} can be reached from other machines, and there are no clients; give --clients FILE, or --allow-anonymous where the network is closed`,
    );
  }
}

function tlsFilesOf(cert: string | undefined, key: string | undefined, clientCa: string | undefined) {
  if (cert === undefined && key === undefined && clientCa === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw invalid('TLS needs a certificate and its key; give --tls-cert and --tls-key');
  return { cert, key, ...(clientCa !== undefined && { clientCa }) };
}

function keyPrefixOf(prefix: string): string {
  if (/^[!-9;-~]{1,64}$/.test(prefix)) return prefix;
  throw invalid('--key-prefix must have 1 to 64 printable characters, without spaces and colons');
}

function logLevelOf(text: string): LogLevel {
  const level = logLevels.find((known) => known === text);
  if (level === undefined) throw invalid(`--log-level must be one of ${logLevels.join(', ')}`);
  return level;
}

/** @throws TidemarkError `invalid_argument` */
export async function readTls(files: ServeSettings['tlsFiles']): Promise<TlsMaterial | undefined> {
  if (files === undefined) return undefined;
  const read = async (file: string) => (await readSmall(file)).toString();
  return {
    cert: await read(files.cert),
    key: await read(files.key),
    ...(files.clientCa !== undefined && { clientCa: await read(files.clientCa) }),
  };
}

/** @throws TidemarkError `invalid_argument` */
export async function readClients(file: string): Promise<ClientOptions[]> {
  const name = pathText(file);
  const bytes = await readSmall(file);
  let content: unknown;
  try {
    content = JSON.parse(bytes.toString());
  } catch {
    throw invalid(`the clients file ${name} is not JSON; correct it`);
  }
  const { clients } = (content ?? {}) as { clients?: unknown };
  if (!Array.isArray(clients) || clients.length === 0 || clients.length > maxClients)
    throw invalid(`the clients file ${name} must hold {"clients": [ … ]} with 1 to ${maxClients} clients`);
  const checked = clients.map((client: unknown, index) =>
    checkClient(client, `client ${index + 1} in ${name}`),
  );
  const names = new Set(checked.map((client) => client.name));
  if (names.size < checked.length)
    throw invalid(`two clients in ${name} have the same name; give each its own`);
  return checked;
}

function checkClient(value: unknown, what: string): ClientOptions {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${what} must be an object`);
  for (const [key, each] of Object.entries(value)) {
    const check = Object.hasOwn(clientChecks, key) ? clientChecks[key as keyof ClientOptions] : undefined;
    if (check === undefined)
      throw invalid(
        `${what} has the unknown key ${quote(key)}; known are ${Object.keys(clientChecks).join(', ')}`,
      );
    if (!check(each))
      throw invalid(`${quote(key)} of ${what} is not as docs/server.md says; its value is not shown`);
  }
  for (const key of ['name', 'tokenSha256', 'rights'] as const)
    if (!Object.hasOwn(value, key)) throw invalid(`${what} has no ${quote(key)}`);
  return value as ClientOptions;
}

export function isClientName(text: string): boolean {
  return /^[a-z0-9][a-z0-9_.-]{0,63}$/.test(text);
}

const isCount = (value: unknown) =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 1e9;
const clientChecks: Readonly<Record<keyof ClientOptions, (value: unknown) => boolean>> = {
  name: (value) => typeof value === 'string' && isClientName(value),
  tokenSha256: (value) => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value),
  rights: (value) =>
    Array.isArray(value) && value.length > 0 && value.every((right) => rights.includes(right as Right)),
  conversations: (value) =>
    Array.isArray(value) &&
    value.length <= 1_000 &&
    value.every((start) => typeof start === 'string' && start !== '' && start.length <= 600),
  callsPerSecond: isCount,
  maxInFlight: isCount,
};

async function readSmall(file: string): Promise<Buffer> {
  let bytes: Buffer;
  try {
    bytes = await readAtMost(file, maxClientsFileBytes);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw invalid(`the file ${pathText(file)} cannot be read (${code}); check the path`);
  }
  if (bytes.length > maxClientsFileBytes)
    throw invalid(
      `the file ${pathText(file)} is larger than ${maxClientsFileBytes} bytes; it is not the right one`,
    );
  return bytes;
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', message);
}
