/** Starts processes that take numbers, and reads what they wrote. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import type { LoadOptions } from '../integration/load-process.js';
import { compiledFile } from './compiled.js';
import { type CallRecord, type GapRecord, judge, type Verdict } from './judge.js';

export interface Load {
  readonly processes: readonly ChildProcess[];
  /** Waits until every process has had so many replies. */
  running(replies?: number): Promise<void>;
  /** Waits until every process has ended, and judges what they wrote. */
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
  durationMs: 5_000,
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
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    child.stderr.on('data', (chunk) => {
      stderr += String(chunk);
    });
    return child;
  });
  const ended = Promise.all(processes.map((child) => once(child, 'close')));
  return {
    processes,
    async running(replies = 200) {
      for (const file of files) {
        while (countReplies(file) < replies) {
          if (processes.some((child) => child.exitCode !== null))
            throw new Error(`a load process ended early: ${stderr}`);
          await sleep(20);
        }
      }
    },
    async finish() {
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

function countReplies(file: string): number {
  if (!existsSync(file)) return 0;
  return readFileSync(file, 'utf8').split('\nE ').length - 1;
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

async function gapsOf(mysql: string, conversations: ReadonlySet<string>): Promise<GapRecord[]> {
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
