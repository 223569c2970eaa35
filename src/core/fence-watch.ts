import type { Clock } from './clock.js';
import type { CounterStore, Epoch } from './counter-store.js';
import type { Epochs } from './epochs.js';
import type { Ledger } from './ledger.js';

/**
 * Looks now and then whether the epochs in use are still the ones: an isolated old primary answers as ever, and a process
 * that needs no new block would not hear of its successor.
 */
export class FenceWatch {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #intervalMs: number;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    clock: Clock;
    epochs: Epochs;
    options: { readonly fenceCheckMs: number };
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
    // Counters that end with the process have no successor.
    this.#intervalMs = parts.counters.traits.private ? 0 : parts.options.fenceCheckMs;
  }

  /** Begins to watch, if it does not yet. */
  start(): void {
    if (this.#closed || this.#intervalMs === 0 || this.#cancel !== undefined) return;
    this.#cancel = this.#clock.setTimer(this.#intervalMs, () => void this.#checkAll());
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }

  async #checkAll(): Promise<void> {
    await Promise.all([...this.#epochs.known].map(([epoch, slot]) => this.#check(epoch, slot)));
    this.#cancel = undefined;
    this.start();
  }

  async #check(epoch: Epoch, slot: number): Promise<void> {
    try {
      const history = await this.#counters.history(slot);
      if (history.id !== epoch.history) this.#epochs.stale(slot, epoch);
      // A cluster stops the primaries of a minority by itself; and whose generation is newer says nothing there.
      else if (this.#counters.traits.slots === 1) await this.#checkNewest(epoch, slot);
    } catch {
      // Takes and reservations tell what is wrong.
    }
  }

  async #checkNewest(epoch: Epoch, slot: number): Promise<void> {
    const { newest } = await this.#ledger.keepAlive(epoch.generation);
    if (newest > epoch.generation) this.#epochs.fenced(slot, epoch, newest);
  }
}
