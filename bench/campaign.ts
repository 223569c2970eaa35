/** All workloads that were asked for, one after another. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { promisify } from 'node:util';
import { measureCalls, type Report } from './measure/calls.js';
import { measureColdStart } from './measure/cold-start.js';
import { measureDoors } from './measure/doors.js';
import { simulateChats } from './measure/private-chats.js';
import type { BenchOptions } from './options.js';
import type { Machine, Results, Step } from './results.js';
import { type Workload, type WorkloadName, workloads } from './workloads.js';

/**
 * `keep` is told the results so far after each workload, so that the end of a long run does not lose what was before. A
 * workload that fails is reported, and the others go on.
 */
export async function runCampaign(
  options: BenchOptions,
  earlier: Results | undefined,
  report: Report,
  keep: (results: Results) => Promise<void>,
): Promise<{ results: Results; failed: readonly WorkloadName[] }> {
  let results: Results = { machine: await machine(), workloads: earlier?.workloads ?? {} };
  const failed: WorkloadName[] = [];
  for (const name of options.workloads) {
    const { title } = workloads[name];
    report(`\n${name}: ${title}`);
    try {
      const steps = await measure(name, workloads[name], options, report);
      results = { ...results, workloads: { ...results.workloads, [name]: steps } };
    } catch (error) {
      failed.push(name);
      report(`${name} failed: ${(error as Error).stack}`);
    }
    await keep(results);
  }
  return { results, failed };
}

async function measure(
  name: WorkloadName,
  workload: Workload,
  options: BenchOptions,
  report: Report,
): Promise<readonly Step[]> {
  switch (workload.kind) {
    case 'calls':
      return measureCalls(name, workload, options, report);
    case 'cold-start':
      return measureColdStart(options, report);
    case 'doors':
      return measureDoors(options, report);
    case 'private-chats':
      return simulateChats(options.seed);
  }
}

async function machine(): Promise<Machine> {
  const cpus = os.cpus();
  return {
    cores: cpus.length,
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    system: await systemName(),
    node: process.versions.node,
    redis: await versionOf('redis-server', /v=([\d.]+)/),
    mariaDb: await versionOf('mariadbd', /Ver ([\d.]+)/),
  };
}

async function systemName(): Promise<string> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^PRETTY_NAME="(.*)"$/m.exec(release)?.[1] ?? `${os.type()} ${os.release()}`;
}

async function versionOf(program: string, pattern: RegExp): Promise<string> {
  const { stdout } = await promisify(execFile)(program, ['--version']);
  return pattern.exec(stdout)?.[1] ?? 'unknown';
}
