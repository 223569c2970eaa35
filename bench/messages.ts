/** What the benchmark and its client processes say to each other. Everything is plain JSON. */

import type { PeerName } from './peers.js';
import type { WorkloadName } from './workloads.js';

/** How a client process is set up. */
export interface ClientSetup {
  readonly peer: PeerName;
  readonly workload: WorkloadName;
  readonly conversations: number;
  readonly underWay: number;
  readonly seed: number;
  /** `redis+cluster://` for a cluster. */
  readonly redisUrl: string;
  /** The peer's database; undefined for peers without a ledger server. */
  readonly mysqlUrl: string | undefined;
  /** An empty folder of the client's own. */
  readonly folder: string;
  /** Where to write a CPU profile of the rounds; undefined for none. */
  readonly profileFolder?: string | undefined;
}

export type ClientCommand =
  /** Uses every conversation for the first time. */
  | { readonly command: 'cold' }
  /** Brings the conversations and the compiler into their steady state. */
  | { readonly command: 'warm'; readonly seconds: number }
  | { readonly command: 'round'; readonly seconds: number }
  | { readonly command: 'close' };

export type ClientAnswer =
  | { readonly status: 'ready' }
  | { readonly status: 'done'; readonly run: ClientRun }
  | { readonly status: 'failed'; readonly message: string };

/** What a client measured in one run. */
export interface ClientRun {
  readonly numbers: number;
  /** From the first call until the last reply. */
  readonly elapsedMs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly maxUs: number;
  /** User and system time of the whole process: load generator, peer, garbage collection. */
  readonly cpuUs: number;
  readonly heapMiB: number;
  /** How often the peer reported what, by the name of the event. */
  readonly events: Readonly<Record<string, number>>;
}
