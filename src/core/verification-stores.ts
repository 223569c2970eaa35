import { TidemarkError } from '../errors.js';
import type { CounterStore, Epoch, ReadResult } from './counter-store.js';
import type { EpochCalls } from './epoch-calls.js';
import type { Epochs } from './epochs.js';
import type { Ledger, LedgerEntry } from './ledger.js';
import { groupBySlot } from './slots.js';

/** Questions about single conversations to the ledger at once. */
const questionsAtOnce = 8;
/** Slots of a cluster whose primary is looked for at once. */
const slotsAtOnce = 500;

/** A word, and the generation that it is in. */
interface FoundWord {
  readonly word: ReadResult;
  readonly generation: number;
}

/** How a verification reads both stores: what makes no sense is an answer, too. */
export class VerificationStores {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #epochs: Epochs;
  readonly #calls: EpochCalls;
  readonly #isOver: () => boolean;

  constructor(
    parts: { counters: CounterStore; ledger: Ledger; epochs: Epochs; calls: EpochCalls },
    isOver: () => boolean,
  ) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#epochs = parts.epochs;
    this.#calls = parts.calls;
    this.#isOver = isOver;
  }

  /** One slot for each primary: all of them have to be asked for theirs. */
  async everyEpoch(): Promise<ReadonlyMap<Epoch, number>> {
    const { slots } = this.#counters.traits;
    for (let first = 0; first < slots; first += slotsAtOnce) {
      const some = Array.from({ length: Math.min(slotsAtOnce, slots - first) }, (_, index) => first + index);
      await Promise.all(some.map((slot) => this.#calls.runOnSlot(slot, this.#isOver, async () => true)));
    }
    return this.#epochs.known;
  }

  /** The word of each conversation, and the generation that it is in; undefined when it is over. */
  async read(conversations: readonly string[]): Promise<readonly (FoundWord | undefined)[]> {
    const words = new Map<string, FoundWord>();
    const parts = groupBySlot(this.#counters, conversations, (conversation) => conversation);
    const reads = parts.map((part) =>
      this.#calls.run(part[0]!, this.#isOver, async (epoch) => {
        const reply = this.#calls.unlessStale(part[0]!, epoch, await this.#counters.read(epoch, part));
        for (const [index, conversation] of part.entries())
          if (reply !== undefined)
            words.set(conversation, { word: reply.results[index]!, generation: epoch.generation });
        return reply && true;
      }),
    );
    await Promise.all(reads);
    return conversations.map((conversation) => words.get(conversation));
  }

  /** Entries; an error for one that makes no sense. */
  async load(
    conversations: readonly string[],
  ): Promise<readonly (LedgerEntry | undefined | TidemarkError)[]> {
    try {
      return await this.#ledger.load(conversations);
    } catch (error) {
      if (conversationOfCorrupt(error) === undefined) throw error;
      return this.ask(conversations, async (key) => (await this.#ledger.load([key]))[0]);
    }
  }

  /** Asks the ledger about each conversation; an error where the answer makes no sense. */
  async ask<T>(
    conversations: readonly string[],
    question: (conversation: string) => Promise<T>,
  ): Promise<readonly (T | TidemarkError)[]> {
    const answers = new Array<T | TidemarkError>(conversations.length);
    const rest = [...conversations.entries()].reverse();
    const work = async (): Promise<void> => {
      for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
        const [index, conversation] = next;
        try {
          answers[index] = await question(conversation);
        } catch (error) {
          if (conversationOfCorrupt(error) === undefined) throw error;
          answers[index] = error as TidemarkError;
        }
      }
    };
    await Promise.all(Array.from({ length: questionsAtOnce }, work));
    return answers;
  }
}

/** The conversation whose row in the ledger makes no sense; undefined for any other error. */
export function conversationOfCorrupt(error: unknown): string | undefined {
  return error instanceof TidemarkError && error.code === 'ledger_corrupt' ? error.conversation : undefined;
}
