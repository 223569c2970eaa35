/** Private servers for tests and benchmarks: Redis or Valkey, and MariaDB, on free loopback ports in temporary folders. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { type TlsFiles, tlsArguments, tlsOptions } from './certificates.js';
import { repositoryRoot } from './compiled.js';
import { type RespOptions, type RespValue, respCommand, respCommands } from './resp.js';
import {
  controls,
  foldersToRemove,
  freePort,
  type PrivateServer,
  ServerProcess,
  temporaryFolder,
} from './server-process.js';

export { freePort, type PrivateServer, temporaryFolder } from './server-process.js';

export interface RedisServer extends PrivateServer {
  readonly dir: string;
  /** Of the options that were to get a port of their own, which it got. */
  readonly otherPorts: Readonly<Record<string, number>>;
  /** Runs one command over a connection of its own. An error reply is thrown. */
  command(...args: string[]): Promise<RespValue>;
  /** Runs commands over one connection, each sent without waiting for the reply to the one before; 10 s at most by default. */
  commands(commands: readonly (readonly string[])[], timeoutMs?: number): Promise<(RespValue | Error)[]>;
}

export interface MariaDbServer extends PrivateServer {
  /** Makes an empty database, with a name of its own unless one is given, and returns its URL. */
  createDatabase(name?: string): Promise<string>;
}

export interface RedisServerOptions {
  /** After the defaults, so that they override them. */
  readonly args?: readonly string[];
  readonly dir?: string;
  readonly port?: number;
  readonly appendonly?: boolean;
  /** Instead of `redis-server`, or of what `TIDEMARK_REDIS_SERVER` names. */
  readonly executable?: string;
  /** Beside the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** A file that the server reads before its arguments, and may rewrite. */
  readonly configFile?: string;
  /** Options that need a free port of their own, such as `--cluster-port`. */
  readonly otherPorts?: readonly string[];
  /** Only TLS, with these certificates. Clients need one, too, unless `args` say otherwise. */
  readonly tls?: TlsSetup;
}

/** Certificates of a server, and of those who talk to it in the test. */
export interface TlsSetup {
  readonly server: TlsFiles;
  readonly client: TlsFiles;
}

/** The server that tests start unless they say which. */
export function defaultRedisExecutable(): string {
  return process.env['TIDEMARK_REDIS_SERVER'] ?? 'redis-server';
}

/** Starts a Redis server that persists nothing unless asked to. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const folder = options.dir === undefined ? await temporaryFolder() : undefined;
  const dir = options.dir ?? folder!.path;
  // The tests' own questions do not mind a certificate that names another host.
  const anyHost = { checkServerIdentity: () => undefined };
  const resp: RespOptions =
    options.tls === undefined ? {} : { tls: { ...tlsOptions(options.tls.client), ...anyHost } };
  let otherPorts: Record<string, number> = {};
  const process = new ServerProcess({
    executable: options.executable ?? defaultRedisExecutable(),
    async args(port) {
      otherPorts = {};
      for (const name of options.otherPorts ?? []) otherPorts[name] = await freePort();
      return redisArguments(options, dir, { ...portArguments(options, port), ...otherPorts });
    },
    logFile: path.join(dir, 'server.log'),
    ...(options.env !== undefined && { env: options.env }),
    isReady: async (port, pid) => {
      const info = await respCommand(port, ['INFO', 'server'], resp).catch((error: unknown) => String(error));
      // A server that asks for a password is ready, too; it cannot be asked for its process id.
      return typeof info === 'string' && (info.includes(`process_id:${pid}\r`) || info.includes('NOAUTH'));
    },
  });
  await process.startOnFreePort(options.port);
  return Object.assign(controls(process, folder), {
    port: process.port,
    otherPorts,
    url: `${options.tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${process.port}`,
    dir,
    command: (...args: string[]) => respCommand(process.port, args, resp),
    commands: (commands: readonly (readonly string[])[], timeoutMs?: number) =>
      respCommands(process.port, commands, { ...resp, ...(timeoutMs !== undefined && { timeoutMs }) }),
  });
}

function redisArguments(options: RedisServerOptions, dir: string, ports: Record<string, number>): string[] {
  return [
    ...(options.configFile === undefined ? [] : [options.configFile]),
    ...Object.entries(ports).flatMap(([name, port]) => [name, String(port)]),
    ...['--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', options.appendonly ? 'yes' : 'no'],
    ...(options.tls === undefined ? [] : tlsArguments(options.tls.server)),
    ...(options.args ?? []),
  ];
}

function portArguments(options: RedisServerOptions, port: number): Record<string, number> {
  return options.tls === undefined ? { '--port': port } : { '--port': 0, '--tls-port': port };
}

export interface MariaDbServerOptions {
  readonly args?: readonly string[];
  /** The folder in which it makes its own. */
  readonly parent?: string;
  /** Beside the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a MariaDB server with an empty database `tidemark`, root without a password, flushed at every commit. */
export async function startMariaDb(options: MariaDbServerOptions = {}): Promise<MariaDbServer> {
  const folder = await temporaryFolder(options.parent);
  const dataDir = path.join(folder.path, 'data');
  await cp(await mariaDbTemplate(), dataDir, { recursive: true });
  const process = new ServerProcess({
    executable: 'mariadbd',
    args: (port) => [
      '--no-defaults',
      ...asCurrentUser,
      `--datadir=${dataDir}`,
      // Servers that share a folder for temporary tables remove each other's.
      `--tmpdir=${folder.path}`,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      '--skip-networking=0',
      '--skip-name-resolve',
      `--socket=${path.join(folder.path, 'socket')}`,
      `--pid-file=${path.join(folder.path, 'pid')}`,
      '--innodb-flush-log-at-trx-commit=1',
      ...smallBuffers,
      ...(options.args ?? []),
    ],
    logFile: path.join(folder.path, 'server.log'),
    ...(options.env !== undefined && { env: options.env }),
    isReady: async (port) => {
      const [row] = await query(port, 'SELECT @@datadir AS dataDir');
      return row?.['dataDir'] === `${dataDir}/`;
    },
  });
  await process.startOnFreePort();
  const url = (name: string): string => `mysql://root@127.0.0.1:${process.port}/${name}`;
  let created = 0;
  const createDatabase = async (name = `tidemark_${++created}`): Promise<string> => {
    await query(process.port, `CREATE DATABASE \`${name}\``);
    return url(name);
  };
  return Object.assign(controls(process, folder), {
    port: process.port,
    url: await createDatabase('tidemark'),
    createDatabase,
  });
}

/** mariadbd refuses to run as root unless it is told to. */
const asCurrentUser = process.getuid?.() === 0 ? ['--user=root'] : [];
const smallBuffers = ['--innodb-buffer-pool-size=64M', '--innodb-log-file-size=16M'];

let template: Promise<string> | undefined;

/** An initialised data folder to copy, made once for each version: making one takes seconds, copying it does not. */
function mariaDbTemplate(): Promise<string> {
  template ??= makeMariaDbTemplate();
  return template;
}

async function makeMariaDbTemplate(): Promise<string> {
  const run = promisify(execFile);
  const { stdout } = await run('mariadbd', ['--no-defaults', '--version']);
  const version = /\d+\.\d+\.\d+/.exec(stdout)?.[0] ?? 'unknown';
  const finished = path.join(repositoryRoot, '.cache', `mariadb-${version}`);
  if (existsSync(finished)) return finished;
  const part = `${finished}.${process.pid}.part`;
  foldersToRemove.add(part);
  await mkdir(part, { recursive: true });
  const args = [
    '--no-defaults',
    ...asCurrentUser,
    `--datadir=${part}`,
    '--auth-root-authentication-method=normal',
  ];
  await run('mariadb-install-db', [...args, '--skip-test-db', ...smallBuffers]);
  // Another process may have been faster; its template is as good.
  await rename(part, finished).catch(async (error: unknown) => {
    if (!existsSync(finished)) throw error;
    await rm(part, { recursive: true, force: true });
  });
  foldersToRemove.delete(part);
  return finished;
}

async function query(port: number, sql: string): Promise<Record<string, unknown>[]> {
  const connection = await createConnection({ host: '127.0.0.1', port, user: 'root', connectTimeout: 5_000 });
  try {
    const [rows] = await connection.query(sql);
    return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : [];
  } finally {
    connection.destroy();
  }
}
