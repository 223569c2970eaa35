/** What a run of the benchmark leaves behind: docs/performance.json. Raw figures of the rounds; medians are made when it is read. */

import type { WorkloadName } from './workloads.js';

export type FigureName =
  | 'perSecond'
  | 'p50Us'
  | 'p99Us'
  | 'p999Us'
  | 'clientCpuUsPerNumber'
  | 'redisCpuUsPerNumber'
  | 'mariaDbCpuUsPerNumber'
  | 'ledgerRowsPer1000'
  | 'ledgerCommitsPer1000'
  | 'garbageBytesPerNumber'
  | 'first1000Ms';

/** What is reported of a round. What a peer has not is left out. */
export type Figures = Readonly<Partial<Record<FigureName, number>>>;

export type FootprintName = 'redisBytes' | 'clientBytes' | 'ledgerBytes';

/** For each conversation, when all were used. */
export type Footprint = Readonly<Partial<Record<FootprintName, number>>>;

export interface PeerResult {
  readonly title: string;
  readonly conversations: number;
  readonly underWay: number;
  readonly rounds: readonly Figures[];
  readonly footprint: Footprint;
  /** What Tidemark reported during the rounds, by event; empty for other peers. */
  readonly events: Readonly<Record<string, number>>;
}

/** Peers that were measured in turn, with one number of conversations and of calls under way. */
export interface Step {
  readonly conversations: number;
  readonly underWay: number;
  readonly seconds: number;
  readonly peers: Readonly<Record<string, PeerResult>>;
}

export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  readonly redis: string;
  readonly mariaDb: string;
}

export interface Results {
  readonly machine: Machine;
  readonly workloads: Readonly<Partial<Record<WorkloadName, readonly Step[]>>>;
}
