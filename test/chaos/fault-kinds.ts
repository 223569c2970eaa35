/** Every fault that the campaign knows, and what it does to the promises. */

import type { Topology } from './schedule.js';

/** Faults of one group happen one after the other; those of different groups may overlap. */
export type FaultGroup = 'clients' | 'operators' | 'counters' | 'ledger';

export interface FaultKind {
  readonly group: FaultGroup;
  readonly topologies: readonly Topology[];
  /** Shortest and longest time until it is undone. */
  readonly durationMs: readonly [number, number];
  /** Words are lost, or an older state of them comes back. */
  readonly losesWords?: true;
  /** The same, with the history unchanged: nobody can know that receipts are gone. */
  readonly losesInPlace?: true;
  readonly losesEntries?: true;
  /** The ledger cannot be reached meanwhile. */
  readonly ledgerAway?: true;
  /** Two primaries at once. */
  readonly splits?: true;
  readonly movesSlots?: true;
  readonly movesStoreClock?: true;
  /** A Sentinel that was away may name, or make, another primary than the others do. */
  readonly confusesSentinels?: true;
  /** A client ends, or does not move. */
  readonly endsClients?: true;
}

const everywhere: readonly Topology[] = ['standalone', 'sentinel', 'cluster', 'embedded'];
const servers: readonly Topology[] = ['standalone', 'sentinel', 'cluster'];
const standalone: readonly Topology[] = ['standalone'];
const replicated: readonly Topology[] = ['sentinel', 'cluster'];

const kinds = {
  'kill-client': { group: 'clients', topologies: everywhere, durationMs: [0, 500], endsClients: true },
  'restart-client': { group: 'clients', topologies: everywhere, durationMs: [0, 500], endsClients: true },
  'pause-client': { group: 'clients', topologies: everywhere, durationMs: [100, 2_500], endsClients: true },
  'client-clock-jump': { group: 'clients', topologies: everywhere, durationMs: [200, 2_000] },

  drain: { group: 'operators', topologies: servers, durationMs: [0, 0] },

  'cut-counters': { group: 'counters', topologies: servers, durationMs: [0, 0] },
  'counter-latency': { group: 'counters', topologies: servers, durationMs: [200, 1_000] },
  'half-open-counters': { group: 'counters', topologies: servers, durationMs: [200, 1_800] },
  'counter-replies-dropped': { group: 'counters', topologies: servers, durationMs: [50, 600] },
  'reset-after-request': { group: 'counters', topologies: servers, durationMs: [300, 1_000] },
  'pause-counters': { group: 'counters', topologies: servers, durationMs: [50, 350] },
  flush: inPlace(),
  'delete-words': inPlace(),
  'evict-words': inPlace(),
  'restart-counters': { group: 'counters', topologies: standalone, durationMs: [0, 800], losesWords: true },
  'restore-old-counters': lost(standalone, [0, 500]),
  'promote-lagging-replica': lost(servers, [200, 1_000]),
  'switch-over': { ...lost(standalone, [0, 300]), splits: true },
  'split-brain': { ...lost(standalone, [100, 1_000]), splits: true },
  'counter-clock-jump': {
    ...{ group: 'counters', topologies: standalone, durationMs: [1_500, 2_500] },
    movesStoreClock: true,
  },
  'kill-primary': lost(replicated, [0, 1_500]),
  'kill-replica': { group: 'counters', topologies: servers, durationMs: [0, 1_000] },
  'pause-replica': { group: 'counters', topologies: servers, durationMs: [100, 1_500] },
  'hang-primary': { ...lost(replicated, [1_500, 3_000]), splits: true },
  'isolate-primary': { ...lost(['sentinel'], [100, 1_000]), splits: true },
  'kill-sentinel': { ...sentinelAway(), durationMs: [0, 1_000] },
  'pause-sentinel': { ...sentinelAway(), durationMs: [200, 1_500] },
  'move-slots': { group: 'counters', topologies: ['cluster'], durationMs: [0, 500], movesSlots: true },

  'kill-ledger': { group: 'ledger', topologies: servers, durationMs: [0, 2_000], ledgerAway: true },
  'pause-ledger': { group: 'ledger', topologies: servers, durationMs: [100, 2_500], ledgerAway: true },
  'cut-ledger': { group: 'ledger', topologies: servers, durationMs: [0, 0], ledgerAway: true },
  'ledger-latency': { group: 'ledger', topologies: servers, durationMs: [200, 1_500], ledgerAway: true },
  'half-open-ledger': { group: 'ledger', topologies: servers, durationMs: [200, 2_500], ledgerAway: true },
  'ledger-replies-dropped': { group: 'ledger', topologies: servers, durationMs: [50, 600], ledgerAway: true },
  'reset-after-statement': {
    group: 'ledger',
    topologies: servers,
    durationMs: [300, 1_000],
    ledgerAway: true,
  },
  'ledger-disk-full': { group: 'ledger', topologies: everywhere, durationMs: [300, 2_000], ledgerAway: true },
  'ledger-clock-jump': { group: 'ledger', topologies: servers, durationMs: [500, 2_500] },
  'lose-entries': { group: 'ledger', topologies: servers, durationMs: [0, 0], losesEntries: true },
  'roll-entries-back': { group: 'ledger', topologies: servers, durationMs: [300, 1_500], losesEntries: true },
} satisfies Record<string, FaultKind>;

export type FaultName = keyof typeof kinds;

export const faultKinds: Readonly<Record<FaultName, FaultKind>> = kinds;

export function kindsOf(topology: Topology): FaultName[] {
  return (Object.keys(faultKinds) as FaultName[]).filter((name) =>
    faultKinds[name].topologies.includes(topology),
  );
}

function sentinelAway() {
  return {
    group: 'counters' as const,
    topologies: ['sentinel'] as const,
    confusesSentinels: true as const,
  };
}

function inPlace() {
  return { ...lost(servers, [0, 0]), losesInPlace: true as const };
}

function lost(of: readonly Topology[], durationMs: readonly [number, number]) {
  return { group: 'counters' as const, topologies: of, durationMs, losesWords: true as const };
}
