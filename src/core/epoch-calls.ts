import { TidemarkError } from '../errors.js';
import { backoffMs } from './backoff.js';
import { type Clock, sleep } from './clock.js';
import type { CounterStore, Epoch } from './counter-store.js';
import { asTidemarkError, type Epochs } from './epochs.js';

/** Delay between attempts: doubles from the first to the second, in milliseconds. */
const firstRetryMs = 2;
const maxRetryMs = 100;

/** Runs what may be run again at any time, in whichever epoch it is, until it succeeds or its caller gives up. */
export class EpochCalls {
  readonly #counters: CounterStore;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  #trouble: TidemarkError | undefined;

  constructor(parts: { counters: CounterStore; clock: Clock; epochs: Epochs }) {
    this.#counters = parts.counters;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
  }

  /**
   * @param conversation - what it is about; several must be of one slot
   * @param isOver - true when the caller has given up
   * @param attempt - undefined when it has to be run again
   * @throws TidemarkError what an attempt threw and no retry can help; when it is over, what stood in the way
   */
  run<T>(
    conversation: string,
    isOver: () => boolean,
    attempt: (epoch: Epoch) => Promise<T | undefined>,
  ): Promise<T> {
    return this.runOnSlot(this.#counters.slotOf(conversation), isOver, attempt);
  }

  /** The same for a slot, whatever is in it. */
  async runOnSlot<T>(
    slot: number,
    isOver: () => boolean,
    attempt: (epoch: Epoch) => Promise<T | undefined>,
  ): Promise<T> {
    for (let failures = 0; !isOver(); failures += 1) {
      const result = await this.#attempt(slot, attempt);
      if (result !== undefined) return result;
      await sleep(this.#clock, backoffMs(failures, firstRetryMs, maxRetryMs));
    }
    throw this.timeoutError();
  }

  /** A reply of the counter store about a conversation; undefined for one that says that the epoch has ended. */
  unlessStale<T extends { readonly status: string }>(
    conversation: string,
    epoch: Epoch,
    reply: T,
  ): Exclude<T, { readonly status: 'stale' }> | undefined {
    if (reply.status !== 'stale') return reply as Exclude<T, { readonly status: 'stale' }>;
    this.#epochs.stale(this.#counters.slotOf(conversation), epoch);
    return undefined;
  }

  /** I6: the ledger has the conversation in a newer generation. */
  fenced(conversation: string, epoch: Epoch, newerGeneration: number): void {
    this.#epochs.fenced(this.#counters.slotOf(conversation), epoch, newerGeneration, conversation);
  }

  /** The error of a call that reached its deadline. */
  timeoutError(timeoutMs?: number): TidemarkError {
    const trouble = this.#epochs.trouble() ?? this.#trouble;
    if (trouble !== undefined) return trouble;
    const within = timeoutMs === undefined ? 'its deadline' : `${timeoutMs} ms`;
    return new TidemarkError('deadline_exceeded', `the stores did not answer within ${within}; try again`);
  }

  async #attempt<T>(slot: number, attempt: (epoch: Epoch) => Promise<T | undefined>): Promise<T | undefined> {
    const epoch = this.#epochs.of(slot);
    if (epoch === undefined) return undefined;
    try {
      const result = await attempt(epoch);
      this.#trouble = undefined;
      return result;
    } catch (error) {
      const trouble = asTidemarkError(error);
      if (!trouble.retryable) throw trouble;
      this.#trouble = trouble;
      return undefined;
    }
  }
}
