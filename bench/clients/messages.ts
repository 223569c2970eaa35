/** What the benchmark and its client processes say to each other. Everything is plain JSON. */

import type { PeerName } from './peers.js';
import type { Distribution } from './picks.js';

/** How a client process is set up. */
export interface ClientSetup {
  readonly peer: PeerName;
  readonly conversations: number;
  readonly distribution: Distribution;
  /** Numbers of one call; 1 is a plain `next`. */
  readonly batch: number;
  readonly seed: number;
  /** `redis+cluster://` for a cluster. */
  readonly redisUrl: string;
  /** The peer's own database; undefined for peers without one. */
  readonly mysqlUrl: string | undefined;
  /** An empty folder of the client's own. */
  readonly folder: string;
  /** Where to write a CPU profile of the rounds; undefined for none. */
  readonly profileFile?: string | undefined;
}

export type ClientCommand =
  /** One call, so that the client is connected. Tells the memory that is in use then. */
  | { readonly command: 'connect' }
  /** Uses `count` conversations once each, in turn, from the conversation `first` on. */
  | { readonly command: 'pass'; readonly first: number; readonly count: number; readonly underWay: number }
  /** Brings the blocks of all conversations into the state that long use leaves them in. */
  | { readonly command: 'age' }
  | { readonly command: 'round'; readonly seconds: number; readonly underWay: number };

export type ClientRequest = ClientCommand | { readonly command: 'close' };

export type ClientAnswer =
  | { readonly status: 'ready' }
  | { readonly status: 'done'; readonly run: ClientRun }
  | { readonly status: 'failed'; readonly message: string };

/** What was measured of one command. What a peer does not tell is left out. */
export interface ClientRun {
  readonly numbers: number;
  /** From the first call until the last reply. */
  readonly elapsedMs: number;
  readonly p50Us?: number;
  readonly p99Us?: number;
  readonly p999Us?: number;
  /** From the first call until the thousandth reply, if there were as many. */
  readonly first1000Ms?: number;
  /** User and system time of the whole process: load generator, peer, garbage collection. */
  readonly cpuUs?: number;
  /** Bytes allocated in the heap meanwhile. */
  readonly garbageBytes?: number;
  /** Heap and buffers in use, when garbage has been collected. */
  readonly memoryBytes?: number;
  /** How often the peer reported what, by the name of the event. */
  readonly events: Readonly<Record<string, number>>;
}

/** Whoever carries out commands: a client process, or redis-benchmark. */
export interface Client {
  run(command: ClientCommand): Promise<ClientRun>;
  close(): Promise<void>;
}
