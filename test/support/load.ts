/** Starts processes that take numbers, and reads what they wrote. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TidemarkEvent } from '../../src/core/events.js';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import type { LoadOptions } from '../integration/load-process.js';
import { compiledFile } from './compiled.js';
import { type CallRecord, type GapRecord, judge, type Verdict } from './judge.js';

export interface Load {
  readonly processes: readonly ChildProcess[];
  /** Waits until every process that lives has had so many more replies. */
  running(replies?: number): Promise<void>;
  /** Waits until the generators have told of so many events of a type, in all. */
  seen(event: TidemarkEvent['type'], count: number): Promise<void>;
  /** Tells every process to stop, waits until they have ended, and judges what they wrote. */
  finish(): Promise<LoadResult>;
}

export interface LoadResult {
  readonly verdict: Verdict;
  readonly calls: readonly CallRecord[];
  readonly gaps: readonly GapRecord[];
  readonly failures: Readonly<Record<string, number>>;
  readonly events: Readonly<Record<string, number>>;
  /** What the processes printed to stderr. */
  readonly stderr: string;
}

const defaults = {
  conversations: 50,
  callers: 10,
  maxDurationMs: 45_000,
  timeoutMs: 10_000,
  ledgerOutage: 'continue',
} as const;

export function startLoad(
  folder: string,
  options: Pick<LoadOptions, 'redis' | 'mysql'> & Partial<LoadOptions> & { readonly processCount?: number },
): Load {
  const files: string[] = [];
  let stderr = '';
  const processes = Array.from({ length: options.processCount ?? 4 }, (_, index) => {
    const file = path.join(folder, `load-${index}.log`);
    files.push(file);
    const all = { ...defaults, seed: index + 1, ...options, file };
    const child = spawn(
      process.execPath,
      [compiledFile('test/integration/load-process.ts'), JSON.stringify(all)],
      {
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      },
    );
    child.stderr!.on('data', (chunk) => {
      stderr += String(chunk);
    });
    return child;
  });
  const ended = Promise.all(processes.map((child) => once(child, 'close')));
  return {
    processes,
    async running(replies = 200) {
      const before = files.map((file) => countLines(file, 'E '));
      for (const [index, file] of files.entries()) {
        while (isAlive(processes[index]!) && countLines(file, 'E ') < before[index]! + replies)
          await sleep(20);
      }
      if (!processes.some(isAlive)) throw new Error(`every load process has ended: ${stderr}`);
    },
    async seen(event, count) {
      const total = () => files.reduce((sum, file) => sum + countLines(file, `V ${event}`), 0);
      while (total() < count) {
        if (!processes.some(isAlive)) throw new Error(`only ${total()} ${event} events: ${stderr}`);
        await sleep(20);
      }
    },
    async finish() {
      for (const child of processes) if (isAlive(child)) child.send('stop');
      await ended;
      const logs = files.map((file) => readLog(readFileSync(file, 'utf8')));
      const calls = logs.flatMap((log) => log.calls);
      const gaps = await gapsOf(options.mysql, new Set(calls.map((call) => call.conversation)));
      return {
        verdict: judge(calls, gaps),
        calls,
        gaps,
        failures: count(logs.flatMap((log) => log.failures)),
        events: count(logs.flatMap((log) => log.events)),
        stderr,
      };
    },
  };
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

function countLines(file: string, beginning: string): number {
  if (!existsSync(file)) return 0;
  return readFileSync(file, 'utf8').split(`\n${beginning}`).length - 1;
}

function readLog(text: string): { calls: CallRecord[]; failures: string[]; events: string[] } {
  const open = new Map<string, CallRecord>();
  const calls: CallRecord[] = [];
  const failures: string[] = [];
  const events: string[] = [];
  for (const line of text.split('\n')) {
    const [kind, id = '', a = '', b = '', c = ''] = line.split(' ');
    const started = open.get(id);
    if (kind === 'S') {
      open.set(id, {
        conversation: a,
        count: Number(b),
        start: Number(BigInt(c) / 1_000n),
        end: undefined,
        numbers: undefined,
      });
    } else if (kind === 'V') events.push(id);
    else if (started !== undefined && kind === 'E') {
      calls.push({
        ...started,
        end: Number(BigInt(c) / 1_000n),
        numbers: { first: Number(a), last: Number(b) },
      });
      open.delete(id);
    } else if (started !== undefined && kind === 'F') {
      failures.push(a);
      calls.push({ ...started, end: Number(BigInt(b) / 1_000n) });
      open.delete(id);
    }
  }
  // What never ended, ended with its process.
  for (const call of open.values()) calls.push({ ...call, callerDied: true });
  return { calls, failures, events };
}

/** Every recorded gap of the conversations. */
export async function gapsOf(mysql: string, conversations: ReadonlySet<string>): Promise<GapRecord[]> {
  const ledger = new MySqlLedger({ url: mysql });
  try {
    const all = { from: 1, to: 1e12 - 1, limit: 10_000 };
    const gaps: GapRecord[] = [];
    for (const conversation of conversations) gaps.push(...(await ledger.gaps(conversation, all)));
    return gaps;
  } finally {
    await ledger.close();
  }
}

function count(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
