import { backoffMs } from './backoff.js';
import { type Clock, sleep } from './clock.js';
import type { Conversation } from './conversation.js';
import type { CounterStore, Epoch, Receipt } from './counter-store.js';
import type { EventListener } from './events.js';
import type { ResolvedOptions } from './options.js';

/** Receipts that one call puts back. */
const restoreBatch = 250;
/** Delay before receipts are put back again after an error: doubles from the first to the second, in milliseconds. */
const firstRetryMs = 20;
const maxRetryMs = 1_000;

/** The number of a message. */
export interface MessageNumber {
  readonly number: number;
  /** True when an earlier call with the same message id took it. After a lost reply that may be the same call's own take. */
  readonly repeated: boolean;
}

interface Remembered {
  readonly conversation: string;
  readonly messageId: string;
  readonly number: number;
  readonly expiresAtMs: number;
}

/**
 * The latest message ids that got their numbers through this process.
 *
 * Receipts live in the counter store only, and a failover may lose the latest of them. Whoever took the numbers puts them
 * back, before its own retries go on (P5). A message id that got a second number in between is told of by an event.
 */
export class Receipts {
  readonly #counters: CounterStore;
  readonly #clock: Clock;
  readonly #emit: EventListener;
  readonly #windowMs: (type: string) => number;
  readonly #capacity: number;
  /**
   * A ring: the oldest is overwritten first. Columns and not objects: what every call leaves behind for a while is dear to
   * collect.
   */
  readonly #conversations: string[] = [];
  readonly #messageIds: string[] = [];
  readonly #numbers: number[] = [];
  readonly #expiresAtMs: number[] = [];
  readonly #slots: number[] = [];
  #next = 0;
  /** The epoch of each slot. */
  readonly #epochs = new Map<number, Epoch>();
  #closed = false;

  constructor(parts: {
    counters: CounterStore;
    clock: Clock;
    options: ResolvedOptions;
    emit: EventListener;
  }) {
    this.#counters = parts.counters;
    this.#clock = parts.clock;
    this.#emit = parts.emit;
    this.#windowMs = parts.options.messageIdWindowMs;
    // Counters that end with the process lose their receipts together with this memory.
    this.#capacity = parts.counters.traits.private ? 0 : parts.options.maxRememberedReceipts;
  }

  /** A call with the message id was answered, be it with a new number or a known one: its own first take may be the lost one. */
  remember({ key, type }: Conversation, messageId: string, number: number): void {
    if (this.#capacity === 0) return;
    const place = this.#next;
    this.#conversations[place] = key;
    this.#messageIds[place] = messageId;
    this.#numbers[place] = number;
    // At most one window longer than the receipt itself.
    this.#expiresAtMs[place] = this.#clock.monotonicMs() + this.#windowMs(type);
    this.#slots[place] = this.#counters.slotOf(key);
    this.#next = place + 1 === this.#capacity ? 0 : place + 1;
  }

  /** The epoch of a slot is known: if its history is another one than before, receipts may be missing in it. */
  restore(slot: number, epoch: Epoch): void {
    const previous = this.#epochs.get(slot);
    this.#epochs.set(slot, epoch);
    if (previous === undefined || previous.history === epoch.history) return;
    void this.#restoreAll(slot, epoch);
  }

  /**
   * A take was answered in an epoch. If the slot has another history by now, what was remembered of it came too late for
   * {@link restore}, and may be missing there.
   */
  answered(slot: number, { history }: Epoch): void {
    const now = this.#epochs.get(slot);
    if (now !== undefined && now.history !== history) void this.#restoreAll(slot, now);
  }

  /** Puts nothing back any more. */
  close(): void {
    this.#closed = true;
  }

  async #restoreAll(slot: number, epoch: Epoch): Promise<void> {
    const remembered = this.#rememberedIn(slot);
    const batches: Promise<number>[] = [];
    for (let from = 0; from < remembered.length; from += restoreBatch)
      batches.push(this.#restoreBatch(slot, epoch, remembered.slice(from, from + restoreBatch)));
    const counts = await Promise.all(batches);
    const receipts = counts.reduce((sum, count) => sum + count, 0);
    if (receipts > 0) this.#emit({ type: 'receipts_restored', generation: epoch.generation, receipts });
  }

  /** How many are certainly there now. */
  async #restoreBatch(slot: number, epoch: Epoch, batch: readonly Remembered[]): Promise<number> {
    for (let failures = 0; this.#epochs.get(slot) === epoch && !this.#closed; failures += 1) {
      try {
        const reply = await this.#counters.restoreReceipts(epoch, this.#toRestore(batch));
        // Another history already: all of them are put back there.
        return reply.status === 'stale' ? 0 : this.#compare(batch, reply.numbers);
      } catch {
        const delayMs = backoffMs(failures, firstRetryMs, maxRetryMs);
        await sleep(this.#clock, delayMs);
      }
    }
    return 0;
  }

  #toRestore(batch: readonly Remembered[]): readonly Receipt[] {
    const nowMs = this.#clock.monotonicMs();
    return batch.map(({ conversation, messageId, number, expiresAtMs }) => {
      return { conversation, messageId, number, ttlMs: Math.max(1, Math.ceil(expiresAtMs - nowMs)) };
    });
  }

  #compare(batch: readonly Remembered[], numbers: readonly (number | undefined)[]): number {
    let restored = 0;
    batch.forEach((remembered, index) => {
      const { conversation, messageId, number } = remembered;
      const newNumber = numbers[index];
      if (newNumber === number) {
        restored += 1;
        return;
      }
      this.#forget(remembered);
      this.#emit({ type: 'receipt_lost', conversation, messageId, number, newNumber });
    });
    return restored;
  }

  #rememberedIn(slot: number): readonly Remembered[] {
    const nowMs = this.#clock.monotonicMs();
    const remembered: Remembered[] = [];
    for (let place = 0; place < this.#numbers.length; place += 1) {
      const expiresAtMs = this.#expiresAtMs[place]!;
      if (this.#slots[place] !== slot || expiresAtMs <= nowMs) continue;
      const [conversation, messageId] = [this.#conversations[place]!, this.#messageIds[place]!];
      remembered.push({ conversation, messageId, number: this.#numbers[place]!, expiresAtMs });
    }
    return remembered;
  }

  /** Told of once. */
  #forget({ conversation, messageId, number }: Remembered): void {
    for (let place = 0; place < this.#numbers.length; place += 1) {
      const isIt =
        this.#numbers[place] === number &&
        this.#messageIds[place] === messageId &&
        this.#conversations[place] === conversation;
      if (isIt) this.#expiresAtMs[place] = Number.NEGATIVE_INFINITY;
    }
  }
}
