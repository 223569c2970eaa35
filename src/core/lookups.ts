import type { CounterStore, Epoch, ReadResult } from './counter-store.js';
import type { CounterWord } from './counter-word.js';
import type { EpochCalls } from './epoch-calls.js';
import type { EventListener } from './events.js';
import type { Ledger, LedgerEntry, NewGap } from './ledger.js';
import { installWindowMs } from './recovery.js';
import type { ReservationPolicy } from './reservation-policy.js';
import { corruptEntry, exhausted } from './reservations.js';
import { corruptWord } from './takes.js';

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
  readonly #calls: EpochCalls;
  readonly #emit: EventListener;
  readonly #announce: (epochs: Iterable<Epoch>) => Promise<void>;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    calls: EpochCalls;
    emit: EventListener;
    announce: (epochs: Iterable<Epoch>) => Promise<void>;
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#calls = parts.calls;
    this.#emit = parts.emit;
    this.#announce = parts.announce;
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
  recover(key: string, policy: ReservationPolicy, isOver: () => boolean): Promise<RecoveryReport> {
    return this.#calls.run(key, isOver, async (epoch) => {
      const look = await this.#tryLook(epoch, key);
      if (look === undefined) return undefined;
      if (look.word !== undefined) return { recovered: false, last: look.word.last, gap: undefined };
      const [entry] = await this.#ledger.load([key]);
      if (entry === undefined) return { recovered: false, last: 0, gap: undefined };
      return this.#takeOver(key, policy, look);
    });
  }

  /** Undefined when somebody else was in between, or the look is too old by now. */
  async #takeOver(
    conversation: string,
    policy: ReservationPolicy,
    { epoch, storeTimeMs }: Looked,
  ): Promise<RecoveryReport | undefined> {
    const { generation } = epoch;
    await this.#announce([epoch]);
    const [outcome] = await this.#ledger.reserve([
      { conversation, generation, saw: undefined, need: 1, policy },
    ]);
    if (outcome?.status === 'exhausted') throw exhausted(conversation);
    if (outcome?.status === 'corrupt') throw corruptEntry(conversation, outcome.found);
    if (outcome?.status !== 'reserved') return undefined;
    const { block, mode, gap } = outcome;
    if (gap !== undefined) this.#emit({ type: 'gap', ...gap });
    this.#emit({ type: 'takeover', conversation, generation, block });
    const grant = { conversation, block, mode, expiresAtStoreTimeMs: storeTimeMs + installWindowMs };
    const reply = await this.#counters.grant(epoch, [grant]);
    if (reply.status === 'fenced') this.#calls.fenced(conversation, epoch, reply.newerGeneration);
    if (reply.status !== 'done' || reply.results[0] !== 'granted') return undefined;
    return { recovered: true, last: block.start, gap };
  }

  /** Looks until the epoch is known and the store answers for it. */
  #look(key: string, isOver: () => boolean): Promise<Looked> {
    return this.#calls.run(key, isOver, (epoch) => this.#tryLook(epoch, key));
  }

  /** Undefined when the epoch has ended. */
  async #tryLook(epoch: Epoch, key: string): Promise<Looked | undefined> {
    const reply = this.#calls.unlessStale(key, epoch, await this.#counters.read(epoch, [key]));
    return reply && { epoch, storeTimeMs: reply.storeTimeMs, word: intact(key, reply.results[0]!) };
  }
}

function intact(key: string, result: ReadResult): CounterWord | undefined {
  if (result.status === 'corrupt') throw corruptWord(key, result.found);
  return result.status === 'present' ? result.word : undefined;
}
