/** Starts the programs of `examples/` as a reader of them would, each in a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { repositoryRoot } from '../support/compiled.js';

/** Longest that anything is waited for. */
const patienceMs = 20_000;
const pollMs = 10;

export interface RunningExample {
  readonly child: ChildProcess;
  /** What it has printed so far. */
  readonly lines: readonly string[];
  /** What it has printed to stderr. */
  stderr(): string;
  /** Resolves when the process has ended by itself, or by a signal. */
  readonly ended: Promise<number | null>;
  stop(): Promise<void>;
}

/** Everything that was started and not stopped, for `afterEach`. */
const running = new Set<RunningExample>();

export function startExample(
  file: string,
  args: readonly string[],
  environment: Record<string, string> = {},
): RunningExample {
  const child = spawn(process.execPath, [path.join(repositoryRoot, 'examples', file), ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const lines: string[] = [];
  let errors = '';
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  child.stderr.on('data', (chunk) => {
    errors += String(chunk);
  });
  const ended = once(child, 'close').then(([status]) => status as number | null);
  const example: RunningExample = {
    child,
    lines,
    stderr: () => errors,
    ended,
    async stop() {
      running.delete(example);
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
    },
  };
  running.add(example);
  return example;
}

/** Ends what a test has left running. */
export async function stopExamples(): Promise<void> {
  await Promise.all([...running].map((example) => example.stop()));
}

/** A process of message-table.mjs, and where it listens. */
export async function startMessageTable(
  environment: Record<string, string>,
): Promise<RunningExample & { url: string }> {
  const table = startExample('message-table.mjs', [], { ...environment, PORT: '0' });
  await until(() => table.lines.length > 0 || hasEnded(table), `message-table.mjs: ${table.stderr()}`);
  if (hasEnded(table)) throw new Error(table.stderr());
  return Object.assign(table, { url: table.lines[0]! });
}

export function hasEnded({ child }: RunningExample): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Waits until something is so. */
export async function until(isSo: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const endMs = performance.now() + patienceMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`not within ${patienceMs} ms: ${what}`);
    await sleep(pollMs);
  }
}

export interface StoredMessage {
  readonly number: number;
  readonly id: string;
  readonly text: string;
}

/** One request, as a client that is in a hurry sends it. Undefined when there was no answer, or one that says "again". */
export async function post(
  url: string,
  id: string,
  options: { text?: string; timeoutMs?: number } = {},
): Promise<StoredMessage | undefined> {
  const response = await fetch(`${url}/messages`, {
    method: 'POST',
    body: JSON.stringify({ id, text: options.text ?? `text of ${id}` }),
    signal: AbortSignal.timeout(options.timeoutMs ?? 5_000),
  }).catch(() => undefined);
  if (response === undefined || response.status >= 500) return undefined;
  const body = await response.json().catch(() => undefined);
  if (response.status !== 200) throw new Error(JSON.stringify(body));
  return body as StoredMessage | undefined;
}

/** Sends a message until it is answered. */
export async function postSurely(url: string, id: string, text?: string): Promise<StoredMessage> {
  const endMs = performance.now() + patienceMs;
  for (;;) {
    const answer = await post(url, id, text === undefined ? {} : { text });
    if (answer !== undefined) return answer;
    if (performance.now() > endMs) throw new Error(`message ${id} was not stored within ${patienceMs} ms`);
    await sleep(50);
  }
}
