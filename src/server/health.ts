/** Whether the server can do its work, and if not, why. */

import type { TidemarkEvent } from '../core/events.js';

export interface Readiness {
  readonly ready: boolean;
  /** Why it is not, each a short text; what is worth knowing although it is. */
  readonly reasons: readonly string[];
}

/**
 * Follows the stores by the generator's events.
 *
 * Without the counters nothing is issued, so the server is not ready. Without the ledger warm conversations go on, so it
 * stays ready where the policy is `continue`, and says so.
 */
export class Health {
  readonly #goesOnWithoutLedger: boolean;
  readonly #down = new Set<'counters' | 'ledger'>();
  #isFenced = false;
  /** What keeps the server from having started; undefined when it has. */
  #starting: string | undefined = 'starting';
  #isStopping = false;

  constructor(options: { readonly goesOnWithoutLedger: boolean }) {
    this.#goesOnWithoutLedger = options.goesOnWithoutLedger;
  }

  /** For the generator's `onEvent`. */
  event(event: TidemarkEvent): void {
    if (event.type === 'store') {
      if (event.status === 'down') this.#down.add(event.store);
      else this.#down.delete(event.store);
    } else if (event.type === 'fenced') this.#isFenced = true;
    else if (event.type === 'generation') this.#isFenced = false;
  }

  /** The stores were not reached so far, for the reason that the code of an error names. */
  notStarted(code: string): void {
    if (this.#starting !== undefined) this.#starting = `starting: ${code}`;
  }

  /** All doors are open, and the stores were reached. */
  started(): void {
    this.#starting = undefined;
  }

  stopping(): void {
    this.#isStopping = true;
  }

  get readiness(): Readiness {
    const reasons: string[] = [];
    if (this.#starting !== undefined) reasons.push(this.#starting);
    if (this.#isStopping) reasons.push('stopping');
    if (this.#down.has('counters')) reasons.push('the counter store is out of reach');
    if (this.#isFenced) reasons.push('fenced: the counter store was replaced');
    const isBlocked = reasons.length > 0 || (this.#down.has('ledger') && !this.#goesOnWithoutLedger);
    if (this.#down.has('ledger')) reasons.push('the ledger is out of reach');
    return { ready: !isBlocked, reasons };
  }
}
