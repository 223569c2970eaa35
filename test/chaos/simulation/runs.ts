/** Many simulated runs in this process. */

import { rmSync } from 'node:fs';
import path from 'node:path';
import { temporaryFolder } from '../../support/server-process.js';
import type { ViolationKind } from '../judge/judge.js';
import { witness } from '../judge/witness.js';
import { type DrawnPlan, describePlan, drawPlan } from './plan.js';
import { shrink } from './shrink.js';
import { simulate, writeHistory } from './simulate.js';

export interface Tally {
  runs: number;
  calls: number;
  numbers: number;
  gaps: number;
  takeovers: number;
  faults: Record<string, number>;
  /** What is said of each run in which something was wrong. */
  accusations: string[];
}

export interface RunsOptions {
  readonly firstSeed: number;
  /** Every so many seeds, from the first one on. */
  readonly step: number;
  readonly runs: number;
  /** Plans of this family only. */
  readonly family?: string | undefined;
  /** The protection that is switched off in this tree. */
  readonly without?: string | undefined;
  /** Ends when so many runs are found guilty; three by default. */
  readonly enough?: number;
  /** No run begins after this, by `performance.now()`. */
  readonly endMs: number;
}

const enoughAccusations = 3;
const shownLines = 60;

export function emptyTally(): Tally {
  return { runs: 0, calls: 0, numbers: 0, gaps: 0, takeovers: 0, faults: {}, accusations: [] };
}

/** Stops when enough runs are found guilty. */
export async function simulateMany(options: RunsOptions): Promise<Tally> {
  // Errors are made by the million here, and nobody reads where.
  Error.stackTraceLimit = 0;
  const tally = emptyTally();
  for (let run = 0; run < options.runs && performance.now() < options.endMs; run += 1) {
    await simulateOne(options.firstSeed + run * options.step, options, tally);
    if (tally.accusations.length >= (options.enough ?? enoughAccusations)) break;
  }
  return tally;
}

async function simulateOne(seed: number, { family, without }: RunsOptions, tally: Tally): Promise<void> {
  const plan = drawPlan(seed, family);
  const switchedOff = without === undefined ? '' : ` --without ${without}`;
  const drawn = family === undefined ? '' : ` --family "${family}"`;
  const command = `npm run simulate -- --seed ${seed} --runs 1${switchedOff}${drawn}`;
  tally.runs += 1;
  try {
    const { verdict, events, gaps, faults } = await simulate(seed, plan);
    tally.calls += verdict.counts.calls;
    tally.numbers += verdict.counts.numbers;
    tally.gaps += gaps.length;
    for (const { type } of events) if (type === 'takeover') tally.takeovers += 1;
    for (const kind of faults) tally.faults[kind] = (tally.faults[kind] ?? 0) + 1;
    const [violation] = verdict.violations;
    if (violation !== undefined) tally.accusations.push(await accuse(command, seed, plan, violation.kind));
  } catch (error) {
    const lines = [`GUILTY: ${command}`, ...describePlan(plan), String(error)];
    tally.accusations.push(lines.join('\n'));
  }
}

/** The seed, the plan, the smallest plan that shows the same, and the shortest history of that. */
async function accuse(command: string, seed: number, plan: DrawnPlan, kind: ViolationKind): Promise<string> {
  const smallest = await shrink(seed, plan, kind);
  const { verdict, history } = await simulate(seed, smallest, true);
  const violation = verdict.violations.find((one) => one.kind === kind)!;
  const folder = await temporaryFolder();
  try {
    writeHistory(path.join(folder.path, 'history'), history);
    const lines = witness(path.join(folder.path, 'history'), violation).slice(0, shownLines);
    return [
      `GUILTY: ${command}`,
      ...describePlan(plan),
      'The smallest plan that shows it:',
      ...describePlan(smallest),
      `${kind} ${violation.conversation}: ${violation.text}`,
      ...lines.map((line) => `    ${line}`),
    ].join('\n');
  } finally {
    rmSync(folder.path, { recursive: true, force: true });
    await folder.remove();
  }
}
