import type { Gap } from '../../../src/core/ledger.js';
import type { ClientStores } from '../client-process.js';
import type { FaultName } from '../fault-kinds.js';
import type { Fault } from '../schedule.js';

/** Breaks something, waits as long as the fault says, and mends it again. */
export type Infliction = (fault: Fault) => Promise<void>;

export type Inflictions = Partial<Record<FaultName, Infliction>>;

/** The stores of one run, and what can be done to them. */
export interface System {
  /** How the clients of a slot reach the stores; a client that takes the place of another has the same slot. */
  storesFor(slot: number): ClientStores;
  readonly inflictions: Inflictions;
  /** Every recorded gap, when the clients have ended. */
  gaps(conversations: ReadonlySet<string>): Promise<readonly Gap[]>;
  stop(): Promise<void>;
}

/** A fault that cannot be made here; the run goes on without it. */
export class NotPossible extends Error {}
