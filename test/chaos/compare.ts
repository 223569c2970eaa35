/** The same faults against Tidemark and against what people use today, all judged by the same judge. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { repositoryRoot } from '../support/compiled.js';
import { defaultRedisExecutable, temporaryFolder } from '../support/servers.js';
import {
  type ComparedFault,
  type ComparedSystem,
  comparedFaults,
  comparedLengthMs,
  comparedSystems,
  comparedWorkload,
  concerns,
  scheduleOf,
} from './compare-rows.js';
import type { PeerName } from './issuers/issuer.js';
import { type RunResult, runSchedule } from './run.js';
import { describeSchedule, type Workload } from './schedule.js';
import { LedgerServer } from './systems/ledger-server.js';

/** What the judge found in all runs of one fault against one system. */
export interface Cell {
  readonly calls: number;
  /** Calls that had no number at their deadline. */
  readonly failed: number;
  readonly numbers: number;
  /** Numbers that were issued twice (P1). */
  readonly duplicates: number;
  /** Calls that got a smaller number than one that was known before they began (P2). */
  readonly smaller: number;
  /** Numbers that nobody got, and nothing explains (P4). */
  readonly unexplained: number;
  /** Runs in which a client ended in disorder, or got no more numbers after everything was mended. */
  readonly troubled: number;
}

export interface ComparedRow {
  readonly fault: string;
  /** Missing where the fault does not concern the system. */
  readonly cells: Readonly<Partial<Record<PeerName, Cell>>>;
}

export interface Comparison {
  readonly seed: number;
  readonly runs: number;
  readonly lengthMs: number;
  readonly workload: Workload;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly ComparedRow[];
}

export interface CompareOptions {
  /** Seed of the first run of every cell; the others have those after it. */
  readonly seed: number;
  /** Of each cell. */
  readonly runs: number;
  readonly jobs: number;
  /** All of them where they are missing. */
  readonly faults?: readonly string[];
  readonly systems?: readonly PeerName[];
  readonly onRun?: (what: string) => void;
}

interface Task {
  readonly row: ComparedFault;
  readonly system: ComparedSystem;
  readonly seed: number;
}

export async function compare(options: CompareOptions): Promise<Comparison> {
  const { seed, runs, faults, systems } = options;
  const rows = comparedFaults.filter(({ name }) => faults?.includes(name) ?? true);
  const columns = comparedSystems.filter(({ name }) => systems?.includes(name) ?? true);
  const tasks = rows.flatMap((row) =>
    columns
      .filter((system) => concerns(row, system))
      .flatMap((system) => Array.from({ length: runs }, (_, run) => ({ row, system, seed: seed + run }))),
  );
  const results = new Map<Task, RunResult>();
  const rest = [...tasks].reverse();
  const report = (what: string) => options.onRun?.(`${results.size} of ${tasks.length}: ${what}`);
  await Promise.all(Array.from({ length: options.jobs }, () => work(rest, results, report)));
  return {
    ...{ seed, runs, lengthMs: comparedLengthMs, workload: comparedWorkload, versions: versions() },
    rows: rows.map((row) => ({ fault: row.name, cells: cellsOf(row, results) })),
  };
}

/** Makes one run after the other, all on one MariaDB. */
async function work(
  rest: Task[],
  results: Map<Task, RunResult>,
  report: (what: string) => void,
): Promise<void> {
  const place = await temporaryFolder();
  const ledgerServer = await LedgerServer.start(place.path);
  try {
    for (let task = rest.pop(); task !== undefined; task = rest.pop()) {
      const result = await run(task, ledgerServer, place.path);
      results.set(task, result);
      report(describe(task, result));
    }
  } finally {
    await ledgerServer.stop();
    await place.remove();
  }
}

async function run(
  { row, system, seed }: Task,
  ledgerServer: LedgerServer,
  place: string,
): Promise<RunResult> {
  const schedule = scheduleOf(row, system, seed);
  const folder = path.join(place, `${row.name}-${system.name}-${seed}`);
  try {
    const result = await runSchedule(schedule, { folder, ledgerServer, issuer: system.name });
    if (result.notMade.length > 0) throw new Error(`not made: ${result.notMade.join(', ')}`);
    return result;
  } catch (error) {
    throw new Error(`${system.name}: ${describeSchedule(schedule).join('\n')}`, { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function describe({ row, system, seed }: Task, result: RunResult): string {
  const { calls, numbers, duplicates, smaller, unexplained, failed } = cellOf([result]);
  return [
    `${row.name} ${system.name} ${seed}: ${numbers} numbers of ${calls} calls, ${failed} failed`,
    `${duplicates} twice, ${smaller} smaller, ${unexplained} missing, ${(result.tookMs / 1_000).toFixed(1)} s`,
    ...result.problems,
  ].join('; ');
}

function cellsOf(row: ComparedFault, results: ReadonlyMap<Task, RunResult>): ComparedRow['cells'] {
  const cells: Partial<Record<PeerName, Cell>> = {};
  for (const { name } of comparedSystems) {
    const own = [...results].filter(([task]) => task.row === row && task.system.name === name);
    if (own.length > 0) cells[name] = cellOf(own.map(([, result]) => result));
  }
  return cells;
}

function cellOf(results: readonly RunResult[]): Cell {
  const sum = (of: (result: RunResult) => number) => results.reduce((total, result) => total + of(result), 0);
  return {
    calls: sum(({ verdict }) => verdict.counts.calls),
    failed: sum(({ verdict }) => verdict.counts.failed),
    numbers: sum(({ verdict }) => verdict.counts.numbers),
    duplicates: sum(({ verdict }) => verdict.counts.duplicates),
    // Excused or not: what the documentation excepts is shown, too.
    smaller: sum(({ verdict }) => verdict.found.P2),
    unexplained: sum(({ verdict }) => verdict.counts.unexplained),
    troubled: results.filter(({ problems }) => problems.length > 0).length,
  };
}

function versions(): Record<string, string> {
  const packageFile = readFileSync(path.join(repositoryRoot, 'package.json'), 'utf8');
  const versionOf = (executable: string) =>
    /\d+\.\d+\.\d+/.exec(execFileSync(executable, ['--version'], { encoding: 'utf8' }))?.[0] ?? 'unknown';
  return {
    tidemark: (JSON.parse(packageFile) as { version: string }).version,
    redis: versionOf(defaultRedisExecutable()),
    mariadb: versionOf('mariadbd'),
    node: process.versions.node,
  };
}
