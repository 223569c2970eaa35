import type { TidemarkError } from '../errors.js';
import { backoffMs } from './backoff.js';
import { type Clock, sleep } from './clock.js';
import type { CounterStore, Epoch, Grant, GrantReply } from './counter-store.js';
import { asTidemarkError, type Epochs } from './epochs.js';
import { installWindowMs } from './recovery.js';
import { groupBy, groupBySlot } from './slots.js';

/** Delay before grants that did not run are sent again: doubles from the first to the second, in milliseconds. */
const firstRetryMs = 2;
const maxRetryMs = 100;

/** A grant, and the epoch of the look that it follows from. */
export interface Sendable {
  readonly grant: Grant;
  readonly epoch: Epoch;
}

/** `done`: it was applied, or its epoch has ended. `moot`: the word may be another one now; look again. */
export type GrantEnd = 'done' | 'moot' | TidemarkError;

/** Brings grants to the counter store: those of one slot and epoch in one call. */
export class GrantBatches {
  readonly #counters: CounterStore;
  readonly #clock: Clock;
  readonly #epochs: Epochs;

  constructor(parts: { counters: CounterStore; clock: Clock; epochs: Epochs }) {
    this.#counters = parts.counters;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
  }

  /** Returns when every one has ended. */
  async send<T extends Sendable>(
    sendables: readonly T[],
    onEnd: (of: T, end: GrantEnd) => void,
  ): Promise<void> {
    const ofSlots = groupBySlot(this.#counters, sendables, ({ grant }) => grant.conversation);
    const parts = ofSlots.flatMap((ofSlot) => groupBy(ofSlot, ({ epoch }) => epoch));
    await Promise.all(parts.map((part) => this.#sendPart(part, onEnd)));
  }

  async #sendPart<T extends Sendable>(
    part: readonly T[],
    onEnd: (of: T, end: GrantEnd) => void,
  ): Promise<void> {
    const { epoch, grant } = part[0]!;
    try {
      const reply = await this.#deliver(
        epoch,
        part.map((one) => one.grant),
      );
      const slot = this.#counters.slotOf(grant.conversation);
      if (reply.status === 'stale') this.#epochs.stale(slot, epoch);
      else if (reply.status === 'fenced') this.#epochs.fenced(slot, epoch, reply.newerGeneration);
      part.forEach((one, index) => {
        const isRefused = reply.status === 'done' && reply.results[index] === 'refused';
        onEnd(one, reply.status === 'lost' || isRefused ? 'moot' : 'done');
      });
    } catch (error) {
      for (const one of part) onEnd(one, asTidemarkError(error));
    }
  }

  /**
   * What is reserved should be granted, or it becomes a gap when its word is missing: so grants that certainly did not run
   * are sent again. Those that may have run are not (I5).
   */
  async #deliver(epoch: Epoch, grants: readonly Grant[]): Promise<GrantReply> {
    const giveUpAtMs = this.#clock.monotonicMs() + installWindowMs;
    for (let failures = 0; ; failures += 1) {
      try {
        return await this.#counters.grant(epoch, grants);
      } catch (error) {
        const delayMs = backoffMs(failures, firstRetryMs, maxRetryMs);
        const isLate = this.#clock.monotonicMs() + delayMs > giveUpAtMs;
        if (isLate || !asTidemarkError(error).retryable) throw error;
        await sleep(this.#clock, delayMs);
      }
    }
  }
}
