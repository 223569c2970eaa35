/** What happens in a simulated run, drawn from its seed. */

import { Random } from '../../support/random.js';
import type { FaultRates } from '../../support/simulated-faults.js';
import type { Fault, TimedFault } from '../../support/simulated-processes.js';
import type { Excuses } from '../judge/judge.js';
import type { SimulationPlan } from './simulate.js';

/** Faults that come together in one run, because what they may break is the same. */
interface Family {
  readonly name: string;
  readonly faults: readonly Fault[];
  readonly cluster?: boolean;
  /** Between two faults, in virtual milliseconds. */
  readonly spacingMs?: number;
  readonly ledgerOutage?: 'continue';
  /** See docs/guarantees.md. */
  readonly excuses?: Partial<Excuses>;
}

const inPlace = { silentReceipts: true };
const split = { order: true, silentReceipts: true, reading: true };
/** Words that are lost in place no more than once a second. */
const aSecond = 1_010;

const families: readonly Family[] = [
  { name: 'no faults', faults: [] },
  { name: 'failovers', faults: ['failOver', 'restart', 'redisDown', 'ledgerDown', 'pause'] },
  { name: 'lost words', faults: ['flush', 'lostWord'], spacingMs: aSecond, excuses: inPlace },
  {
    name: 'lost words, often',
    faults: ['failOver', 'restart', 'flush', 'lostWord', 'redisDown', 'ledgerDown'],
    excuses: { order: true, silentReceipts: true },
  },
  { name: 'split brains', faults: ['splitBrain', 'failOver', 'ledgerDown', 'pause'], excuses: split },
  { name: 'deaths', faults: ['crash', 'crash', 'failOver', 'restart', 'pause'], excuses: inPlace },
  { name: 'outages of the ledger', faults: ['ledgerDown', 'pause'], ledgerOutage: 'continue' },
  { name: 'lost entries', faults: ['loseEntries', 'redisDown', 'crash', 'pause'] },
  { name: 'clock of the ledger', faults: ['ledgerClockJump', 'failOver', 'crash'], excuses: inPlace },
  {
    name: 'clock of the store',
    faults: ['storeClockJump', 'redisDown', 'crash'],
    excuses: { silentReceipts: true, reading: true },
  },
  { name: 'moved slots', faults: ['moveSlot', 'moveSlot', 'crash'], cluster: true, excuses: inPlace },
  { name: 'failovers in a cluster', faults: ['nodeFailOver', 'crash'], cluster: true, excuses: inPlace },
  { name: 'both', faults: ['moveSlot', 'nodeFailOver', 'ledgerDown'], cluster: true, excuses: split },
  {
    name: 'isolated nodes',
    faults: ['isolatedNode', 'moveSlot', 'nodeFailOver', 'rename'],
    cluster: true,
    excuses: split,
  },
  { name: 'new names', faults: ['rename', 'pause', 'failOver'] },
  { name: 'drained', faults: ['drain', 'drain', 'failOver', 'redisDown', 'ledgerDown', 'pause'] },
  { name: 'drained, deaths', faults: ['drain', 'drain', 'crash', 'failOver'], excuses: inPlace },
];

export interface DrawnPlan extends SimulationPlan {
  readonly family: string;
  readonly schedule: readonly TimedFault[];
}

export function drawPlan(seed: number): DrawnPlan {
  const random = new Random(seed);
  // The first numbers of neighbouring seeds are too much alike.
  for (let skipped = 0; skipped < 4; skipped += 1) random.next();
  const family = families[random.below(families.length)]!;
  const leaseMs = 1_000;
  const count = family.faults.length === 0 ? 0 : 1 + random.below(5);
  return {
    family: family.name,
    processes: 2 + random.below(2),
    conversations: 1 + random.below(family.cluster ? 6 : 3),
    cluster: family.cluster ?? false,
    rates: drawRates(random, family),
    faultEveryMs: 0,
    faults: [],
    schedule: Array.from({ length: count }, () => ({
      kind: family.faults[random.below(family.faults.length)]!,
      afterMs: (family.spacingMs ?? 0) + random.next() * (random.chance(0.2) ? 400 : 60),
    })),
    settleMs: 2_500,
    options: {
      ledgerOutage: family.ledgerOutage ?? 'refuse',
      fenceCheckMs: random.chance(0.3) ? 100 : 1_000,
      reservation: {
        kind: 'adaptive',
        initial: 2 + random.below(8),
        max: 32,
        growBelowMs: 50,
        shrinkAboveMs: 500,
      },
    },
    clients: {
      callers: 1 + random.below(2),
      calls: 4 + random.below(family.spacingMs === undefined ? 10 : 40),
      readers: random.below(2),
      leaseMs,
      mix: {
        many: random.chance(0.7) ? 0.2 : 0,
        messageIds: random.chance(0.6) ? random.next() * 0.7 : 0,
        tracked: random.chance(0.6) ? random.next() * 0.7 : 0,
        impatient: random.chance(0.4) ? 0.1 : 0,
      },
    },
    excuses: { order: false, silentReceipts: false, reading: false, ...family.excuses },
  };
}

function drawRates(random: Random, family: Family): FaultRates {
  const some = (most: number) => (family.faults.length > 0 && random.chance(0.6) ? random.next() * most : 0);
  return {
    lostAfter: some(0.06),
    lostBefore: some(0.04),
    unavailable: some(0.04),
    ledgerFails: some(0.04),
    maxDelayMs: 2 + random.below(random.chance(0.3) ? 20 : 4),
    ...(random.chance(0.2) && { slowChance: 0.05, slowMs: 1_500 }),
  };
}

/** One line for each fault, and what else there is to know. */
export function describePlan({ family, schedule, excuses, onEvent: _, ...rest }: DrawnPlan): string[] {
  const excused = Object.entries(excuses).flatMap(([name, is]) => (is ? [name] : []));
  return [
    `${family}; excused: ${excused.join(', ') || 'nothing'}`,
    JSON.stringify(rest),
    ...schedule.map(({ kind, afterMs }) => `after ${afterMs.toFixed(1)} virtual ms: ${kind}`),
  ];
}
