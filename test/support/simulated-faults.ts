/** What goes wrong on the way to simulated stores, and how often. All of it follows from the seed. */

import { TidemarkError } from '../../src/errors.js';
import type { Random } from './random.js';

export interface FaultRates {
  /** Chance that a take's reply is lost for good although it ran. */
  readonly lostAfter: number;
  /** Chance that a take is lost before it runs. */
  readonly lostBefore: number;
  /** Chance that a call is refused because the store is out of reach. */
  readonly unavailable: number;
  /** Chance that an operation of the ledger fails, before or after it was done. */
  readonly ledgerFails: number;
  /** Longest delay on the way to a store, and back, in milliseconds. */
  readonly maxDelayMs: number;
  /** Chance that a delay is up to `slowMs` instead. */
  readonly slowChance?: number;
  readonly slowMs?: number;
}

export const noFaults: FaultRates = {
  lostAfter: 0,
  lostBefore: 0,
  unavailable: 0,
  ledgerFails: 0,
  maxDelayMs: 3,
};

export function delayMs(random: Random, rates: FaultRates): number {
  const isSlow = rates.slowMs !== undefined && random.chance(rates.slowChance ?? 0);
  return random.next() * (isSlow ? rates.slowMs : rates.maxDelayMs);
}

export function unavailable(code: 'counter_unavailable' | 'ledger_unavailable'): TidemarkError {
  return new TidemarkError(code, 'planned fault');
}
