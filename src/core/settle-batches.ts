import type { Clock } from './clock.js';
import type { CounterStore, SettleResult, TakeName } from './counter-store.js';
import type { EpochCalls } from './epoch-calls.js';

const maxBatch = 250;

interface Waiting {
  readonly take: TakeName;
  readonly isOver: () => boolean;
  readonly resolve: (result: SettleResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Ends open takes: those of the same turn of the event loop share a call to the counter store. */
export class SettleBatches {
  readonly #counters: CounterStore;
  readonly #clock: Clock;
  readonly #calls: EpochCalls;
  #waiting: Waiting[] = [];

  constructor(parts: { counters: CounterStore; clock: Clock; calls: EpochCalls }) {
    this.#counters = parts.counters;
    this.#clock = parts.clock;
    this.#calls = parts.calls;
  }

  /**
   * Ends a take, trying again until its caller gives up. What no other numbers begin with can be ended twice.
   *
   * @returns what it was. After an answer that was lost, `gone` though this call has ended it.
   */
  settle(take: TakeName, isOver: () => boolean): Promise<SettleResult> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ take, isOver, resolve, reject });
      if (this.#waiting.length === 1) this.#clock.defer(() => this.#flush());
    });
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let from = 0; from < waiting.length; from += maxBatch) {
      void this.#send(waiting.slice(from, from + maxBatch));
    }
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    const takes = batch.map(({ take }) => take);
    const isOver = () => batch.every((waiting) => waiting.isOver());
    try {
      const results = await this.#calls.run(isOver, async (epoch) => {
        return this.#calls.unlessStale(epoch, await this.#counters.settle(epoch, takes))?.results;
      });
      for (let index = 0; index < batch.length; index += 1) batch[index]!.resolve(results[index]!);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
