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
  /** Whether some answers come after a second or more; at random by default. */
  readonly slow?: boolean;
  /** More calls than elsewhere, because what may go wrong takes its time. */
  readonly longer?: boolean;
  /** The ledger always answers. */
  readonly sureLedger?: boolean;
  /** See docs/guarantees.md. */
  readonly excuses?: Partial<Excuses>;
}

const inPlace = { silentReceipts: true };
const clocks = { silentReceipts: true, reading: true };
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
  { name: 'late installs', faults: ['flush'], spacingMs: aSecond, slow: true, excuses: inPlace },
  {
    name: 'losses, unbacked if need be',
    faults: ['failOver', 'restart', 'crash'],
    ledgerOutage: 'continue',
    slow: false,
    sureLedger: true,
    excuses: inPlace,
  },
  {
    name: 'split brains',
    faults: ['splitBrain', 'splitBrain', 'failOver', 'ledgerDown', 'pause'],
    longer: true,
    excuses: split,
  },
  { name: 'deaths', faults: ['crash', 'crash', 'failOver', 'restart', 'pause'], excuses: inPlace },
  { name: 'outages of the ledger', faults: ['ledgerDown', 'pause'], ledgerOutage: 'continue' },
  { name: 'lost entries', faults: ['loseEntries', 'redisDown', 'crash', 'pause'] },
  { name: 'clock of the ledger', faults: ['ledgerClockJump', 'failOver', 'crash'], excuses: clocks },
  { name: 'clock of the store', faults: ['storeClockJump', 'redisDown', 'crash'], excuses: clocks },
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
  {
    name: 'drained, unbacked',
    faults: ['drain', 'drain', 'ledgerDown', 'ledgerDown', 'pause'],
    ledgerOutage: 'continue',
  },
  { name: 'drained, deaths', faults: ['drain', 'drain', 'crash', 'failOver'], excuses: inPlace },
];

export interface DrawnPlan extends SimulationPlan {
  readonly family: string;
  readonly schedule: readonly TimedFault[];
}

export const familyNames: readonly string[] = families.map(({ name }) => name);

/** @param only - the family, instead of any */
export function drawPlan(seed: number, only?: string): DrawnPlan {
  const random = new Random(seed);
  // The first numbers of neighbouring seeds are too much alike.
  for (let skipped = 0; skipped < 4; skipped += 1) random.next();
  const drawn = families[random.below(families.length)]!;
  const family = only === undefined ? drawn : families.find(({ name }) => name === only)!;
  const leaseMs = 1_000;
  const count = family.faults.length === 0 ? 0 : 1 + random.below(5);
  const plan = {
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
      calls: 4 + random.below(family.spacingMs === undefined && !family.longer ? 10 : 40),
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
  } as const;
  // A take may be on its way so long, there and back, after its caller gave up; then its lease has to end.
  return { ...plan, settleMs: 2_500 + 2 * (plan.rates.slowMs ?? 0) };
}

function drawRates(random: Random, family: Family): FaultRates {
  const some = (most: number) => (family.faults.length > 0 && random.chance(0.6) ? random.next() * most : 0);
  return {
    lostAfter: some(0.06),
    lostBefore: some(0.04),
    unavailable: some(0.04),
    ledgerFails: family.sureLedger ? 0 : some(0.04),
    maxDelayMs: 2 + random.below(random.chance(0.3) ? 20 : 4),
    ...((family.slow ?? random.chance(0.2)) && { slowChance: 0.05, slowMs: family.slow ? 3_000 : 1_500 }),
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
