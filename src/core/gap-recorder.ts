import { backoffMs } from './backoff.js';
import type { Clock } from './clock.js';
import type { ConversationState } from './conversation-state.js';
import type { CounterStore, Epoch, ReadResult } from './counter-store.js';
import { asTidemarkError, type Epochs } from './epochs.js';
import type { EventListener } from './events.js';
import type { Ledger, LedgerEntry, NewGap } from './ledger.js';

/** Delay between tries to record gaps: doubles from the first to the second, in milliseconds. */
const firstRetryMs = 10;
const maxRetryMs = 1_000;
/** Most abandoned ranges that wait to be recorded; further ones are merged into the newest of their conversation. */
const maxWaiting = 10_000;

/**
 * Records the gaps that no takeover explains: takes whose reply was lost for good, and numbers whose callers gave up.
 */
export class GapRecorder {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #emit: EventListener;
  readonly #onRecorded: (state: ConversationState) => void;
  #abandoned: NewGap[] = [];
  #recording: Promise<void> | undefined;
  #closing = false;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    clock: Clock;
    epochs: Epochs;
    emit: EventListener;
    /** The conversation may take numbers again. */
    onRecorded: (state: ConversationState) => void;
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
    this.#emit = parts.emit;
    this.#onRecorded = parts.onRecorded;
  }

  /** I7: conversations whose take was lost issue nothing in this process until the gap is recorded. */
  lost(states: readonly ConversationState[], epoch: Epoch): void {
    for (const state of states) state.awaitingRecord = true;
    void this.#recordLost(states, epoch);
  }

  /** Numbers nobody received and nobody will: certain, so nothing has to wait for the record. */
  abandoned(state: ConversationState, first: number, last: number, epoch: Epoch): void {
    if (this.#abandoned.length >= maxWaiting) return;
    this.#abandoned.push({
      conversation: state.key,
      first,
      last,
      reason: 'abandoned',
      generation: epoch.generation,
    });
    this.#recording ??= this.#recordAbandoned();
  }

  /** One last try for what waits, then no more tries. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#recording;
  }

  async #recordLost(states: readonly ConversationState[], epoch: Epoch): Promise<void> {
    for (let failures = 0; !this.#closing; failures += 1) {
      try {
        const gaps = await this.#lostRanges(states, epoch);
        if (gaps.length > 0) await this.#ledger.recordGaps(gaps);
        for (const gap of gaps) this.#emit({ type: 'gap', ...gap });
        break;
      } catch (error) {
        const trouble = asTidemarkError(error);
        for (const state of states) state.trouble = trouble;
        await this.#sleep(backoffMs(failures, firstRetryMs, maxRetryMs));
      }
    }
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
    if (read.status === 'stale') this.#epochs.stale(epoch);
    const entries = await this.#ledger.load(keys);
    const gaps: NewGap[] = [];
    states.forEach((state, index) => {
      const last = highestPossible(read.status === 'done' ? read.results[index] : undefined, entries[index]);
      const first = (state.lastSeen ?? 0) + 1;
      if (first > last) return;
      gaps.push({ conversation: state.key, first, last, reason: 'reply_lost', generation: epoch.generation });
    });
    return gaps;
  }

  async #recordAbandoned(): Promise<void> {
    for (let failures = 0; this.#abandoned.length > 0; ) {
      const gaps = this.#abandoned;
      this.#abandoned = [];
      try {
        await this.#ledger.recordGaps(gaps);
        failures = 0;
        for (const gap of gaps) this.#emit({ type: 'gap', ...gap });
      } catch {
        if (this.#closing) break;
        this.#abandoned = [...gaps, ...this.#abandoned].slice(0, maxWaiting);
        await this.#sleep(backoffMs(failures, firstRetryMs, maxRetryMs));
        failures += 1;
      }
    }
    this.#recording = undefined;
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#clock.setTimer(delayMs, resolve));
  }
}

function highestPossible(word: ReadResult | undefined, entry: LedgerEntry | undefined): number {
  if (word?.status === 'present') return word.word.last;
  return entry?.ceiling ?? 0;
}
