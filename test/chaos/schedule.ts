/** What happens in one run, drawn from its seed: who takes numbers of what, and what breaks when. */

import { Random } from '../support/random.js';
import { type FaultGroup, type FaultName, faultKinds, kindsOf } from './fault-kinds.js';
import type { Excuses } from './judge/judge.js';

export const topologies = ['standalone', 'sentinel', 'cluster', 'embedded'] as const;
export type Topology = (typeof topologies)[number];

/** How often a client does what, out of one. */
export interface Mix {
  /** Ranges of 2 to 50 numbers. */
  readonly many: number;
  readonly messageIds: number;
  readonly tracked: number;
  /** Calls that give up after a few milliseconds. */
  readonly impatient: number;
}

export interface Workload {
  /** Processes; 1 for an embedded generator. */
  readonly clients: number;
  /** Calls under way in each of them. */
  readonly callers: number;
  readonly readers: number;
  readonly conversations: number;
  /** 1: every conversation is as likely; above: the first ones are more likely. */
  readonly skew: number;
  readonly mix: Mix;
  /** Longest pause of a caller between two calls, in milliseconds. */
  readonly maxPauseMs: number;
  readonly leaseMs: number;
  readonly fenceCheckMs: number;
  /** Words that nobody has used for so long are drained in the background; never where it is missing. */
  readonly idleAfterMs?: number;
  readonly ledgerOutage: 'continue' | 'refuse';
  /** How large the first block of a conversation is. */
  readonly firstBlock: number;
  /** After how many numbers those who take snapshots take one; their default where it is missing. */
  readonly snapshotEvery?: number;
}

export interface Fault {
  readonly kind: FaultName;
  /** Not before this time of the run; faults of one group wait for each other. */
  readonly atMs: number;
  readonly durationMs: number;
  /** Which server, client or key it hits, from 0 up to, not including, 1. */
  readonly pick: number;
}

export interface Schedule {
  readonly seed: number;
  readonly topology: Topology;
  /** What Redis finds when it starts again. */
  readonly persistence: 'none' | 'aof' | 'rdb';
  /** Redis has a file of commands in any case, and flushes it before it answers; without persistence it finds it gone. */
  readonly flushesAlways?: boolean;
  readonly workload: Workload;
  /** How long things break. */
  readonly lengthMs: number;
  readonly faults: readonly Fault[];
  /** What the documentation excepts from the promises in such a run; see docs/guarantees.md. */
  readonly excuses: Excuses;
}

/** What one run may lose: never both, for that is what P1 excepts. */
type Loss = 'words' | 'entries' | 'nothing';

/** Words that are lost in place twice within a second may break the order (P2). */
export const lossSpacingMs = 1_500;

/** What is not left to the seed. */
export interface DrawOptions {
  /** These faults, each once. */
  readonly only?: readonly FaultName[];
  /** Faults of these kinds, as many as `count` says. */
  readonly among?: readonly FaultName[];
  readonly count?: number;
  readonly lengthMs?: number;
  readonly workload?: Partial<Workload>;
  readonly persistence?: Schedule['persistence'];
  readonly loss?: Loss;
}

/** The schedule of a seed. The same seed and options, the same schedule. */
export function drawSchedule(seed: number, topology: Topology, options: DrawOptions = {}): Schedule {
  const random = new Random(seed);
  const lengthMs = options.lengthMs ?? 2_500 + random.below(2_500);
  const faults = drawFaults(random, topology, lengthMs, options);
  const persistence = random.chance(0.3) ? 'none' : random.chance(0.7) ? 'aof' : 'rdb';
  return {
    seed,
    topology,
    persistence: options.persistence ?? persistence,
    workload: { ...drawWorkload(random, topology, faults), ...options.workload },
    lengthMs,
    faults,
    excuses: excusesFor(faults, topology),
  };
}

function drawWorkload(random: Random, topology: Topology, faults: readonly Fault[]): Workload {
  const hidesWords = has(faults, 'losesWords') || has(faults, 'movesSlots');
  const mayMissBoth = hidesWords && has(faults, 'ledgerAway');
  return {
    clients: topology === 'embedded' ? 1 : 2 + random.below(3),
    callers: 2 + random.below(9),
    readers: random.below(3),
    conversations: random.chance(0.2) ? 1 : 2 + random.below(random.chance(0.3) ? 400 : 40),
    skew: random.chance(0.5) ? 1 : 3,
    mix: {
      many: random.chance(0.7) ? random.next() * 0.3 : 0,
      messageIds: random.chance(0.6) ? random.next() * 0.6 : 0,
      tracked: random.chance(0.6) ? random.next() * 0.6 : 0,
      impatient: random.chance(0.4) ? random.next() * 0.1 : 0,
    },
    maxPauseMs: 4 + random.below(12),
    leaseMs: 1_500 + random.below(1_500),
    fenceCheckMs: random.chance(0.3) ? 200 : 1_000,
    ...(topology !== 'embedded' && random.chance(0.3) && { idleAfterMs: 1_000 }),
    // Unbacked conversations whose words are lost, or moved away, meanwhile are what P1 excepts.
    ledgerOutage: mayMissBoth || random.chance(0.3) ? 'refuse' : 'continue',
    firstBlock: random.chance(0.5) ? 64 : 4 + random.below(20),
  };
}

function drawFaults(
  random: Random,
  topology: Topology,
  lengthMs: number,
  { only, among = kindsOf(topology), count = drawCount(random), loss = drawLoss(random) }: DrawOptions,
): Fault[] {
  const allowed = among.filter((name) => mayHappen(name, loss));
  const faults: Fault[] = [];
  for (let index = 0; index < (only?.length ?? count); index += 1) {
    const kind = only?.[index] ?? allowed[random.below(allowed.length)]!;
    const [shortest, longest] = faultKinds[kind].durationMs;
    faults.push({
      kind,
      atMs: random.below(lengthMs),
      durationMs: shortest + random.below(longest - shortest + 1),
      pick: random.next(),
    });
  }
  return spaced(faults.sort((one, other) => one.atMs - other.atMs));
}

/** Mostly few, so that it is seen what each of them does; now and then one upon the other. */
function drawCount(random: Random): number {
  return random.chance(0.25) ? 6 + random.below(10) : 1 + random.below(5);
}

function drawLoss(random: Random): Loss {
  if (random.chance(0.15)) return 'entries';
  return random.chance(0.85) ? 'words' : 'nothing';
}

function mayHappen(name: FaultName, loss: Loss): boolean {
  const { losesWords, losesEntries, movesSlots } = faultKinds[name];
  // The words of a slot that moves are of another history: nobody finds them any more.
  if (movesSlots === true && loss === 'entries') return false;
  return !(losesWords === true && loss !== 'words') && !(losesEntries === true && loss !== 'entries');
}

function spaced(faults: readonly Fault[]): Fault[] {
  let freeAtMs = 0;
  return faults.map((fault) => {
    if (faultKinds[fault.kind].losesWords !== true) return fault;
    const atMs = Math.max(fault.atMs, freeAtMs);
    freeAtMs = atMs + fault.durationMs + lossSpacingMs;
    return { ...fault, atMs };
  });
}

function excusesFor(faults: readonly Fault[], topology: Topology): Excuses {
  const loses = has(faults, 'losesWords');
  const splits =
    has(faults, 'splits') || (loses && (has(faults, 'movesSlots') || has(faults, 'confusesSentinels')));
  const clientsDie = has(faults, 'endsClients');
  const movesStoreClock = has(faults, 'movesStoreClock');
  return {
    order: splits,
    silentReceipts:
      splits ||
      // Receipts expire by the clock of the store.
      movesStoreClock ||
      has(faults, 'losesInPlace') ||
      (loses && clientsDie) ||
      // An embedded generator that starts again has forgotten message ids.
      (topology === 'embedded' && clientsDie),
    reading: splits || movesStoreClock,
  };
}

function has(faults: readonly Fault[], trait: keyof (typeof faultKinds)[FaultName]): boolean {
  return faults.some(({ kind }) => faultKinds[kind][trait] === true);
}

/** The faults of one group, in the order in which they happen. */
export function faultsOf(schedule: Schedule, group: FaultGroup): Fault[] {
  return schedule.faults.filter(({ kind }) => faultKinds[kind].group === group);
}

/** One line for each fault, and the workload. */
export function describeSchedule(schedule: Schedule): string[] {
  const { topology, persistence, workload, lengthMs, faults, excuses } = schedule;
  const excused = Object.entries(excuses).flatMap(([name, is]) => (is ? [name] : []));
  return [
    `${topology}, persistence ${persistence}, ${lengthMs} ms; excused: ${excused.join(', ') || 'nothing'}`,
    `workload ${JSON.stringify(workload)}`,
    ...faults.map(
      ({ kind, atMs, durationMs, pick }) =>
        `${String(atMs).padStart(6)} ms  ${kind} for ${durationMs} ms (${pick.toFixed(3)})`,
    ),
  ];
}
