import { backoffMs } from './backoff.js';
import type { SequenceRange } from './call.js';
import { type Clock, sleep } from './clock.js';
import type { ConversationState, ConversationStates } from './conversation-state.js';
import type { CounterStore, Epoch, ReadResult } from './counter-store.js';
import { asTidemarkError, type Epochs } from './epochs.js';
import type { EventListener } from './events.js';
import type { Ledger, LedgerEntry, NewGap } from './ledger.js';

/** Delay between tries to record gaps: doubles from the first to the second, in milliseconds. */
const firstRetryMs = 10;
const maxRetryMs = 1_000;
/** With so many ranges waiting to be recorded, conversations that leave more wait with them. */
const maxWaiting = 10_000;

/**
 * Records the gaps that no takeover explains: takes whose reply was lost for good, and numbers whose callers gave up.
 */
export class GapRecorder {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #states: ConversationStates;
  readonly #emit: EventListener;
  readonly #onRecorded: (state: ConversationState) => void;
  #left: NewGap[] = [];
  /** Conversations that wait because too much waits to be recorded. */
  #held: ConversationState[] = [];
  #recording: Promise<void> | undefined;
  /** Records of lost takes under way. */
  readonly #recordings = new Set<Promise<void>>();
  #givenUp = false;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    clock: Clock;
    epochs: Epochs;
    states: ConversationStates;
    emit: EventListener;
    /** The conversation may take numbers again. */
    onRecorded: (state: ConversationState) => void;
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
    this.#states = parts.states;
    this.#emit = parts.emit;
    this.#onRecorded = parts.onRecorded;
  }

  /** I7: conversations of one slot whose take was lost issue nothing in this process until the gap is recorded. */
  lost(states: readonly ConversationState[], epoch: Epoch): void {
    for (const state of states) state.awaitingRecord = true;
    const recording = this.#recordLost(states, epoch);
    this.#recordings.add(recording);
    void recording.finally(() => this.#recordings.delete(recording));
  }

  /**
   * Numbers whose caller gave up. Either nobody will ever have them, or the one who asks for their message again: nobody
   * waits for the record.
   */
  left(
    state: ConversationState,
    { first, last }: SequenceRange,
    reason: 'abandoned' | 'unclaimed',
    epoch: Epoch,
  ): void {
    this.#left.push({ conversation: state.key, first, last, reason, generation: epoch.generation });
    if (this.#left.length >= maxWaiting) {
      state.awaitingRecord = true;
      this.#held.push(state);
    }
    this.#recording ??= this.#recordLeft();
  }

  /** Waits until everything is recorded: what is not, nobody will ever explain. */
  async recorded(): Promise<void> {
    await Promise.all([this.#recording, ...this.#recordings]);
  }

  /** No more tries. */
  giveUp(): void {
    this.#givenUp = true;
  }

  async #recordLost(states: readonly ConversationState[], epoch: Epoch): Promise<void> {
    for (let failures = 0; ; failures += 1) {
      try {
        const gaps = await this.#lostRanges(states, epoch);
        if (gaps.length > 0) await this.#ledger.recordGaps(gaps);
        for (const gap of gaps) this.#emit({ type: 'gap', ...gap });
        break;
      } catch (error) {
        if (this.#givenUp) break;
        const trouble = asTidemarkError(error);
        for (const state of states) state.trouble = trouble;
        await sleep(this.#clock, backoffMs(failures, firstRetryMs, maxRetryMs));
      }
    }
    this.#release(states);
  }

  #release(states: readonly ConversationState[]): void {
    for (const state of states) {
      state.awaitingRecord = false;
      this.#onRecorded(state);
    }
  }

  /**
   * The take no longer can run, so its numbers lie behind what this process saw last and not above the word; where the
   * word is gone, not above the ledger's ceiling. Numbers that others took in the meantime are in the range, too: that
   * is why it is uncertain.
   */
  async #lostRanges(states: readonly ConversationState[], epoch: Epoch): Promise<NewGap[]> {
    const keys = states.map((state) => state.key);
    const read = await this.#counters.read(epoch, keys);
    if (read.status === 'stale') this.#epochs.stale(states[0]!.slot, epoch);
    const entries = await this.#ledger.load(keys);
    const gaps: NewGap[] = [];
    states.forEach((state, index) => {
      const last = highestPossible(read.status === 'done' ? read.results[index] : undefined, entries[index]);
      // Not behind the ledger's floor: another process may have raised that past numbers of the lost take.
      const first = this.#states.lastSeen(state) + 1;
      if (first > last) return;
      gaps.push({ conversation: state.key, first, last, reason: 'reply_lost', generation: epoch.generation });
    });
    return gaps;
  }

  async #recordLeft(): Promise<void> {
    for (let failures = 0; this.#left.length > 0; ) {
      const gaps = this.#left;
      this.#left = [];
      try {
        await this.#ledger.recordGaps(gaps);
        failures = 0;
        for (const gap of gaps) this.#emit({ type: 'gap', ...gap });
        this.#release(this.#held.splice(0));
      } catch {
        if (this.#givenUp) break;
        this.#left = [...gaps, ...this.#left];
        await sleep(this.#clock, backoffMs(failures, firstRetryMs, maxRetryMs));
        failures += 1;
      }
    }
    this.#recording = undefined;
  }
}

function highestPossible(word: ReadResult | undefined, entry: LedgerEntry | undefined): number {
  if (word?.status === 'present') return word.word.last;
  return entry?.ceiling ?? 0;
}
