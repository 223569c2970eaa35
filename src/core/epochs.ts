import { TidemarkError } from '../errors.js';
import { backoffMs } from './backoff.js';
import type { Clock } from './clock.js';
import type { CounterStore, Epoch } from './counter-store.js';
import type { EventListener } from './events.js';
import type { Ledger } from './ledger.js';

/** Delay before the next try to find out the epoch: doubles from the first to the second, in milliseconds. */
const firstRetryMs = 5;
const maxRetryMs = 250;

/**
 * Which history the counter store has, and which generation the ledger gave it.
 *
 * Unknown at first and after every `stale` answer; then one inquiry at a time goes on until it succeeds.
 */
export class Epochs {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #emit: EventListener;
  readonly #onKnown: (epoch: Epoch) => void;
  #current: Epoch | undefined;
  #inquiring = false;
  #failures = 0;
  #cancelRetry: (() => void) | undefined;
  #closed = false;
  readonly #sweep = new AbortController();
  /** What keeps the epoch from being known; undefined while it is known or the first inquiry goes on. */
  trouble: TidemarkError | undefined;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    clock: Clock;
    emit: EventListener;
    /** Called each time the epoch is known (again). */
    onKnown: (epoch: Epoch) => void;
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#emit = parts.emit;
    this.#onKnown = parts.onKnown;
  }

  /** The epoch if it is known; otherwise an inquiry is under way. */
  get current(): Epoch | undefined {
    if (this.#current === undefined) this.#inquire();
    return this.#current;
  }

  /** The store says that its data set has another history than `epoch`. */
  stale(epoch: Epoch): void {
    if (this.#current === epoch) this.#current = undefined;
    this.#inquire();
  }

  /** Ends inquiries and sweeping. */
  close(): void {
    this.#closed = true;
    this.#cancelRetry?.();
    this.#sweep.abort();
  }

  #inquire(): void {
    if (this.#inquiring || this.#closed) return;
    this.#inquiring = true;
    void this.#find();
  }

  async #find(): Promise<void> {
    try {
      const history = await this.#counters.history();
      const generation = await this.#ledger.registerHistory(history);
      if (this.#closed) return;
      this.#known({ history, generation });
    } catch (error) {
      if (this.#closed) return;
      this.trouble = asTidemarkError(error);
      this.#cancelRetry = this.#clock.setTimer(backoffMs(this.#failures, firstRetryMs, maxRetryMs), () => {
        this.#inquiring = false;
        this.#inquire();
      });
      this.#failures += 1;
    }
  }

  #known(epoch: Epoch): void {
    this.#current = epoch;
    this.#inquiring = false;
    this.#failures = 0;
    this.trouble = undefined;
    this.#emit({ type: 'generation', ...epoch });
    this.#sweepBefore(epoch.generation);
    this.#onKnown(epoch);
  }

  /** Words of earlier generations can never be reached again (I4); they only take memory. */
  #sweepBefore(generation: number): void {
    if (this.#counters.sweep === undefined || generation === 1) return;
    this.#counters.sweep(generation, this.#sweep.signal).then(
      (words) => this.#emit({ type: 'swept', generation, words }),
      // Garbage that stays is found by the next sweep.
      () => undefined,
    );
  }
}

/** Stores throw TidemarkErrors; anything else is a fault of ours and says so. */
export function asTidemarkError(error: unknown): TidemarkError {
  if (error instanceof TidemarkError) return error;
  return new TidemarkError('internal', `unexpected fault: ${String(error)}; please report it`, {
    cause: error,
  });
}
