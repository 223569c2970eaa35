/**
 * Processes for tests and benchmarks: a free port, a temporary folder, loopback only.
 *
 * Every server belongs to the process that started it and dies with it; no other process is ever touched. Nothing here
 * imports the test runner, so that the benchmark can use it, too.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

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

/** A new, empty folder. */
export async function temporaryFolder(
  parent = os.tmpdir(),
): Promise<{ path: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(parent, 'tidemark-test-'));
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

export interface ServerDescription {
  readonly executable: string;
  /** Asked again for each port that is tried; a restart uses the same arguments. */
  readonly args: (port: number) => string[] | Promise<string[]>;
  readonly logFile: string;
  /** Beside the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** True when the process `pid`, and not somebody else's server on that port, answers. */
  readonly isReady: (port: number, pid: number) => Promise<boolean>;
}

export class ServerProcess {
  port = 0;
  private args: string[] = [];
  private child: ChildProcess | undefined;

  constructor(private readonly description: ServerDescription) {}

  get pid(): number {
    return this.running().pid!;
  }

  async startOnFreePort(wanted?: number): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      this.port = wanted ?? (await freePort());
      this.args = await this.description.args(this.port);
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
    const [command, ...args] = diesWithParent(this.description.executable, this.args);
    const env = { ...process.env, ...this.description.env };
    const child = spawn(command!, args, { env, stdio: ['ignore', log.fd, log.fd] });
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

/** What a started server can do, beside what is its own. */
export function controls(process: ServerProcess, folder: { remove(): Promise<void> } | undefined) {
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
/** Folders that are removed when this process exits. */
export const foldersToRemove = new Set<string>();

process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  for (const folder of foldersToRemove) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});
