/**
 * Where the command finds its stores: flags, then the environment, then a config file. The only file that reads the
 * environment.
 *
 * The highest level that names a store decides which kind is used, embedded or servers. Of the two servers, each URL
 * comes from the highest level that gives it. Every other setting comes from the highest level that gives it.
 */

import { isUtf8 } from 'node:buffer';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { pathText } from '../core/quote.js';
import type { ReservationPolicy } from '../core/reservation-policy.js';
import { TidemarkError } from '../errors.js';
import type { TuningOptions } from '../open.js';
import { checkConfigFile } from './config-file.js';

/** The config file that is read when `--config` is not given and it is there. */
export const defaultConfigFile = 'tidemark.config.json';
/** Largest config file that is read, in bytes. */
const maxConfigFileBytes = 1_048_576;

/** The global flags, as commander collects them. */
export interface Flags {
  readonly data?: string;
  readonly redis?: string;
  readonly ledger?: string;
  readonly config?: string;
  readonly prefix?: string;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly json?: boolean;
}

/** The variables that are read. An empty one counts as not set. Those behind the stores are for `serve`. */
export interface Environment {
  readonly TIDEMARK_DATA?: string | undefined;
  readonly TIDEMARK_REDIS?: string | undefined;
  readonly TIDEMARK_LEDGER?: string | undefined;
  readonly TIDEMARK_RESP?: string | undefined;
  readonly TIDEMARK_HTTP?: string | undefined;
  readonly TIDEMARK_GRPC?: string | undefined;
  readonly TIDEMARK_CLIENTS?: string | undefined;
  readonly TIDEMARK_ALLOW_ANONYMOUS?: string | undefined;
  readonly TIDEMARK_TLS_CERT?: string | undefined;
  readonly TIDEMARK_TLS_KEY?: string | undefined;
  readonly TIDEMARK_TLS_CLIENT_CA?: string | undefined;
  readonly TIDEMARK_LOG_LEVEL?: string | undefined;
}

/** What a config file may hold. */
export interface ConfigFile {
  readonly data?: string;
  readonly redis?: string;
  readonly ledger?: string;
  readonly prefix?: string;
  readonly timeoutMs?: number;
  readonly ledgerOutage?: 'continue' | 'refuse';
  readonly ledgerPatienceMs?: number;
  readonly reservation?: ReservationPolicy;
  readonly reservationByType?: Readonly<Record<string, ReservationPolicy>>;
  readonly fenceCheckMs?: number;
  readonly idleAfterMs?: number;
  readonly server?: ServerSection;
}

/** What the part `server` of a config file may hold: what the flags of `tidemark serve` say otherwise. */
export interface ServerSection {
  readonly resp?: string;
  readonly http?: string;
  readonly grpc?: string;
  readonly clients?: string;
  readonly allowAnonymous?: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly keyPrefix?: string;
  readonly shutdownTimeoutMs?: number;
  readonly logLevel?: string;
  readonly maxConnections?: number;
  readonly maxRequestBytes?: number;
  readonly maxPipelined?: number;
  readonly requestTimeoutMs?: number;
}

/** Which stores to use. One of the two servers may be missing; only some commands can do without. */
export type Stores =
  | { readonly kind: 'embedded'; readonly folder: string }
  | { readonly kind: 'servers'; readonly redis: string | undefined; readonly ledger: string | undefined };

/** Everything that the levels say together. */
export interface Settings {
  /** Undefined when no level names a store. */
  readonly stores: Stores | undefined;
  /** First part of the keys in Redis; undefined for the default. */
  readonly prefix: string | undefined;
  readonly tuning: TuningOptions;
  /** The part `server` of the config file, with paths made whole. */
  readonly server: ServerSection;
  readonly environment: Environment;
}

interface Level {
  readonly data: string | undefined;
  readonly redis: string | undefined;
  readonly ledger: string | undefined;
  /** How the settings are called at this level, for messages. */
  readonly names: { readonly data: string; readonly redis: string; readonly ledger: string };
}

/** The environment of this process, no more of it than is used. */
export function readEnvironment(): Environment {
  const { TIDEMARK_DATA, TIDEMARK_REDIS, TIDEMARK_LEDGER } = process.env;
  const { TIDEMARK_RESP, TIDEMARK_HTTP, TIDEMARK_GRPC, TIDEMARK_LOG_LEVEL } = process.env;
  const { TIDEMARK_CLIENTS, TIDEMARK_ALLOW_ANONYMOUS } = process.env;
  const { TIDEMARK_TLS_CERT, TIDEMARK_TLS_KEY, TIDEMARK_TLS_CLIENT_CA } = process.env;
  return {
    ...{ TIDEMARK_DATA, TIDEMARK_REDIS, TIDEMARK_LEDGER },
    ...{ TIDEMARK_RESP, TIDEMARK_HTTP, TIDEMARK_GRPC, TIDEMARK_LOG_LEVEL },
    ...{ TIDEMARK_CLIENTS, TIDEMARK_ALLOW_ANONYMOUS },
    ...{ TIDEMARK_TLS_CERT, TIDEMARK_TLS_KEY, TIDEMARK_TLS_CLIENT_CA },
  };
}

/**
 * Brings the levels together.
 *
 * @param folder - where the default config file and relative paths of flags and environment are looked for
 * @throws TidemarkError `invalid_argument`
 */
export async function loadSettings(
  flags: Flags,
  environment: Environment,
  folder: string,
): Promise<Settings> {
  const found = await readConfigFile(flags.config, folder);
  const file = found?.content ?? {};
  const label = found === undefined ? '' : ` in ${found.name}`;
  const levels: readonly Level[] = [
    level(flags.data, flags.redis, flags.ledger, ['--data', '--redis', '--ledger'], folder),
    level(
      environment.TIDEMARK_DATA || undefined,
      environment.TIDEMARK_REDIS || undefined,
      environment.TIDEMARK_LEDGER || undefined,
      ['TIDEMARK_DATA', 'TIDEMARK_REDIS', 'TIDEMARK_LEDGER'],
      folder,
    ),
    level(
      file.data,
      file.redis,
      file.ledger,
      [`"data"${label}`, `"redis"${label}`, `"ledger"${label}`],
      found?.folder ?? folder,
    ),
  ];
  for (const each of levels) checkLevel(each);
  const stores = chooseStores(levels);
  if (flags.prefix !== undefined && stores?.kind === 'embedded') {
    throw invalid('--prefix is for keys in Redis, and the embedded store has none; leave it out');
  }
  const server = wholePaths(file.server ?? {}, found?.folder ?? folder);
  return {
    stores,
    prefix: flags.prefix ?? file.prefix,
    tuning: tuningOf(flags, file),
    server,
    environment,
  };
}

/** The stores, or an error that says what to give. */
export function requireStores(settings: Settings): Stores {
  if (settings.stores !== undefined) return settings.stores;
  throw invalid(
    'no store is named; give --data DIR, or --redis URL and --ledger URL ' +
      `(or TIDEMARK_DATA, or TIDEMARK_REDIS and TIDEMARK_LEDGER, or ${defaultConfigFile})`,
  );
}

/** Both servers, or an error that says which one is missing. */
export function requireServers(stores: Stores & { kind: 'servers' }): { redis: string; ledger: string } {
  const { redis, ledger } = stores;
  if (redis === undefined) throw missing('counters', '--redis redis://host:6379', 'TIDEMARK_REDIS');
  if (ledger === undefined)
    throw missing('ledger', '--ledger mysql://user@host:3306/database', 'TIDEMARK_LEDGER');
  return { redis, ledger };
}

/** Paths in a file are relative to it. */
function wholePaths(section: ServerSection, folder: string): ServerSection {
  const whole: Record<string, string> = {};
  for (const name of ['clients', 'tlsCert', 'tlsKey', 'tlsClientCa'] as const) {
    const given = section[name];
    if (given !== undefined) whole[name] = path.resolve(folder, given);
  }
  return { ...section, ...whole };
}

function level(
  data: string | undefined,
  redis: string | undefined,
  ledger: string | undefined,
  [dataName, redisName, ledgerName]: readonly [string, string, string],
  folder: string,
): Level {
  return {
    data: data === undefined || data === '' ? data : path.resolve(folder, data),
    redis,
    ledger,
    names: { data: dataName, redis: redisName, ledger: ledgerName },
  };
}

/** URLs are never repeated in a message: they may hold a password. */
function checkLevel({ data, redis, ledger, names }: Level): void {
  if (data === '') throw invalid(`${names.data} is empty; give a folder`);
  if (redis !== undefined && !/^(rediss?(\+(sentinel|cluster))?|unix):\/\//.test(redis)) {
    throw invalid(
      `${names.redis} must be a URL that begins with redis://, rediss://, redis+sentinel://, redis+cluster:// or unix://`,
    );
  }
  if (ledger !== undefined && !/^(mysql|mariadb):\/\//.test(ledger)) {
    throw invalid(`${names.ledger} must be a URL that begins with mysql:// or mariadb://`);
  }
  if (data === undefined || (redis === undefined && ledger === undefined)) return;
  const server = redis === undefined ? names.ledger : names.redis;
  throw invalid(`${names.data} and ${server} exclude each other; give a folder or servers, not both`);
}

function chooseStores(levels: readonly Level[]): Stores | undefined {
  const decisive = levels.find(({ data, redis, ledger }) => (data ?? redis ?? ledger) !== undefined);
  if (decisive === undefined) return undefined;
  if (decisive.data !== undefined) return { kind: 'embedded', folder: decisive.data };
  return {
    kind: 'servers',
    redis: levels.find(({ redis }) => redis !== undefined)?.redis,
    ledger: levels.find(({ ledger }) => ledger !== undefined)?.ledger,
  };
}

function tuningOf(flags: Flags, file: ConfigFile): TuningOptions {
  const timeoutMs = flags.timeout ?? file.timeoutMs;
  return {
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(file.ledgerOutage === undefined ? {} : { ledgerOutage: file.ledgerOutage }),
    ...(file.ledgerPatienceMs === undefined ? {} : { ledgerPatienceMs: file.ledgerPatienceMs }),
    ...(file.reservation === undefined ? {} : { reservation: file.reservation }),
    ...(file.reservationByType === undefined ? {} : { reservationByType: file.reservationByType }),
    ...(file.fenceCheckMs === undefined ? {} : { fenceCheckMs: file.fenceCheckMs }),
    ...(file.idleAfterMs === undefined ? {} : { idleAfterMs: file.idleAfterMs }),
  };
}

/** A file that is asked for must be there; the default one may be missing. */
async function readConfigFile(
  asked: string | undefined,
  folder: string,
): Promise<{ content: ConfigFile; name: string; folder: string } | undefined> {
  const file = path.resolve(folder, asked ?? defaultConfigFile);
  const name = pathText(asked ?? defaultConfigFile);
  let content: Buffer;
  try {
    content = await readAtMost(file, maxConfigFileBytes);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (asked === undefined && code === 'ENOENT') return undefined;
    throw invalid(`the config file ${name} cannot be read (${code ?? 'unknown'}); check the path`);
  }
  if (content.length > maxConfigFileBytes) {
    throw invalid(
      `the config file ${name} is larger than ${maxConfigFileBytes} bytes; it is not a config file`,
    );
  }
  // Otherwise a name or a password with broken bytes would silently become another one.
  if (!isUtf8(content)) throw invalid(`the config file ${name} is not UTF-8; save it as such`);
  return { content: checkConfigFile(content.toString(), name), name, folder: path.dirname(file) };
}

/** One byte more of a file than it may have, at most: it may be a device that never ends. */
export async function readAtMost(file: string, maxBytes: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const stream = (await open(file)).createReadStream({ end: maxBytes });
  for await (const piece of stream) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function missing(what: string, flag: string, variable: string): TidemarkError {
  return invalid(`the server of the ${what} is not named; give ${flag} (or ${variable}, or the config file)`);
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', message);
}
