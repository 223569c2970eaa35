/** `npm run soak -- --minutes 60`: the same clients all the time, faults again and again, and what the clients hold meanwhile. */

import { rm } from 'node:fs/promises';
import path from 'node:path';
import { Command } from 'commander';
import { temporaryFolder } from '../support/servers.js';
import { accuse } from './accusation.js';
import { anySeed, integer, runProgram } from './arguments.js';
import { type FaultName, faultKinds, kindsOf } from './fault-kinds.js';
import { Held } from './held.js';
import { countFaults, isGuilty, runSchedule } from './run.js';
import { drawSchedule, type Workload } from './schedule.js';
import { LedgerServer } from './systems/ledger-server.js';

interface SoakOptions {
  readonly seed: number;
  readonly minutes: number;
  readonly everyS: number;
  readonly json?: boolean;
}

const sampleEveryMs = 5_000;
const shownSamples = 60;
/** More than this is a leak. */
const allowedGrowth = 0.1;
const workload: Partial<Workload> = {
  clients: 3,
  callers: 6,
  readers: 1,
  conversations: 300,
  skew: 3,
  maxPauseMs: 40,
  mix: { many: 0.1, messageIds: 0.3, tracked: 0.3, impatient: 0.02 },
};

const program = new Command('soak')
  .description(
    'Clients take numbers for a long time while faults happen again and again; the judge reads what they wrote down, and ' +
      'memory and file descriptors of the clients must not grow.',
  )
  .option('--seed <S>', 'from the clock by default', integer(0, 2 ** 31), anySeed())
  .option('--minutes <M>', 'how long', integer(1, 100_000), 60)
  .option('--every-s <S>', 'a fault each so many seconds', integer(1, 3_600), 8)
  .option('--json', 'one JSON object for each sample, and one in the end')
  .parse();

runProgram('soak', () => soak(program.opts<SoakOptions>()));

/** Clients live on, and nothing is excused: no fault ends a client, and none breaks the order. */
function mayHappen(name: FaultName): boolean {
  const { endsClients, splits, losesInPlace, losesEntries, movesStoreClock } = faultKinds[name];
  return !(endsClients || splits || losesInPlace || losesEntries || movesStoreClock);
}

async function soak({ seed, minutes, everyS, json }: SoakOptions): Promise<boolean> {
  const lengthMs = minutes * 60_000;
  const schedule = drawSchedule(seed, 'standalone', {
    among: kindsOf('standalone').filter(mayHappen),
    loss: 'words',
    count: Math.ceil((minutes * 60) / everyS),
    lengthMs,
    workload,
  });
  const place = await temporaryFolder();
  const ledgerServer = await LedgerServer.start(place.path);
  const held = new Held();
  let timer: NodeJS.Timeout | undefined;
  try {
    const folder = path.join(place.path, 'soak');
    const result = await runSchedule(schedule, {
      folder,
      ledgerServer,
      onStart: (clients) => {
        timer = setInterval(() => {
          const sample = held.take(clients.slots.map(({ child }) => child.pid!));
          if (json && sample !== undefined) process.stdout.write(`${JSON.stringify(sample)}\n`);
        }, sampleEveryMs);
      },
    });
    clearInterval(timer);
    if (isGuilty(result)) {
      const command = `npm run soak -- --seed ${seed} --minutes ${minutes} --every-s ${everyS}`;
      process.stderr.write(accuse(result, command, path.join(folder, 'history')));
    }
    const growth = { memory: held.growth('memoryMiB'), descriptors: held.growth('descriptors') };
    const { counts } = result.verdict;
    const summary = {
      seed,
      minutes,
      guilty: isGuilty(result),
      counts,
      faults: countFaults([result]),
      growth,
    };
    process.stdout.write(json ? `${JSON.stringify({ summary })}\n` : report(held, summary));
    return !summary.guilty && growth.memory <= allowedGrowth && growth.descriptors <= allowedGrowth;
  } finally {
    clearInterval(timer);
    await ledgerServer.stop();
    await rm(place.path, { recursive: true, force: true });
  }
}

function report(
  { samples }: Held,
  summary: {
    growth: { memory: number; descriptors: number };
    faults: object;
    guilty: boolean;
    counts: object;
  },
): string {
  const step = Math.max(1, Math.ceil(samples.length / shownSamples));
  const rows = samples
    .filter((_, index) => index % step === 0)
    .map(
      ({ atMs, memoryMiB, descriptors }) =>
        `${(atMs / 60_000).toFixed(1).padStart(7)} min ${memoryMiB.toFixed(1).padStart(8)} MiB ${String(descriptors).padStart(5)} descriptors`,
    );
  const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
  const { growth, faults, guilty, counts } = summary;
  return [
    ...rows,
    `from the second quarter to the last: memory ${percent(growth.memory)}, descriptors ${percent(growth.descriptors)}`,
    `${guilty ? 'GUILTY' : 'no violation'}: ${JSON.stringify(counts)}`,
    `faults: ${JSON.stringify(faults)}\n`,
  ].join('\n');
}
