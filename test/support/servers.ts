/**
 * Private servers for tests and benchmarks: a free port, a temporary folder, loopback only.
 *
 * Every server belongs to the process that started it and dies with it; no other process is ever touched. Nothing here
 * imports the test runner, so that the benchmark can use it, too.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { cp, mkdir, mkdtemp, open, readFile, rename, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { repositoryRoot } from './compiled.js';
import { type RespValue, respCommand } from './resp.js';

/** Longest that a server may take to answer after its start. */
const startTimeoutMs = 60_000;
/** How often a server that does not answer yet is asked again. */
const pollMs = 10;
/** How many ports are tried when other processes take them first. */
const portAttempts = 5;
/** Ports below those that the kernel gives to outgoing connections, so that a killed server finds its own free again. */
const portRange = { first: 20_000, count: 12_000 };

/** What both kinds of server can do. */
export interface PrivateServer {
  readonly port: number;
  readonly url: string;
  readonly pid: number;
  /** Sends a signal, SIGKILL unless said otherwise, and waits until the process has ended. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** SIGSTOP: the server keeps its connections and answers nothing. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** Starts again after kill(), with the same arguments, folder and port. */
  start(): Promise<void>;
  /** Ends the server and removes its folder, unless the caller gave the folder. */
  stop(): Promise<void>;
}

export interface RedisServer extends PrivateServer {
  readonly dir: string;
  /** Runs one command over a connection of its own. An error reply is thrown. */
  command(...args: string[]): Promise<unknown>;
}

export interface MariaDbServer extends PrivateServer {
  /** Makes an empty database, with a name of its own unless one is given, and returns its URL. */
  createDatabase(name?: string): Promise<string>;
}

/** A new, empty folder. */
export async function temporaryFolder(): Promise<{ path: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tidemark-test-'));
  foldersToRemove.add(folder);
  return {
    path: folder,
    async remove() {
      foldersToRemove.delete(folder);
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** A loopback port that nobody listens on now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = portRange.first + Math.floor(Math.random() * portRange.count);
    if (await canListen(port)) return port;
  }
}

/** Starts a Redis server that persists nothing unless asked to. `args` override the defaults. */
export async function startRedis(
  options: { args?: string[]; dir?: string; port?: number; appendonly?: boolean } = {},
): Promise<RedisServer> {
  const folder = options.dir === undefined ? await temporaryFolder() : undefined;
  const dir = options.dir ?? folder!.path;
  const persistence = ['--save', '', '--appendonly', options.appendonly ? 'yes' : 'no'];
  const process = new ServerProcess({
    executable: 'redis-server',
    args: (port) => [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--dir',
      dir,
      ...persistence,
      ...(options.args ?? []),
    ],
    logFile: path.join(dir, 'server.log'),
    isReady: async (port, pid) => {
      const info = await respCommand(port, ['INFO', 'server']).catch((error: unknown) => String(error));
      // A server that asks for a password is ready, too; it cannot be asked for its process id.
      return typeof info === 'string' && (info.includes(`process_id:${pid}\r`) || info.includes('NOAUTH'));
    },
  });
  await process.startOnFreePort(options.port);
  return Object.assign(controls(process, folder), {
    port: process.port,
    url: `redis://127.0.0.1:${process.port}`,
    dir,
    command: (...args: string[]): Promise<RespValue> => respCommand(process.port, args),
  });
}

/** Starts a MariaDB server with an empty database `tidemark`, root without a password, flushed at every commit. */
export async function startMariaDb(options: { args?: string[] } = {}): Promise<MariaDbServer> {
  const folder = await temporaryFolder();
  const dataDir = path.join(folder.path, 'data');
  await cp(await mariaDbTemplate(), dataDir, { recursive: true });
  const process = new ServerProcess({
    executable: 'mariadbd',
    args: (port) => [
      '--no-defaults',
      ...asCurrentUser,
      `--datadir=${dataDir}`,
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

interface ServerDescription {
  readonly executable: string;
  readonly args: (port: number) => string[];
  readonly logFile: string;
  /** True when the process `pid`, and not somebody else's server on that port, answers. */
  readonly isReady: (port: number, pid: number) => Promise<boolean>;
}

class ServerProcess {
  port = 0;
  private child: ChildProcess | undefined;

  constructor(private readonly description: ServerDescription) {}

  get pid(): number {
    return this.running().pid!;
  }

  async startOnFreePort(wanted?: number): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      this.port = wanted ?? (await freePort());
      try {
        return await this.start();
      } catch (error) {
        const taken = String(error).includes('ddress already in use') || !(await canListen(this.port));
        if (!taken || wanted !== undefined || attempt === portAttempts) throw error;
      }
    }
  }

  async start(): Promise<void> {
    if (this.child !== undefined) throw new Error(`${this.description.executable} is already running`);
    const log = await open(this.description.logFile, 'w');
    const [command, ...args] = diesWithParent(this.description.executable, this.description.args(this.port));
    const child = spawn(command!, args, { stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    let failure: Error | undefined;
    child.once('error', (error) => {
      failure = error;
    });
    this.child = child;
    children.add(child);
    child.once('exit', () => children.delete(child));
    // The servers must not keep a finished test or benchmark alive.
    child.unref();
    const deadline = Date.now() + startTimeoutMs;
    while (!hasEnded(child) && failure === undefined && Date.now() < deadline) {
      if (await this.description.isReady(this.port, child.pid!).catch(() => false)) return;
      await sleep(pollMs);
    }
    if (failure === undefined && !hasEnded(child)) await this.kill();
    this.child = undefined;
    const output = await readFile(this.description.logFile, 'utf8').catch(() => '');
    throw new Error(
      `${this.description.executable} did not start on port ${this.port}: ${failure ?? ''}\n${output.slice(-4_000)}`,
    );
  }

  signal(signal: NodeJS.Signals): void {
    this.running().kill(signal);
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.child;
    if (child === undefined) return;
    if (!hasEnded(child)) {
      child.ref();
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill(signal);
      await ended;
    }
    this.child = undefined;
  }

  private running(): ChildProcess {
    if (this.child?.pid === undefined) throw new Error(`${this.description.executable} is not running`);
    return this.child;
  }
}

function controls(process: ServerProcess, folder: { remove(): Promise<void> } | undefined) {
  const controls = {
    kill: (signal?: NodeJS.Signals) => process.kill(signal),
    pause: () => process.signal('SIGSTOP'),
    resume: () => process.signal('SIGCONT'),
    start: () => process.start(),
    async stop() {
      await process.kill();
      await folder?.remove();
    },
  };
  // A getter, because a server that was started again has another process id; Object.assign into it keeps the getter.
  return Object.defineProperty(controls, 'pid', {
    get: () => process.pid,
    enumerable: true,
  }) as typeof controls & {
    readonly pid: number;
  };
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

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Exit handlers do not run in a process that is killed; where the kernel can be told to clean up, it is. */
function diesWithParent(executable: string, args: string[]): string[] {
  const setpriv = '/usr/bin/setpriv';
  return existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL', executable, ...args] : [executable, ...args];
}

const children = new Set<ChildProcess>();
const foldersToRemove = new Set<string>();

process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of foldersToRemove) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});
