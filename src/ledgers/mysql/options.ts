/** What a MySQL ledger is told, checked and turned into settings of the driver. */

import type { PoolOptions } from 'mysql2/promise';
import { TidemarkError } from '../../errors.js';

/** Where a {@link MySqlLedger} connects, and how it works. Give `url` or `connection`. */
export interface MySqlLedgerOptions {
  /**
   * `mysql://user:password@host:3306/database`, special characters as %xx. Parameters: `ssl` (`true`: TLS, certificate
   * and host name checked; or a JSON object of TLS options; or a profile name of mysql2), `socketPath`, `localAddress`.
   */
  readonly url?: string;
  /** Connection options of the driver mysql2, instead of a URL: host, port, user, password, database, ssl, … */
  readonly connection?: PoolOptions;
  /** Most connections at once, 1 to 64; 4 by default. */
  readonly poolSize?: number;
  /** Longest that one statement may take, 100 to 600,000 ms; 5,000 by default. Its connection is dropped then. */
  readonly queryTimeoutMs?: number;
  /** Longest that connecting may take, 100 to 60,000 ms; 2,000 by default. */
  readonly connectTimeoutMs?: number;
  /** True, the default: create and upgrade the tables when needed. False: fail with `schema_missing` instead. */
  readonly migrate?: boolean;
}

/** Checked options. */
export interface MySqlSettings {
  readonly driver: PoolOptions;
  readonly poolSize: number;
  /** `host:port/database`, for messages; never a credential. */
  readonly server: string;
  readonly queryTimeoutMs: number;
  /** Longest wait for a connection: for the statement before, and for connecting. */
  readonly acquireTimeoutMs: number;
  readonly lockWaitSeconds: number;
  readonly migrate: boolean;
}

/** Longest wait for a row lock before the transaction is tried again, in seconds. */
const maxLockWaitSeconds = 3;
const defaultPort = 3306;
const optionNames = new Set([
  'url',
  'connection',
  'poolSize',
  'queryTimeoutMs',
  'connectTimeoutMs',
  'migrate',
]);
/** What may be given of the driver's options; the rest is ours to set, because the ledger depends on it. */
const driverOptionNames = new Set([
  'authPlugins',
  'compress',
  'connectAttributes',
  'database',
  'disableEval',
  'enableCleartextPlugin',
  'enableKeepAlive',
  'host',
  'insecureAuth',
  'keepAliveInitialDelay',
  'localAddress',
  'password',
  'password1',
  'password2',
  'password3',
  'passwordSha1',
  'port',
  'socketPath',
  'ssl',
  'stream',
  'user',
]);
const urlParameterNames = new Set(['ssl', 'socketPath', 'localAddress']);

/** Checks everything that can be checked without a connection. */
export function mySqlSettings(target: string | MySqlLedgerOptions): MySqlSettings {
  if (typeof target !== 'string' && (typeof target !== 'object' || target === null)) {
    throw invalid('give a URL or an object of options');
  }
  const options = typeof target === 'string' ? { url: target } : target;
  for (const name of Object.keys(options)) {
    if (!optionNames.has(name))
      throw invalid(`${name} is not an option; known are ${[...optionNames].join(', ')}`);
  }
  const given = connectionOf(options);
  if (typeof given.database !== 'string' || given.database === '') {
    throw invalid('no database is named; write mysql://user:password@host:3306/database');
  }
  const migrate = options.migrate ?? true;
  if (typeof migrate !== 'boolean') throw invalid('migrate must be true or false');
  const queryTimeoutMs = integer('queryTimeoutMs', options.queryTimeoutMs ?? 5_000, 100, 600_000);
  const connectTimeoutMs = integer('connectTimeoutMs', options.connectTimeoutMs ?? 2_000, 100, 60_000);
  const poolSize = integer('poolSize', options.poolSize ?? 4, 1, 64);
  return {
    driver: { ...given, ...ownDriverOptions, connectionLimit: poolSize, connectTimeout: connectTimeoutMs },
    poolSize,
    server: serverName(given),
    queryTimeoutMs,
    acquireTimeoutMs: connectTimeoutMs + queryTimeoutMs,
    // Shorter than the statement's timeout, so that a lock wait ends as an error that can be retried, not as a lost connection.
    lockWaitSeconds: Math.min(maxLockWaitSeconds, Math.max(1, Math.floor((queryTimeoutMs * 0.6) / 1_000))),
    migrate,
  };
}

const ownDriverOptions: PoolOptions = {
  // Keys go over the wire as utf8mb4 text and are stored as the same bytes.
  charset: 'utf8mb4',
  // A corrupt value above 2^53 must arrive as text, not silently rounded (I3).
  supportBigNumbers: true,
  bigNumberStrings: false,
  timezone: 'Z',
  multipleStatements: false,
  namedPlaceholders: false,
  waitForConnections: true,
  // A server must not be able to ask for local files.
  flags: ['-LOCAL_FILES'],
  trace: false,
};

function connectionOf({ url, connection }: MySqlLedgerOptions): PoolOptions {
  if ((url === undefined) === (connection === undefined)) throw invalid('give either url or connection');
  return connection === undefined ? fromUrl(url!) : fromDriverOptions(connection);
}

function fromUrl(url: string): PoolOptions {
  let parsed: URL;
  let options: PoolOptions;
  try {
    parsed = new URL(url);
    options = {
      host: decodeURIComponent(parsed.hostname.replace(/^\[(.*)\]$/, '$1')),
      port: parsed.port === '' ? defaultPort : Number(parsed.port),
      user: decodeURIComponent(parsed.username),
      password: decodeURIComponent(parsed.password),
      database: decodeURIComponent(parsed.pathname.slice(1)),
    };
  } catch {
    // The original error quotes the URL and with it the password; it must not become the cause.
    throw invalid(
      'the URL cannot be read; write mysql://user:password@host:3306/database, special characters as %xx',
    );
  }
  if (parsed.protocol !== 'mysql:' && parsed.protocol !== 'mariadb:') {
    throw invalid(`the URL must begin with mysql:// or mariadb://, not ${parsed.protocol}//`);
  }
  for (const [name, value] of parsed.searchParams) {
    if (!urlParameterNames.has(name)) {
      throw invalid(
        `the URL has the unknown parameter ${name}; known are ${[...urlParameterNames].join(', ')}`,
      );
    }
    if (name === 'ssl') Object.assign(options, sslFromUrl(value));
    else Object.assign(options, { [name]: value });
  }
  return options;
}

function sslFromUrl(value: string): PoolOptions {
  if (value === 'false' || value === '') return {};
  // The driver alone would accept any certificate of a trusted authority, whatever host it names.
  if (value === 'true') return { ssl: { rejectUnauthorized: true, verifyIdentity: true } };
  if (!value.startsWith('{')) return { ssl: value };
  try {
    return { ssl: JSON.parse(value) as NonNullable<PoolOptions['ssl']> };
  } catch {
    throw invalid(
      'the URL parameter ssl is neither true, false, a profile name nor a JSON object of TLS options',
    );
  }
}

function fromDriverOptions(target: PoolOptions): PoolOptions {
  if (typeof target !== 'object' || target === null)
    throw invalid('connection must be an object of connection options');
  for (const name of Object.keys(target)) {
    if (!driverOptionNames.has(name)) {
      throw invalid(
        `the connection option ${name} is not supported; known are ${[...driverOptionNames].join(', ')}`,
      );
    }
  }
  return { ...target };
}

function serverName(options: PoolOptions): string {
  const place = options.socketPath ?? `${options.host ?? 'localhost'}:${options.port ?? defaultPort}`;
  return `${place}/${options.database}`;
}

function integer(name: string, value: unknown, least: number, most: number): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalid(`${name} must be a whole number from ${least} to ${most}, got ${String(value)}`);
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', `MySQL ledger: ${message}`);
}
