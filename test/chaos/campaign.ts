/** Many runs, some side by side, and what is said of them. */

import { cp, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '../support/servers.js';
import { accuse } from './accusation.js';
import { type FaultName, faultKinds } from './fault-kinds.js';
import { protectionCalled, withoutProtection } from './protections.js';
import { countFaults, isGuilty, type RunResult, runSchedule } from './run.js';
import {
  type DrawOptions,
  describeSchedule,
  drawSchedule,
  type Schedule,
  type Topology,
  topologies,
} from './schedule.js';
import { LedgerServer } from './systems/ledger-server.js';

export interface CampaignOptions {
  readonly seed: number;
  readonly runs?: number;
  readonly minutes?: number;
  readonly topology?: readonly Topology[];
  readonly jobs: number;
  readonly fault?: readonly FaultName[];
  readonly without?: string;
  readonly keep: string;
  readonly json?: boolean;
}

export class Campaign {
  private readonly results: RunResult[] = [];
  private readonly startedAtMs = performance.now();
  private readonly program: string | undefined;
  private readonly runs: number | undefined;
  private readonly draw: DrawOptions;
  private next = 0;
  private brokenOff = 0;

  constructor(private readonly options: CampaignOptions) {
    const { without, fault, runs } = options;
    const protection = without === undefined ? undefined : protectionCalled(without);
    const faults = fault ?? protection?.campaign?.faults;
    const workload = protection?.campaign?.workload;
    this.draw = { ...(faults && { only: faults }), ...(workload && { workload }) };
    this.runs = runs ?? protection?.campaign?.runs;
    this.program = protection && path.join(withoutProtection(protection), 'test/chaos/client-process.js');
  }

  /** True when all is as it should be: nobody guilty, or with a protection switched off, somebody. */
  async run(): Promise<boolean> {
    await Promise.all(Array.from({ length: this.options.jobs }, () => this.#work()));
    const guilty = this.results.filter(isGuilty);
    this.#summarise(guilty.length);
    return this.options.without === undefined ? guilty.length + this.brokenOff === 0 : guilty.length > 0;
  }

  /** Takes one run after the other, all on one ledger server. */
  async #work(): Promise<void> {
    const place = await temporaryFolder();
    let ledgerServer: LedgerServer | undefined;
    try {
      for (let schedule = this.#draw(); schedule !== undefined; schedule = this.#draw()) {
        if (schedule.topology !== 'embedded') ledgerServer ??= await LedgerServer.start(place.path);
        if (await this.#try(schedule, ledgerServer, place.path)) continue;
        // Nobody knows in which state the run left it.
        await ledgerServer?.stop();
        ledgerServer = undefined;
      }
    } finally {
      await ledgerServer?.stop();
      await place.remove();
    }
  }

  #draw(): Schedule | undefined {
    const { seed, minutes, without } = this.options;
    if (this.runs !== undefined && this.next >= this.runs) return undefined;
    const limitMinutes = minutes ?? (this.runs === undefined ? 1 : Number.POSITIVE_INFINITY);
    if (performance.now() - this.startedAtMs > limitMinutes * 60_000) return undefined;
    if (without !== undefined && this.results.some(isGuilty)) return undefined;
    const { only = [] } = this.draw;
    const possible = (this.options.topology ?? topologies).filter((topology) =>
      only.every((name) => faultKinds[name].topologies.includes(topology)),
    );
    if (possible.length === 0) throw new Error('no topology has all of these faults');
    const schedule = drawSchedule(seed + this.next, possible[this.next % possible.length]!, this.draw);
    this.next += 1;
    return schedule;
  }

  /** False when the run broke off, which is a fault of this program or of a server. */
  async #try(schedule: Schedule, ledgerServer: LedgerServer | undefined, place: string): Promise<boolean> {
    const { topology, seed } = schedule;
    const command = this.#commandFor(schedule);
    const folder = path.join(place, `${topology}-${seed}`);
    const { program } = this;
    try {
      const result = await runSchedule(schedule, { folder, ledgerServer, ...(program && { program }) });
      this.results.push(result);
      const histories = path.join(folder, 'history');
      if (isGuilty(result)) this.#print(accuse(result, command, await this.#keep(histories, schedule)));
      this.#report(result);
      return true;
    } catch (error) {
      this.brokenOff += 1;
      const lines = [`BROKE OFF: ${command}`, ...describeSchedule(schedule), (error as Error).stack];
      this.#print(`${lines.join('\n')}\n`);
      return false;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  /** Draws the same schedule again. */
  #commandFor({ topology, seed }: Schedule): string {
    const { fault, without } = this.options;
    const parts = [`npm run chaos -- --topology ${topology} --seed ${seed} --runs 1`];
    if (fault !== undefined) parts.push(`--fault ${fault.join(' ')}`);
    if (without !== undefined) parts.push(`--without ${without}`);
    return parts.join(' ');
  }

  async #keep(histories: string, { topology, seed }: Schedule): Promise<string> {
    const folder = this.options.keep;
    await mkdir(folder, { recursive: true });
    const kept = path.join(folder, `${topology}-${seed}-${process.pid}`);
    await cp(histories, kept, { recursive: true });
    return kept;
  }

  #report(result: RunResult): void {
    const { schedule, verdict, made, notMade, problems, tookMs } = result;
    const { numbers, missing } = verdict.counts;
    if (this.options.json) {
      const { violations, counts } = verdict;
      const line = { seed: schedule.seed, topology: schedule.topology, guilty: isGuilty(result), counts };
      process.stdout.write(
        `${JSON.stringify({ ...line, violations, problems, made, notMade, tookMs: Math.round(tookMs) })}\n`,
      );
      return;
    }
    const parts = [
      `${isGuilty(result) ? 'GUILTY' : 'ok'}  ${schedule.topology} ${schedule.seed}`,
      `${numbers} numbers, ${missing} missing and explained`,
      made.join(' ') || 'no fault',
      ...notMade.map((what) => `not made: ${what}`),
      `${(tookMs / 1_000).toFixed(1)} s`,
    ];
    this.#print(`${parts.join('; ')}\n`);
  }

  #summarise(guilty: number): void {
    const sum = (name: 'numbers' | 'missing' | 'calls' | 'failed') =>
      this.results.reduce((total, { verdict }) => total + verdict.counts[name], 0);
    const summary = {
      seed: this.options.seed,
      runs: this.results.length,
      guilty,
      brokenOff: this.brokenOff,
      numbers: sum('numbers'),
      calls: sum('calls'),
      failed: sum('failed'),
      missing: sum('missing'),
      faults: countFaults(this.results),
      tookS: Math.round((performance.now() - this.startedAtMs) / 1_000),
    };
    process.stdout.write(
      this.options.json
        ? `${JSON.stringify({ summary })}\n`
        : `${summary.runs} runs from seed ${summary.seed}, ${guilty} guilty, ${this.brokenOff} broke off: ${summary.numbers} numbers of ${summary.calls} calls, ` +
            `${summary.failed} calls failed, ${summary.missing} numbers missing and explained, ${summary.tookS} s\n` +
            `faults: ${Object.entries(summary.faults)
              .map(([name, count]) => `${name} ${count}`)
              .join(', ')}\n`,
    );
  }

  #print(text: string): void {
    (this.options.json ? process.stderr : process.stdout).write(text);
  }
}
