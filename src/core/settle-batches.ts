import type { Clock } from './clock.js';
import type { CounterStore, SettleResult, TakeName } from './counter-store.js';
import type { EpochCalls } from './epoch-calls.js';
import { groupBySlot } from './slots.js';

const maxBatch = 250;

interface Waiting {
  readonly take: TakeName;
  readonly isOver: () => boolean;
  readonly resolve: (result: SettleResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Ends open takes: those of one slot and the same turn of the event loop share a call to the counter store. */
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
    for (const part of groupBySlot(this.#counters, waiting, ({ take }) => take.conversation)) {
      for (let from = 0; from < part.length; from += maxBatch)
        void this.#send(part.slice(from, from + maxBatch));
    }
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    const takes = batch.map(({ take }) => take);
    const isOver = () => batch.every((waiting) => waiting.isOver());
    const { conversation } = takes[0]!;
    try {
      const results = await this.#calls.run(conversation, isOver, async (epoch) => {
        const reply = await this.#counters.settle(epoch, takes);
        return this.#calls.unlessStale(conversation, epoch, reply)?.results;
      });
      for (let index = 0; index < batch.length; index += 1) batch[index]!.resolve(results[index]!);
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
