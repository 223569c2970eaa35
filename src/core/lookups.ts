import { TidemarkError } from '../errors.js';
import { backoffMs } from './backoff.js';
import type { Clock } from './clock.js';
import type { CounterStore, Epoch, ReadResult } from './counter-store.js';
import type { CounterWord } from './counter-word.js';
import { asTidemarkError, type Epochs } from './epochs.js';
import type { EventListener } from './events.js';
import type { Ledger, LedgerEntry, NewGap } from './ledger.js';
import { installWindowMs } from './recovery.js';
import type { ReservationPolicy } from './reservation-policy.js';
import { corruptWord } from './takes.js';

/** Delay between looks while the epoch is unknown or somebody else recovers: doubles from the first to the second, ms. */
const firstRetryMs = 2;
const maxRetryMs = 100;
/** Words that one drain removes and hands back. */
const drainBatch = 500;

/** What `recover` found and did. */
export interface RecoveryReport {
  /** True when the counter word was lost and a fresh block was granted. */
  readonly recovered: boolean;
  /** The last number issued; after a recovery the number that the next one follows. */
  readonly last: number;
  /** The gap that was recorded; undefined when nothing was skipped. */
  readonly gap: NewGap | undefined;
}

/** What both stores know of a conversation. */
export interface Inspection {
  readonly conversation: string;
  /** Id of the counter store's history, and the generation that the ledger gave it. */
  readonly history: string;
  readonly generation: number;
  /** The counter word; undefined when there is none in this generation. */
  readonly word: CounterWord | undefined;
  /** The ledger's entry; undefined when there is none. */
  readonly entry: LedgerEntry | undefined;
}

interface Looked {
  readonly epoch: Epoch;
  readonly storeTimeMs: number;
  /** Undefined when it is missing. */
  readonly word: CounterWord | undefined;
}

/** Everything that looks at a conversation without taking numbers. */
export class Lookups {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #emit: EventListener;
  #trouble: TidemarkError | undefined;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    clock: Clock;
    epochs: Epochs;
    emit: EventListener;
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
    this.#emit = parts.emit;
  }

  /** The last number issued; where the word is gone, the ledger's floor. */
  async current(key: string, isOver: () => boolean): Promise<number> {
    const { word } = await this.#look(key, isOver);
    if (word !== undefined) return word.last;
    const [entry] = await this.#ledger.load([key]);
    return entry?.floor ?? 0;
  }

  /** Everything that both stores know of a conversation. */
  async inspect(key: string, isOver: () => boolean): Promise<Inspection> {
    const { epoch, word } = await this.#look(key, isOver);
    const [entry] = await this.#ledger.load([key]);
    return { conversation: key, history: epoch.history, generation: epoch.generation, word, entry };
  }

  /** One takeover by hand, unless the word is there or there is nothing to take over. */
  async recover(key: string, policy: ReservationPolicy, isOver: () => boolean): Promise<RecoveryReport> {
    for (let looks = 0; !isOver(); looks += 1) {
      const look = await this.#look(key, isOver);
      if (look.word !== undefined) return { recovered: false, last: look.word.last, gap: undefined };
      const [entry] = await this.#ledger.load([key]);
      if (entry === undefined) return { recovered: false, last: 0, gap: undefined };
      const done = await this.#takeOver(key, policy, look);
      if (done !== undefined) return done;
      await this.#sleep(backoffMs(looks, firstRetryMs, maxRetryMs));
    }
    throw this.timeoutError();
  }

  /** Removes every word and gives the unused rest of its block back to the ledger. */
  async handBackAll(): Promise<void> {
    const epoch = this.#epochs.current;
    if (epoch === undefined || this.#counters.drain === undefined) return;
    for (;;) {
      const words = await this.#counters.drain(epoch, drainBatch);
      if (words.length === 0) return;
      await this.#ledger.handBack(epoch.generation, words);
    }
  }

  /** The error of a look that reached its deadline. */
  timeoutError(timeoutMs?: number): TidemarkError {
    const trouble = this.#epochs.trouble ?? this.#trouble;
    if (trouble !== undefined) return trouble;
    const within = timeoutMs === undefined ? 'its deadline' : `${timeoutMs} ms`;
    return new TidemarkError('deadline_exceeded', `the stores did not answer within ${within}; try again`);
  }

  /** Undefined when somebody else was in between, or the look is too old by now. */
  async #takeOver(
    conversation: string,
    policy: ReservationPolicy,
    { epoch, storeTimeMs }: Looked,
  ): Promise<RecoveryReport | undefined> {
    const { generation } = epoch;
    const [outcome] = await this.#ledger.reserve([
      { conversation, generation, saw: undefined, need: 1, policy },
    ]);
    if (outcome?.status !== 'reserved') return undefined;
    const { block, mode, gap } = outcome;
    if (gap !== undefined) this.#emit({ type: 'gap', ...gap });
    this.#emit({ type: 'takeover', conversation, generation, block });
    const grant = { conversation, block, mode, expiresAtStoreTimeMs: storeTimeMs + installWindowMs };
    const reply = await this.#counters.grant(epoch, [grant]);
    if (reply.status !== 'done' || reply.results[0] !== 'granted') return undefined;
    return { recovered: true, last: block.start, gap };
  }

  /** Looks until the epoch is known and the store answers for it. */
  async #look(key: string, isOver: () => boolean): Promise<Looked> {
    for (let failures = 0; !isOver(); failures += 1) {
      const looked = await this.#tryLook(key);
      if (looked !== undefined) return looked;
      await this.#sleep(backoffMs(failures, firstRetryMs, maxRetryMs));
    }
    throw this.timeoutError();
  }

  async #tryLook(key: string): Promise<Looked | undefined> {
    const epoch = this.#epochs.current;
    if (epoch === undefined) return undefined;
    try {
      const reply = await this.#counters.read(epoch, [key]);
      if (reply.status === 'done')
        return { epoch, storeTimeMs: reply.storeTimeMs, word: intact(key, reply.results[0]!) };
      this.#epochs.stale(epoch);
    } catch (error) {
      const trouble = asTidemarkError(error);
      if (!trouble.retryable) throw trouble;
      this.#trouble = trouble;
    }
    return undefined;
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#clock.setTimer(delayMs, resolve));
  }
}

function intact(key: string, result: ReadResult): CounterWord | undefined {
  if (result.status === 'corrupt') throw corruptWord(key, result.found);
  return result.status === 'present' ? result.word : undefined;
}
