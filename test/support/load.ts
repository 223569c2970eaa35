/** Starts processes that take numbers, and reads what they wrote. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TidemarkEvent } from '../../src/core/events.js';
import type { Gap, Ledger } from '../../src/core/ledger.js';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import type { LoadOptions } from '../integration/load-process.js';
import { compiledFile } from './compiled.js';
import { type CallRecord, type GapRecord, judge, type Verdict } from './judge.js';
import { LogWatch, longestPauseMs, type Pauses, readLog } from './load-log.js';

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
  /**
   * The longest time in which nobody got a number, in milliseconds: between two moments of {@link nowUs}, or from the first
   * reply to the last, and of some conversations only if `of` says so.
   */
  longestPauseMs(within?: Pauses): number;
  /** What the processes printed to stderr. */
  readonly stderr: string;
}

const defaults = {
  conversations: 50,
  callers: 10,
  maxDurationMs: 45_000,
  timeoutMs: 10_000,
  replyTimeoutMs: 1_000,
  pinned: false,
  ledgerOutage: 'continue',
} as const;

export function startLoad(
  folder: string,
  options: Pick<LoadOptions, 'redis' | 'mysql'> & Partial<LoadOptions> & { readonly processCount?: number },
): Load {
  const files: string[] = [];
  const watches: LogWatch[] = [];
  let stderr = '';
  const processes = Array.from({ length: options.processCount ?? 4 }, (_, index) => {
    const file = path.join(folder, `load-${index}.log`);
    files.push(file);
    watches.push(new LogWatch(file));
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
      const before = watches.map((watch) => watch.count('E'));
      for (const [index, watch] of watches.entries()) {
        while (isAlive(processes[index]!) && watch.count('E') < before[index]! + replies) await sleep(20);
      }
      if (!processes.some(isAlive)) throw new Error(`every load process has ended: ${stderr}`);
    },
    async seen(event, count) {
      const total = () => watches.reduce((sum, watch) => sum + watch.count(`V ${event}`), 0);
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
        longestPauseMs: (within) => longestPauseMs(calls, within),
        stderr,
      };
    },
  };
}

function isAlive(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** Every recorded gap of the conversations. */
export async function gapsOf(mysql: string, conversations: ReadonlySet<string>): Promise<Gap[]> {
  const ledger = new MySqlLedger({ url: mysql });
  try {
    return await allGaps(ledger, conversations);
  } finally {
    await ledger.close();
  }
}

/** The same from a ledger that is open. */
export async function allGaps(ledger: Ledger, conversations: ReadonlySet<string>): Promise<Gap[]> {
  const all = { from: 1, to: 1e12 - 1, limit: 10_000 };
  const gaps: Gap[] = [];
  // Several at once, because there may be a thousand conversations.
  const rest = [...conversations];
  const ask = async () => {
    for (let key = rest.pop(); key !== undefined; key = rest.pop())
      gaps.push(...(await ledger.gaps(key, all)));
  };
  await Promise.all(Array.from({ length: 8 }, ask));
  return gaps;
}

function count(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
