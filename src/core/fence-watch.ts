import type { Clock } from './clock.js';
import type { CounterStore, Epoch } from './counter-store.js';
import type { Epochs } from './epochs.js';
import type { Ledger } from './ledger.js';

/** How often a process that is not to look tells the ledger where it lives, in milliseconds. */
const keepAliveMs = 1_000;

/**
 * Looks now and then whether the epochs in use are still the ones: an isolated old primary answers as ever, and a process
 * that needs no new block would not hear of its successor. And tells the ledger where this process issues numbers, so that
 * others can know it.
 *
 * In a cluster it looks at the histories only: it stops the primaries of a minority by itself, and whose generation is newer
 * says nothing there.
 */
export class FenceWatch {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #fenceCheckMs: number;
  readonly #isOneHistory: boolean;
  /** Epochs that the ledger knows to be in use. */
  readonly #announced = new WeakSet<Epoch>();
  #cancel: (() => void) | undefined;
  #closed = false;
  /** True as soon as somebody asked this process for numbers. One that only looks things up lives nowhere. */
  isIssuing = false;

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
    this.#fenceCheckMs = parts.options.fenceCheckMs;
    // Counters that end with the process have no successor.
    const { slots, private: isPrivate } = parts.counters.traits;
    this.#isOneHistory = slots === 1 && !isPrivate;
  }

  /** I6: before the first reservation in an epoch, so that whoever is on an older one hears of it before a number is issued. */
  async announce(epochs: Iterable<Epoch>): Promise<void> {
    if (!this.#isOneHistory) return;
    for (const epoch of new Set(epochs)) {
      if (this.#announced.has(epoch)) continue;
      await this.#ledger.keepAlive(epoch.generation);
      this.#announced.add(epoch);
    }
  }

  /** Begins to watch, if it does not yet. */
  start(): void {
    if (this.#closed || this.#counters.traits.private || this.#cancel !== undefined) return;
    const intervalMs = this.#fenceCheckMs === 0 ? keepAliveMs : this.#fenceCheckMs;
    this.#cancel = this.#clock.setTimer(intervalMs, () => void this.#checkAll());
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
      else if (this.#isOneHistory) await this.#checkNewest(epoch, slot);
    } catch {
      // Takes and reservations tell what is wrong.
    }
  }

  async #checkNewest(epoch: Epoch, slot: number): Promise<void> {
    const { newest } = await this.#ledger.keepAlive(this.isIssuing ? epoch.generation : undefined);
    if (newest > epoch.generation && this.#fenceCheckMs > 0) this.#epochs.fenced(slot, epoch, newest);
  }
}
