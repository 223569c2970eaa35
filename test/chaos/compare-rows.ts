/** What is compared: the faults, who has to bear them, and the runs in which they do. */

import type { FaultName } from './fault-kinds.js';
import { faultKinds } from './fault-kinds.js';
import type { PeerName } from './issuers/issuer.js';
import { drawSchedule, type Schedule, type Workload } from './schedule.js';

type Store = 'redis' | 'mysql';

export interface ComparedSystem {
  readonly name: PeerName;
  readonly title: string;
  /** Faults of other stores do not concern it. */
  readonly uses: readonly Store[];
  /** Redis flushes its file of commands before it answers. */
  readonly flushesAlways?: true;
}

export const comparedSystems: readonly ComparedSystem[] = [
  { name: 'incr', title: '`INCR`', uses: ['redis'] },
  { name: 'incr-snapshot', title: '`INCR`, snapshots in MySQL', uses: ['redis', 'mysql'] },
  { name: 'incr-aof-always', title: '`INCR`, AOF flushed always', uses: ['redis'], flushesAlways: true },
  { name: 'incr-wait', title: '`INCR` and `WAIT 1`', uses: ['redis'] },
  { name: 'mysql-row', title: 'a row in MySQL', uses: ['mysql'] },
  { name: 'tidemark', title: 'Tidemark', uses: ['redis', 'mysql'] },
];

export interface ComparedFault {
  readonly name: string;
  readonly title: string;
  readonly fault?: FaultName;
  /** The same on the way to MySQL, for those who have nothing else. */
  readonly faultOfMySql?: FaultName;
  /** Redis keeps its file of commands unless the fault is that it is gone. */
  readonly persistence?: Schedule['persistence'];
}

export const comparedFaults: readonly ComparedFault[] = [
  { name: 'none', title: 'none' },
  { name: 'kill-client', title: 'a client is killed', fault: 'kill-client' },
  {
    name: 'lost-replies',
    title: 'replies are lost, and their connections with them',
    fault: 'reset-after-request',
    faultOfMySql: 'reset-after-statement',
  },
  {
    name: 'half-open',
    title: 'connections stay open, and nothing passes for a while',
    fault: 'half-open-counters',
    faultOfMySql: 'half-open-ledger',
  },
  {
    name: 'restart-empty',
    title: 'Redis is killed, its files are gone, it starts empty',
    fault: 'restart-counters',
    persistence: 'none',
  },
  { name: 'restart-with-aof', title: 'Redis is killed, and starts with its AOF', fault: 'restart-counters' },
  {
    name: 'restore-old-aof',
    title: 'Redis starts with an AOF of a moment ago',
    fault: 'restore-old-counters',
  },
  {
    name: 'promote-lagging-replica',
    title: 'a replica that is behind is promoted',
    fault: 'promote-lagging-replica',
  },
  {
    name: 'switch-over',
    title: 'a replica is promoted, and clients follow one by one',
    fault: 'switch-over',
  },
  { name: 'split-brain', title: 'two primaries for a while (split brain)', fault: 'split-brain' },
  { name: 'flush', title: '`FLUSHALL`', fault: 'flush' },
  { name: 'delete-words', title: 'counters are deleted', fault: 'delete-words' },
  { name: 'evict-words', title: 'counters are evicted', fault: 'evict-words' },
  { name: 'kill-ledger', title: 'MySQL is killed, and starts again', fault: 'kill-ledger' },
  { name: 'lose-entries', title: 'rows in MySQL are lost', fault: 'lose-entries' },
  {
    name: 'roll-entries-back',
    title: 'rows in MySQL are those of a moment ago',
    fault: 'roll-entries-back',
  },
];

/** How long things break, in milliseconds. */
export const comparedLengthMs = 3_000;

/** Nothing that only some can do: no message ids, no tracked takes. */
export const comparedWorkload: Workload = {
  clients: 3,
  callers: 6,
  readers: 0,
  conversations: 20,
  skew: 1,
  mix: { many: 0.15, messageIds: 0, tracked: 0, impatient: 0 },
  maxPauseMs: 10,
  leaseMs: 30_000,
  fenceCheckMs: 1_000,
  ledgerOutage: 'continue',
  firstBlock: 64,
  // A run has some thousands of numbers; with the usual 10,000 nobody would ever take a snapshot in it.
  snapshotEvery: 200,
};

export function faultOf(
  { fault, faultOfMySql }: ComparedFault,
  { uses }: ComparedSystem,
): FaultName | undefined {
  return uses.includes('redis') ? fault : (faultOfMySql ?? fault);
}

/** Whether a fault is one of what the system uses. */
export function concerns(row: ComparedFault, system: ComparedSystem): boolean {
  const fault = faultOf(row, system);
  if (fault === undefined) return true;
  const { group } = faultKinds[fault];
  return group === 'clients' || system.uses.includes(group === 'ledger' ? 'mysql' : 'redis');
}

/** The same for all systems, but for what the system is. */
export function scheduleOf(row: ComparedFault, system: ComparedSystem, seed: number): Schedule {
  const fault = faultOf(row, system);
  const schedule = drawSchedule(seed, 'standalone', {
    only: fault === undefined ? [] : [fault],
    persistence: row.persistence ?? 'aof',
    workload: comparedWorkload,
    lengthMs: comparedLengthMs,
  });
  return system.flushesAlways ? { ...schedule, flushesAlways: true } : schedule;
}
