import { TidemarkError } from '../errors.js';
import { backoffMs } from './backoff.js';
import type { SequenceRange } from './call.js';
import { type Clock, sleep } from './clock.js';
import { CompleteMarks } from './complete-marks.js';
import type { ConversationState } from './conversation-state.js';
import type { CounterStore, Epoch } from './counter-store.js';
import type { EpochCalls } from './epoch-calls.js';
import { asTidemarkError, type Epochs } from './epochs.js';
import type { EventListener } from './events.js';
import type { Ledger } from './ledger.js';
import { type Begun, completeIn, markTooHigh, OpenTakes } from './open-takes.js';
import type { ResolvedOptions } from './options.js';
import { SettleBatches } from './settle-batches.js';
import { groupBySlot } from './slots.js';
import { corruptWord } from './takes.js';

/** Conversations in one call to a store. */
const batchSize = 250;
/** Delay before tracking is begun again after an error: doubles from the first to the second, in milliseconds. */
const firstRetryMs = 5;
const maxRetryMs = 250;

/**
 * Tracked takes, and how far conversations are complete.
 *
 * Open takes are kept in the counter store, noted in the same atomic step that takes the numbers (I10). A store that has
 * lost some of them must not look complete: in each history tracking begins anew, from the ledger's complete mark, and
 * everything above it counts as open for one lease, which no lease of an earlier history outlives (I11). A take whose
 * lease has ended is recorded as a gap before it is removed (I12).
 */
export class Tracking {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #calls: EpochCalls;
  readonly #onReady: (state: ConversationState) => void;
  readonly #leaseMs: number;
  readonly #open: OpenTakes;
  readonly #settles: SettleBatches;
  readonly #marks: CompleteMarks;
  /** Conversations with calls that wait for their tracking to begin. */
  #beginning: ConversationState[] = [];
  #begins: Promise<void> | undefined;
  /** With counters that end with the process: what close tells the ledger of. */
  readonly #begun = new Set<string>();
  #closed = false;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    clock: Clock;
    options: ResolvedOptions;
    epochs: Epochs;
    calls: EpochCalls;
    emit: EventListener;
    /** The conversation may take numbers again. */
    onReady: (state: ConversationState) => void;
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
    this.#calls = parts.calls;
    this.#onReady = parts.onReady;
    this.#leaseMs = parts.options.leaseMs;
    this.#open = new OpenTakes(parts);
    this.#settles = new SettleBatches(parts);
    this.#marks = new CompleteMarks(parts);
  }

  /** A conversation's take was refused because its tracking has not begun in this history. */
  begin(state: ConversationState): void {
    state.awaitingTracking = true;
    this.#beginning.push(state);
    this.#begins ??= this.#beginAll();
  }

  /** I12: of what is no longer open, or open again in a history that has lost its end, the ledger says how it ended. */
  async settle(conversation: string, range: SequenceRange, isOver: () => boolean): Promise<void> {
    const result = await this.#settles.settle({ conversation, first: range.first }, isOver);
    if (result === 'open') return;
    const end = await this.#recordedEnd(conversation, range);
    if (end !== undefined) throw leaseExpired(conversation, range, end);
  }

  /** Recorded first, then ended: whoever sees that it is not open any more sees the gap, too. */
  async abandon(conversation: string, range: SequenceRange, isOver: () => boolean): Promise<void> {
    const end = await this.#renewed(conversation, range, isOver);
    if (end === 'unknown' || end === 'abandoned') throw notOpen(conversation, range);
    if (end === 'given up') return;
    // What is only held may have been settled in an earlier history: that it will never be stored is not certain then.
    const reason = end === 'open' ? 'abandoned' : 'lease_expired';
    await this.#calls.run(conversation, isOver, async ({ generation }) => {
      await this.#open.record([{ conversation, ...numbersOf(range), reason, generation }]);
      return true;
    });
    await this.#settles.settle({ conversation, first: range.first }, isOver);
  }

  /** Nobody holds these numbers. If that cannot be said in time, their lease ends. */
  abandonLeft(conversation: string, range: SequenceRange): void {
    const untilMs = this.#clock.monotonicMs() + this.#leaseMs;
    const isOver = () => this.#closed || this.#clock.monotonicMs() > untilMs;
    this.abandon(conversation, range, isOver).catch(() => undefined);
  }

  async renew(conversation: string, range: SequenceRange, isOver: () => boolean): Promise<void> {
    const end = await this.#renewed(conversation, range, isOver);
    if (end === 'unknown') throw notOpen(conversation, range);
    if (end === 'given up' || end === 'abandoned') throw leaseExpired(conversation, range, end);
  }

  completeUpTo(conversation: string, isOver: () => boolean): Promise<number> {
    return this.#calls.run(conversation, isOver, async (epoch) => {
      const [open] = (await this.#open.read(epoch, [conversation])) ?? [];
      if (open === undefined) return undefined;
      if (open.status === 'corrupt') throw corruptWord(conversation, open.found);
      if (open.status === 'missing') return this.#completeInLedger(epoch, conversation);
      if (open.status === 'tracked') {
        this.#marks.saw(conversation, completeIn(open));
        return completeIn(open);
      }
      // The word was read before: where the ledger has no mark, no number up to it is of a tracked take.
      const [mark] = await this.#ledger.completeMarks([conversation]);
      if (mark === undefined) return open.word.last;
      await this.#beginIn(epoch, [conversation]);
      return undefined;
    });
  }

  /** Ends what goes on in the background. With counters that end with the process, tells the ledger how far they came. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#begins;
    // Counters that end with the process have one slot.
    const epoch = this.#begun.size === 0 ? undefined : this.#epochs.of(0);
    const begun = epoch === undefined ? [] : [...this.#begun];
    for (let from = 0; from < begun.length; from += batchSize) {
      const conversations = begun.slice(from, from + batchSize);
      const results = (await this.#open.read(epoch!, conversations)) ?? [];
      const marks = results.flatMap((open, index) => {
        if (open.status !== 'tracked') return [];
        return [{ conversation: conversations[index]!, completeUpTo: completeIn(open) }];
      });
      await this.#marks.write(marks);
    }
    await this.#marks.idle();
  }

  async #beginAll(): Promise<void> {
    // Those of the same turn share the calls to the stores.
    await Promise.resolve();
    for (let failures = 0; this.#beginning.length > 0; ) {
      const states = this.#beginning.splice(0, batchSize);
      const left = new Set<ConversationState>();
      const parts = groupBySlot(this.#counters, states, ({ key }) => key);
      for (const part of await Promise.all(parts.map((of) => this.#beginBatch(of))))
        for (const state of part) left.add(state);
      for (const state of states) {
        // Nobody waits for it any more.
        if (state.waiting.isEmpty || this.#closed) left.delete(state);
        if (left.has(state)) continue;
        state.awaitingTracking = false;
        this.#onReady(state);
      }
      this.#beginning.push(...left);
      failures = left.size === 0 ? 0 : failures + 1;
      if (failures > 0) await sleep(this.#clock, backoffMs(failures - 1, firstRetryMs, maxRetryMs));
    }
    this.#begins = undefined;
  }

  /** Conversations of one slot. Returns those that have to try again. */
  async #beginBatch(states: readonly ConversationState[]): Promise<readonly ConversationState[]> {
    const epoch = this.#epochs.of(states[0]!.slot);
    if (epoch === undefined) return states;
    try {
      const begun = await this.#beginIn(
        epoch,
        states.map(({ key }) => key),
      );
      if (begun === undefined) return states;
      const left = states.filter((_, index) => begun[index] === 'fenced');
      for (const state of left) state.trouble = fenced(state.key, epoch);
      return left;
    } catch (error) {
      const trouble = asTidemarkError(error);
      for (const state of states) {
        state.trouble = trouble;
        // What is wrong with one conversation must not fail the others.
        const isConcerned = (trouble.conversation ?? state.key) === state.key;
        if (!trouble.retryable && isConcerned) state.failWaiting(trouble);
      }
      return states;
    }
  }

  async #beginIn(epoch: Epoch, conversations: readonly string[]): Promise<readonly Begun[] | undefined> {
    const begun = await this.#open.begin(epoch, conversations);
    if (begun !== undefined && this.#counters.traits.private)
      for (const conversation of conversations) this.#begun.add(conversation);
    return begun;
  }

  /** `open` and `reopened`: it is open, with a new lease. Anything else: how it has ended. */
  async #renewed(
    conversation: string,
    { first, last }: SequenceRange,
    isOver: () => boolean,
  ): Promise<'open' | 'reopened' | 'given up' | 'abandoned' | 'unknown'> {
    const take = { conversation, first, last, leaseMs: this.#leaseMs };
    const result = await this.#calls.run(conversation, isOver, async (epoch) => {
      const renewed = await this.#open.renew(epoch, take);
      if (renewed !== undefined) return renewed;
      // Without a word nobody passes the ledger's mark, and the hold that tracking will begin with is longer than this lease.
      const [begun] = (await this.#beginIn(epoch, [conversation])) ?? [];
      return begun === 'missing' ? 'reopened' : undefined;
    });
    if (result === 'open') return 'open';
    const end = await this.#recordedEnd(conversation, { first, last });
    if (result === 'gone') return end ?? 'unknown';
    if (end === undefined) return 'reopened';
    // The hold of this history covers it, or the record of it came back, but it had ended before.
    await this.#settles.settle({ conversation, first }, isOver);
    return end;
  }

  /** How a take has ended that was not settled: the record of it was made before it was removed (I12). */
  async #recordedEnd(
    conversation: string,
    { first, last }: SequenceRange,
  ): Promise<'given up' | 'abandoned' | undefined> {
    const gaps = await this.#ledger.gaps(conversation, { from: first, to: last, limit: 1_000 });
    if (gaps.some(({ reason }) => reason === 'abandoned')) return 'abandoned';
    return gaps.some(({ reason }) => reason === 'lease_expired') ? 'given up' : undefined;
  }

  /** The word is lost: what it had issued above the mark may be open. Without a mark everything issued counts as settled. */
  async #completeInLedger(epoch: Epoch, conversation: string): Promise<number | undefined> {
    // In this order: the floor that was read is of the time before the first tracked take, if there is no mark later.
    const [entry] = await this.#ledger.load([conversation]);
    const [mark] = await this.#ledger.completeMarks([conversation]);
    if (mark === undefined) {
      // A word that came meanwhile may issue numbers below the floor: whoever raised that may not have seen the word either.
      const [again] = (await this.#open.read(epoch, [conversation])) ?? [];
      return again?.status === 'missing' ? (entry?.floor ?? 0) : undefined;
    }
    // Somebody may have reserved, and settled, since the entry was read.
    const [newest] = (entry?.ceiling ?? 0) < mark ? await this.#ledger.load([conversation]) : [entry];
    const ceiling = newest?.ceiling ?? 0;
    if (mark > ceiling) throw markTooHigh(conversation, mark, ceiling);
    return mark;
  }
}

function fenced(conversation: string, { generation }: Epoch): TidemarkError {
  const text = `generation ${generation} of ${conversation} is fenced by a newer one, so its takes cannot be tracked: this process talks to a counter store that was replaced; point it to the new one`;
  return new TidemarkError('fenced', text, { conversation });
}

function leaseExpired(
  conversation: string,
  range: SequenceRange,
  end: 'given up' | 'abandoned',
): TidemarkError {
  const how = end === 'abandoned' ? 'abandoned by another holder' : 'given up when its lease ended';
  const text = `the take of ${numbersText(range)} in ${conversation} was ${how}, and readers may have passed it; if the message is stored, tell them, or store it again under a new number`;
  return new TidemarkError('lease_expired', text, { conversation });
}

function notOpen(conversation: string, range: SequenceRange): TidemarkError {
  const text = `${numbersText(range)} in ${conversation} is no open take; it was settled or abandoned before, or never taken so; nothing was changed`;
  return new TidemarkError('invalid_argument', text, { conversation });
}

function numbersOf({ first, last }: SequenceRange): SequenceRange {
  return { first, last };
}

function numbersText({ first, last }: SequenceRange): string {
  return first === last ? `${first}` : `${first} to ${last}`;
}
