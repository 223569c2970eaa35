/** `npm run simulate -- --seconds 60`: see `--help`. */

import { fork } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, Option } from 'commander';
import { anySeed, integer, runProgram } from './arguments.js';
import { protectionCalled, protections, withoutProtection } from './protections.js';
import { familyNames } from './simulation/plan.js';
import { emptyTally, simulateMany, type Tally } from './simulation/runs.js';

interface SimulateOptions {
  readonly seed: number;
  readonly runs?: number;
  readonly seconds?: number;
  readonly jobs: number;
  readonly family?: string;
  readonly without?: string;
  readonly json?: boolean;
}

/** What a process of several is told. */
interface Share {
  readonly firstSeed: number;
  readonly step: number;
  readonly runs: number;
  readonly seconds: number;
  readonly family?: string | undefined;
  readonly without?: string | undefined;
  readonly enough?: number;
}

const thisFile = fileURLToPath(import.meta.url);

const program = new Command('simulate')
  .description(
    'Runs the core on a virtual clock, over simulated stores that fail at random, and judges what its clients saw. Every run ' +
      'is drawn from its seed: run n of seed S is run 1 of seed S + n − 1.',
  )
  .option('--seed <S>', 'seed of the first run; from the clock by default', integer(0, 2 ** 31), anySeed())
  .option('--runs <N>', 'how many runs', integer(1, 1_000_000_000))
  .option('--seconds <T>', 'how long; 10 without --runs', integer(1, 1_000_000))
  .option('--jobs <J>', 'processes', integer(1, 64), 2)
  .addOption(new Option('--family <name>', 'only runs with these faults').choices(familyNames))
  .addOption(
    new Option(
      '--without <protection>',
      'switch a protection off; ends well when the judge finds that out',
    ).choices(protections.filter(({ simulatedRuns }) => simulatedRuns !== undefined).map(({ name }) => name)),
  )
  .option('--json', 'one JSON object')
  .parse();

const share = process.env['TIDEMARK_SIMULATION_SHARE'];
if (share === undefined) runProgram('simulate', () => main(program.opts<SimulateOptions>()));
else await work(JSON.parse(share) as Share);

async function main({
  seed,
  runs,
  seconds,
  jobs,
  without,
  json,
  ...options
}: SimulateOptions): Promise<boolean> {
  const protection = without === undefined ? undefined : protectionCalled(without);
  const wanted = runs ?? protection?.simulatedRuns;
  const limitS = seconds ?? (wanted === undefined ? 10 : Number.MAX_SAFE_INTEGER);
  const file =
    protection === undefined
      ? thisFile
      : path.join(withoutProtection(protection), 'test/chaos/simulate-main.js');
  const startedAtMs = performance.now();
  const shares = Array.from(
    { length: jobs },
    (_, index): Share => ({
      firstSeed: seed + index,
      step: jobs,
      runs: Math.ceil(((wanted ?? Number.MAX_SAFE_INTEGER) - index) / jobs),
      seconds: limitS,
      family: options.family ?? protection?.simulatedFamily,
      // Of a protection that is switched off one is enough.
      ...(protection !== undefined && { without, enough: 1 }),
    }),
  );
  const total = emptyTally();
  for (const tally of await Promise.all(shares.map((one) => startShare(file, one)))) add(total, tally);
  const tookS = (performance.now() - startedAtMs) / 1_000;
  const { accusations, ...sums } = total;
  const found = accusations.length > 0;
  if (json) process.stdout.write(`${JSON.stringify({ seed, tookS, ...total })}\n`);
  else {
    for (const accusation of accusations) process.stdout.write(`${accusation}\n`);
    process.stdout.write(
      `${sums.runs} schedules from seed ${seed}, ${accusations.length} guilty, ${tookS.toFixed(1)} s, ` +
        `${Math.round(sums.runs / tookS)} a second: ${sums.calls} calls, ${sums.numbers} numbers, ` +
        `${sums.takeovers} takeovers, ${sums.gaps} gaps\nfaults: ${JSON.stringify(sums.faults)}\n`,
    );
  }
  return protection === undefined ? !found : found;
}

function startShare(file: string, share: Share): Promise<Tally> {
  const env = { ...process.env, TIDEMARK_SIMULATION_SHARE: JSON.stringify(share) };
  const child = fork(file, [], { env });
  return new Promise((resolve, reject) => {
    let tally: Tally | undefined;
    child.on('message', (message: Tally) => {
      tally = message;
    });
    child.once('exit', (status) => {
      if (tally !== undefined && status === 0) resolve(tally);
      else reject(new Error(`a process of the simulation ended with status ${status}`));
    });
  });
}

async function work({ seconds, ...share }: Share): Promise<void> {
  const tally = await simulateMany({ ...share, endMs: performance.now() + seconds * 1_000 });
  await new Promise<void>((resolve) => process.send!(tally, () => resolve()));
  process.disconnect();
}

function add(total: Tally, { accusations, faults, ...sums }: Tally): void {
  total.accusations.push(...accusations);
  for (const [name, count] of Object.entries(sums) as [keyof typeof sums, number][]) total[name] += count;
  for (const [kind, count] of Object.entries(faults)) total.faults[kind] = (total.faults[kind] ?? 0) + count;
}
