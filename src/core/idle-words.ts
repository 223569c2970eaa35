import type { Clock } from './clock.js';
import type { CounterStore, Epoch } from './counter-store.js';
import type { Draining } from './draining.js';
import { asTidemarkError, type Epochs } from './epochs.js';
import type { EventListener } from './events.js';

/** How often idle words are looked for, as a part of the time after which they are, and at most and least. */
const looksPerIdleTime = 4;
const minIntervalMs = 1_000;
const maxIntervalMs = 300_000;

/** Drains conversations that nobody has used for a while, in the background, so that their words take no memory. */
export class IdleWords {
  readonly #counters: CounterStore;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #draining: Draining;
  readonly #emit: EventListener;
  readonly #idleAfterMs: number | undefined;
  readonly #end = new AbortController();
  #looking: Promise<void> | undefined;
  #cancel: (() => void) | undefined;

  constructor(parts: {
    counters: CounterStore;
    clock: Clock;
    epochs: Epochs;
    draining: Draining;
    emit: EventListener;
    options: { readonly idleAfterMs: number | undefined };
  }) {
    this.#counters = parts.counters;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
    this.#draining = parts.draining;
    this.#emit = parts.emit;
    this.#idleAfterMs = parts.options.idleAfterMs;
  }

  /** Begins to look for them, if it does not yet. */
  start(): void {
    if (this.#idleAfterMs === undefined || this.#cancel !== undefined || this.#end.signal.aborted) return;
    const wantedMs = this.#idleAfterMs / looksPerIdleTime;
    const intervalMs = Math.min(maxIntervalMs, Math.max(minIntervalMs, wantedMs));
    this.#cancel = this.#clock.setTimer(intervalMs, () => {
      this.#looking = this.#lookEverywhere(this.#idleAfterMs!);
    });
  }

  /** Ends it, after what is under way. */
  async close(): Promise<void> {
    this.#end.abort();
    this.#cancel?.();
    await this.#looking;
  }

  async #lookEverywhere(idleAfterMs: number): Promise<void> {
    await Promise.all([...this.#epochs.known].map(([epoch, slot]) => this.#look(epoch, slot, idleAfterMs)));
    this.#cancel = undefined;
    this.start();
  }

  async #look(epoch: Epoch, slot: number, idleAfterMs: number): Promise<void> {
    const { signal } = this.#end;
    try {
      for await (const conversations of this.#counters.idle(slot, epoch, idleAfterMs, signal)) {
        await this.#draining.drainEach(conversations, () => signal.aborted);
        if (signal.aborted) return;
      }
    } catch (error) {
      // What is idle still is at the next look.
      if (!signal.aborted) this.#emit({ type: 'idle_failed', cause: asTidemarkError(error) });
    }
  }
}
