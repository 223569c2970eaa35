import { backoffMs } from './backoff.js';
import { type Clock, sleep } from './clock.js';
import type { CounterStore, Epoch } from './counter-store.js';
import { ceilingOf } from './counter-word.js';
import type { EpochCalls } from './epoch-calls.js';
import type { Epochs } from './epochs.js';
import type { EventListener } from './events.js';
import { GrantBatches } from './grant-batches.js';
import type { Ledger, RemovableWord } from './ledger.js';
import type { ReservationPolicy } from './reservation-policy.js';
import { groupBy, groupBySlot } from './slots.js';

/** Conversations that are drained at once. */
const batchSize = 250;
/** After so many tries a conversation is not just being granted a block: whoever reserved it is gone, perhaps. */
const adoptAfterTries = 3;
/** How often one that cannot be drained now is tried. */
const maxTries = 8;
/** Delay before the next try: doubles from the first to the second, in milliseconds. */
const firstRetryMs = 10;
const maxRetryMs = 500;

const smallestBlock: ReservationPolicy = { kind: 'fixed', size: 1 };

/** What became of conversations that were to be drained. */
export interface DrainReport {
  /** Conversations whose unused numbers went back to the ledger. */
  readonly conversations: number;
  /** How many numbers that were. */
  readonly numbers: number;
  /** Conversations that could not be drained now: a block of theirs is just being granted. Try again. */
  readonly busy: readonly string[];
}

/** A word that is there, and where. */
interface Found extends RemovableWord {
  readonly epoch: Epoch;
}

/**
 * Hands unused numbers back: words are removed, and the ledger goes on right behind their last numbers.
 *
 * In between the conversation is frozen: whoever finds its word gone hears `busy` and looks again. So takes go on, and
 * neither a gap nor a number comes twice (I14). If the process dies in between, the next take is a takeover, with a gap.
 */
export class Draining {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #calls: EpochCalls;
  readonly #emit: EventListener;
  readonly #timeoutMs: number;
  readonly #grants: GrantBatches;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    clock: Clock;
    epochs: Epochs;
    calls: EpochCalls;
    emit: EventListener;
    options: { readonly timeoutMs: number };
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
    this.#calls = parts.calls;
    this.#emit = parts.emit;
    this.#timeoutMs = parts.options.timeoutMs;
    this.#grants = new GrantBatches(parts);
  }

  /** Drains every conversation of a type, or of all, that has a block. */
  async drainAll(
    type: string | undefined,
    onProgress: ((report: DrainReport) => void) | undefined,
    isOver: () => boolean,
  ): Promise<DrainReport> {
    let total: DrainReport = { conversations: 0, numbers: 0, busy: [] };
    let after: string | undefined;
    while (!isOver()) {
      const entries = await this.#ledger.list(type, { after, limit: batchSize });
      if (entries.length === 0) break;
      const outstanding = entries.filter(({ ceiling, floor }) => ceiling > floor);
      const report = await this.drainEach(
        outstanding.map(({ conversation }) => conversation),
        isOver,
      );
      total = sumOf(total, report);
      onProgress?.(total);
      after = entries.at(-1)!.conversation;
    }
    return total;
  }

  /** Drains conversations, each as soon as it can be. */
  async drainEach(conversations: readonly string[], isOver: () => boolean): Promise<DrainReport> {
    let total: DrainReport = { conversations: 0, numbers: 0, busy: conversations };
    for (let tries = 0; total.busy.length > 0 && tries < maxTries && !isOver(); tries += 1) {
      if (tries > 0) await sleep(this.#clock, backoffMs(tries - 1, firstRetryMs, maxRetryMs));
      await this.#untilEpochsKnown(total.busy, isOver);
      if (tries >= adoptAfterTries) await this.#finishGrants(total.busy);
      const report = await this.drain(total.busy);
      total = { ...sumOf(total, report), busy: report.busy };
    }
    return total;
  }

  /** What has no deadline as a whole must not wait for ever for a store that is out of reach. */
  async #untilEpochsKnown(conversations: readonly string[], isOver: () => boolean): Promise<void> {
    const giveUpAtMs = this.#clock.monotonicMs() + this.#timeoutMs;
    const isLate = () => isOver() || this.#clock.monotonicMs() >= giveUpAtMs;
    const parts = groupBySlot(this.#counters, conversations, (conversation) => conversation);
    await Promise.all(parts.map(([first]) => this.#calls.run(first!, isLate, async () => true)));
  }

  /** With counters that end with the process: hands everything back. */
  async drainStore(epoch: Epoch): Promise<void> {
    const { signal } = new AbortController();
    for await (const conversations of this.#counters.idle(0, epoch, 0, signal))
      await this.drain(conversations);
  }

  /**
   * Drains conversations, at most as many as one call to the counter store may name.
   *
   * @throws TidemarkError what the stores throw; what was removed by then and not handed back leaves a gap
   */
  async drain(conversations: readonly string[]): Promise<DrainReport> {
    const busy: string[] = [];
    const found = await this.#read(conversations, busy);
    const frozen = this.#counters.traits.private ? found : await this.#freeze(found, busy);
    const { removed, failure } = await this.#remove(frozen, busy);
    const handedBack = await this.#handBack(removed);
    const numbers = handedBack.reduce((sum, { word }) => sum + word.remaining, 0);
    if (handedBack.length > 0) this.#emit({ type: 'drained', conversations: handedBack.length, numbers });
    if (failure !== undefined) throw failure.reason;
    return { conversations: handedBack.length, numbers, busy };
  }

  /** Where the epoch is not known, or has just ended, nothing can be said of the words: they are busy. */
  async #read(conversations: readonly string[], busy: string[]): Promise<readonly Found[]> {
    const parts = groupBySlot(this.#counters, conversations, (conversation) => conversation);
    const found = parts.map(async (part): Promise<readonly Found[]> => {
      const slot = this.#counters.slotOf(part[0]!);
      const epoch = this.#epochs.of(slot);
      const reply = epoch && (await this.#counters.read(epoch, part));
      if (epoch === undefined || reply?.status !== 'done') {
        if (epoch !== undefined) this.#epochs.stale(slot, epoch);
        busy.push(...part);
        return [];
      }
      return reply.results.flatMap((result, index) => {
        if (result.status !== 'present') return [];
        return [{ conversation: part[index]!, word: result.word, epoch }];
      });
    });
    return (await Promise.all(found)).flat();
  }

  /** A block that somebody reserved and never granted would keep its conversation busy: it is granted in their place. */
  async #finishGrants(busy: readonly string[]): Promise<void> {
    const found = await this.#read(busy, []);
    const entries = await this.#ledger.load(found.map(({ conversation }) => conversation));
    const ungranted = found.filter(({ word }, index) => (entries[index]?.ceiling ?? 0) > ceilingOf(word));
    if (ungranted.length === 0) return;
    const outcomes = await this.#ledger.reserve(
      ungranted.map(({ conversation, word, epoch: { generation } }) => {
        return { conversation, generation, saw: word, need: 1, policy: smallestBlock };
      }),
    );
    const reserved = outcomes.flatMap((outcome, index) => {
      if (outcome.status !== 'reserved') return [];
      const { conversation, epoch } = ungranted[index]!;
      const { block, mode } = outcome;
      return [{ epoch, grant: { conversation, block, mode, expiresAtStoreTimeMs: 0 } }];
    });
    await this.#grants.send(reserved, () => undefined);
  }

  async #freeze(found: readonly Found[], busy: string[]): Promise<readonly Found[]> {
    const frozen = ofEachGeneration(found).map(async (words) => {
      const isFrozen = await this.#ledger.freeze(words[0]!.epoch.generation, words);
      for (const [index, { conversation }] of words.entries()) if (!isFrozen[index]) busy.push(conversation);
      return words.filter((_, index) => isFrozen[index]);
    });
    return (await Promise.all(frozen)).flat();
  }

  /** Where one primary fails, what the others have removed must be handed back all the same. */
  async #remove(
    frozen: readonly Found[],
    busy: string[],
  ): Promise<{ readonly removed: readonly Found[]; readonly failure: PromiseRejectedResult | undefined }> {
    const parts = groupBySlot(this.#counters, frozen, ({ conversation }) => conversation);
    const removals = parts.map(async (part): Promise<readonly Found[]> => {
      const { epoch } = part[0]!;
      const reply = await this.#counters.drain(epoch, part);
      if (reply.status === 'stale') {
        this.#epochs.stale(this.#counters.slotOf(part[0]!.conversation), epoch);
        busy.push(...part.map(({ conversation }) => conversation));
        return [];
      }
      return reply.words.flatMap((word, index) => {
        const { conversation } = part[index]!;
        if (word !== undefined) return [{ conversation, word, epoch }];
        // It is gone, or somebody extended it without the ledger meanwhile.
        busy.push(conversation);
        return [];
      });
    });
    const ends = await Promise.allSettled(removals);
    const removed = ends.flatMap((end) => (end.status === 'fulfilled' ? end.value : []));
    return { removed, failure: ends.find((end) => end.status === 'rejected') };
  }

  async #handBack(removed: readonly Found[]): Promise<readonly Found[]> {
    const handedBack = ofEachGeneration(removed).map(async (words) => {
      const isDone = await this.#ledger.handBack(words[0]!.epoch.generation, words);
      return words.filter((_, index) => isDone[index]);
    });
    return (await Promise.all(handedBack)).flat();
  }
}

function sumOf(a: DrainReport, b: DrainReport): DrainReport {
  return {
    conversations: a.conversations + b.conversations,
    numbers: a.numbers + b.numbers,
    busy: [...a.busy, ...b.busy],
  };
}

function ofEachGeneration(words: readonly Found[]): readonly (readonly Found[])[] {
  return groupBy(words, ({ epoch }) => epoch.generation);
}
