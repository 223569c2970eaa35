import type { CounterStore, Epoch } from './counter-store.js';
import { ceilingOf } from './counter-word.js';
import type { EpochCalls } from './epoch-calls.js';
import type { EventListener } from './events.js';
import type { Suspicion } from './findings.js';
import type { Ledger, ReserveOutcome } from './ledger.js';
import type { ReservationPolicy } from './reservation-policy.js';

const smallestBlock: ReservationPolicy = { kind: 'fixed', size: 1 };
/** Ranges that one statement records. */
const maxRecorded = 500;

/**
 * What a verification may mend while others issue numbers. Nothing is ever lowered (I2), and a word that is removed leaves a
 * takeover with a recorded gap behind (I7).
 */
export class VerificationRepairs {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #calls: EpochCalls;
  readonly #emit: EventListener;
  readonly #announce: (epochs: Iterable<Epoch>) => Promise<void>;
  readonly #isOver: () => boolean;

  constructor(
    parts: {
      counters: CounterStore;
      ledger: Ledger;
      calls: EpochCalls;
      emit: EventListener;
      announce: (epochs: Iterable<Epoch>) => Promise<void>;
    },
    isOver: () => boolean,
  ) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#calls = parts.calls;
    this.#emit = parts.emit;
    this.#announce = parts.announce;
    this.#isOver = isOver;
  }

  /** True when it is mended. */
  async repair(
    { kind, conversation, issuedUpTo = 0 }: Suspicion,
    missing: readonly { first: number; last: number }[],
  ): Promise<boolean> {
    if (kind === 'ledger_behind') return this.#raisePastWord(conversation);
    if (kind === 'number_missing') return this.#recordMissing(conversation, missing);
    return this.#raiseTo(conversation, issuedUpTo);
  }

  /** As every process would at its next reservation: the ledger is healed past what the word says. */
  #raisePastWord(conversation: string): Promise<boolean> {
    return this.#calls.run(conversation, this.#isOver, async (epoch) => {
      const word = await this.#wordOf(epoch, conversation);
      if (word === undefined) return undefined;
      // It was drained, or lost, since: the entry then says what there is to say.
      if (word === 'gone') return true;
      const outcome = await this.#reserve(epoch, conversation, word);
      if (outcome.status === 'busy') return undefined;
      if (outcome.status !== 'reserved') return outcome.status === 'exhausted';
      const { block, mode } = outcome;
      // Nobody waits for it: who finds the block outstanding adopts it.
      if (block.end > block.start && mode === 'extend')
        await this.#counters.grant(epoch, [{ conversation, block, mode, expiresAtStoreTimeMs: 0 }]);
      return true;
    });
  }

  /**
   * Everything up to a number was issued: the ledger is raised first, then a word that is behind is removed, so that whoever
   * finds none begins above it. Safe in this order only: without a word, a take begins where the ledger ends.
   */
  #raiseTo(conversation: string, issuedUpTo: number): Promise<boolean> {
    return this.#calls.run(conversation, this.#isOver, async (epoch) => {
      const [entry] = await this.#ledger.load([conversation]);
      if ((entry?.ceiling ?? 0) < issuedUpTo) {
        const outcome = await this.#reserve(epoch, conversation, { last: issuedUpTo, remaining: 0 });
        if (outcome.status === 'busy') return undefined;
        if (outcome.status === 'fenced' || outcome.status === 'corrupt') return false;
      }
      const word = await this.#wordOf(epoch, conversation);
      if (word === undefined) return undefined;
      if (word === 'gone' || word.last >= issuedUpTo) return true;
      const reply = this.#calls.unlessStale(
        conversation,
        epoch,
        await this.#counters.drain(epoch, [{ conversation, word }]),
      );
      // Where it was extended meanwhile, it is looked at again.
      return reply?.words[0] !== undefined || undefined;
    });
  }

  async #recordMissing(
    conversation: string,
    missing: readonly { first: number; last: number }[],
  ): Promise<boolean> {
    const [entry] = await this.#ledger.load([conversation]);
    if (entry === undefined) return false;
    const { generation } = entry;
    for (let at = 0; at < missing.length; at += maxRecorded) {
      const gaps = missing
        .slice(at, at + maxRecorded)
        .map(({ first, last }) => ({ conversation, first, last, reason: 'reply_lost' as const, generation }));
      await this.#ledger.recordGaps(gaps);
      for (const gap of gaps) this.#emit({ type: 'gap', ...gap });
    }
    return true;
  }

  async #reserve(
    epoch: Epoch,
    conversation: string,
    saw: { readonly last: number; readonly remaining: number },
  ): Promise<ReserveOutcome> {
    const { generation } = epoch;
    await this.#announce([epoch]);
    const [outcome] = await this.#ledger.reserve([
      { conversation, generation, saw, need: 1, policy: smallestBlock },
    ]);
    if (outcome!.status === 'reserved' && outcome!.kind === 'healed')
      this.#emit({ type: 'ledger_healed', conversation, ceiling: ceilingOf(saw) });
    return outcome!;
  }

  /** Undefined when the epoch has ended. */
  async #wordOf(
    epoch: Epoch,
    conversation: string,
  ): Promise<{ last: number; remaining: number } | 'gone' | undefined> {
    const reply = this.#calls.unlessStale(
      conversation,
      epoch,
      await this.#counters.read(epoch, [conversation]),
    );
    if (reply === undefined) return undefined;
    const [result] = reply.results;
    return result?.status === 'present' ? result.word : 'gone';
  }
}
