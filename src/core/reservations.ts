import { TidemarkError } from '../errors.js';
import { backoffMs } from './backoff.js';
import type { Clock } from './clock.js';
import type { ConversationState } from './conversation-state.js';
import type { CounterStore, Epoch, Grant } from './counter-store.js';
import { ceilingOf, maxRemaining, maxSequenceNumber } from './counter-word.js';
import { asTidemarkError, type Epochs, fenced } from './epochs.js';
import type { EventListener } from './events.js';
import { GrantBatches, type Sendable } from './grant-batches.js';
import type { Ledger, ReserveOutcome } from './ledger.js';
import { LedgerOutage } from './ledger-outage.js';
import type { ResolvedOptions } from './options.js';
import { printable } from './quote.js';
import { installWindowMs } from './recovery.js';
import { groupBySlot } from './slots.js';
import type { Look } from './takes.js';

/** Most conversations in one ledger transaction. */
const maxReserveBatch = 250;
/** Refills that a full transaction still takes along, so that they come to an end when many others have calls waiting. */
const refillsPerBatch = 50;
/** Most refills that wait for a transaction. A conversation beyond that asks again with its next take. */
const maxQueuedRefills = 2_000;
/** Refills that are not urgent wait so long for others, in milliseconds: one transaction for all costs hardly more. */
const gatherRefillsMs = 10;
/** Most ledger transactions under way. */
const maxReserves = 2;
/** Delay before another look that the last one did not help: doubles from the first to the second, in milliseconds. */
const firstLookAgainMs = 2;
const maxLookAgainMs = 100;
/** A look at a missing word that is older than this is not worth a reservation: the install would come too late (I8). */
const maxLookAgeMs = installWindowMs / 2;

/** A reservation that a conversation wants. */
interface Wish {
  readonly state: ConversationState;
  readonly look: Look;
  readonly lookedAtMs: number;
  /** True when calls wait for it. */
  readonly needed: boolean;
}

interface Reserved extends Sendable {
  readonly wish: Wish;
}

/**
 * Blocks for counter words: refills in the background, first blocks, and recovery.
 *
 * The order is always: look at the word, reserve in the ledger, grant to the word (I1). Wishes are coalesced into few
 * transactions and few grant calls. Whatever comes in between, the way out is to look again; a block that was reserved
 * and not granted is adopted or explained by whoever looks next.
 */
export class Reservations {
  readonly outage: LedgerOutage;
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #options: ResolvedOptions;
  readonly #emit: EventListener;
  readonly #announce: (epochs: Iterable<Epoch>) => Promise<void>;
  readonly #onReady: (state: ConversationState) => void;
  readonly #grants: GrantBatches;
  /** Wishes that calls wait for, and those that nobody waits for yet. */
  #needed: Wish[] = [];
  #refills: Wish[] = [];
  /** Ledger transactions. */
  #underWay = 0;
  /** Groups of grants that follow from them. */
  #granting = 0;
  #pumpScheduled = false;
  #cancelGathering: (() => void) | undefined;
  #idle: (() => void) | undefined;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    clock: Clock;
    epochs: Epochs;
    options: ResolvedOptions;
    emit: EventListener;
    /** Tells the ledger that epochs are in use, before the first reservation in them. */
    announce: (epochs: Iterable<Epoch>) => Promise<void>;
    /** The conversation may take numbers again. */
    onReady: (state: ConversationState) => void;
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
    this.#options = parts.options;
    this.#emit = parts.emit;
    this.#announce = parts.announce;
    this.#onReady = parts.onReady;
    this.#grants = new GrantBatches(parts);
    this.outage = new LedgerOutage({
      ledger: parts.ledger,
      clock: parts.clock,
      patienceMs: parts.options.ledgerPatienceMs,
      emit: parts.emit,
      onUp: (held, unbacked) => {
        for (const state of held) this.#onReady(state);
        void this.backAll(unbacked);
      },
    });
  }

  /** Calls wait: the block cannot give what they ask for, or the word is missing. */
  require(state: ConversationState, look: Look): void {
    state.awaitingBlock = true;
    if (look.saw !== undefined) {
      state.refillWasLate = true;
      this.#emit({ type: 'refill_late', conversation: state.key });
    }
    // A refill ends the waiting when it is done. Nobody waited for it before: it must not tarry now.
    if (state.reserving) this.#pumpSoon();
    else this.#wish(state, look, true);
  }

  /** Nobody waits yet. */
  refill(state: ConversationState, look: Look): void {
    if (state.reserving || this.outage.trouble !== undefined) return;
    if (this.#refills.length < maxQueuedRefills) this.#wish(state, look, false);
  }

  /** Tells the ledger about conversations that were extended without it. */
  async backAll(states: readonly ConversationState[]): Promise<void> {
    for (const batch of this.#readBatches(states)) {
      const epoch = this.#epochs.of(batch[0]!.slot);
      if (epoch === undefined) continue;
      const read = await this.#counters
        .read(
          epoch,
          batch.map((state) => state.key),
        )
        .catch(() => undefined);
      // Without an answer the next look at each of them, or the next return of the ledger, tries again.
      if (read?.status !== 'done') continue;
      read.results.forEach((result, index) => {
        const state = batch[index]!;
        if (state.reserving || result.status === 'corrupt') return;
        const saw = result.status === 'present' ? result.word : undefined;
        this.#wish(state, { epoch, saw, storeTimeMs: 0, need: 1 }, false);
      });
    }
  }

  #readBatches(states: readonly ConversationState[]): ConversationState[][] {
    const batches: ConversationState[][] = [];
    const unreserved = states.filter((state) => !state.reserving);
    for (const part of groupBySlot(this.#counters, unreserved, ({ key }) => key)) {
      for (let from = 0; from < part.length; from += maxReserveBatch)
        batches.push(part.slice(from, from + maxReserveBatch));
    }
    return batches;
  }

  /** Resolves when no reservation is queued or under way. */
  async idle(): Promise<void> {
    if (!this.#isIdle) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  #wish(state: ConversationState, look: Look, needed: boolean): void {
    state.reserving = true;
    const queue = needed ? this.#needed : this.#refills;
    queue.push({ state, look, lookedAtMs: this.#clock.monotonicMs(), needed });
    if (needed || state.isBusy || this.#refills.length >= refillsPerBatch) this.#pumpSoon();
    else this.#cancelGathering ??= this.#clock.setTimer(gatherRefillsMs, () => this.#pump());
  }

  #pumpSoon(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    this.#clock.defer(() => {
      this.#pumpScheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    this.#cancelGathering?.();
    this.#cancelGathering = undefined;
    while (this.#underWay < maxReserves && this.#hasWishes) {
      const wishes = this.#nextBatch();
      this.#underWay += 1;
      void this.#serve(wishes).then((reserved) => {
        this.#underWay -= 1;
        void this.#grant(reserved);
        this.#pump();
        this.#checkIdle();
      });
    }
  }

  get #hasWishes(): boolean {
    return this.#needed.length > 0 || this.#refills.length > 0;
  }

  #nextBatch(): Wish[] {
    const refills = Math.min(this.#refills.length, refillsPerBatch);
    const batch = this.#needed.splice(0, maxReserveBatch - refills);
    batch.push(...this.#refills.splice(0, maxReserveBatch - batch.length));
    return batch;
  }

  async #serve(wishes: readonly Wish[]): Promise<readonly Reserved[]> {
    const fresh = wishes.filter((wish) => this.#isFresh(wish) || this.#done(wish.state));
    if (fresh.length === 0) return [];
    return this.outage.trouble === undefined ? this.#reserve(fresh) : this.#extendAllUnbacked(fresh);
  }

  #isFresh(wish: Wish): boolean {
    return wish.look.saw !== undefined || this.#clock.monotonicMs() - wish.lookedAtMs < maxLookAgeMs;
  }

  async #reserve(wishes: readonly Wish[]): Promise<Reserved[]> {
    let outcomes: readonly ReserveOutcome[];
    try {
      outcomes = await this.outage.attempt(async () => {
        await this.#announce(wishes.map(({ look }) => look.epoch));
        return this.#ledger.reserve(wishes.map((wish) => this.#request(wish)));
      });
    } catch (error) {
      if (this.outage.trouble !== undefined) return this.#extendAllUnbacked(wishes);
      for (const { state } of wishes) this.#lookAgain(state, asTidemarkError(error));
      return [];
    }
    const reserved: Reserved[] = [];
    wishes.forEach((wish, index) => {
      const grant = this.#grantAfter(wish, outcomes[index]!);
      if (grant !== undefined) reserved.push({ wish, grant, epoch: wish.look.epoch });
    });
    return reserved;
  }

  #request({ state, look }: Wish) {
    return {
      conversation: state.key,
      generation: look.epoch.generation,
      // A word that is gone had gone as far as this process remembers.
      saw: look.saw ?? state.unbackedWord,
      need: look.need,
      policy: state.policy,
    };
  }

  /** What the ledger said about one wish; the grant that follows from it, if any. */
  #grantAfter(wish: Wish, outcome: ReserveOutcome): Grant | undefined {
    const { state, look } = wish;
    switch (outcome.status) {
      case 'reserved':
        this.#tell(wish, outcome);
        state.blockSize = outcome.blockSize;
        return this.#grantOf(wish, outcome.block, outcome.mode);
      case 'busy':
        this.#lookAgain(state);
        return undefined;
      case 'fenced':
        this.#fenced(wish, outcome.newerGeneration);
        return undefined;
      case 'exhausted':
        state.failWaiting(exhausted(state.key), (call) => call.count > (look.saw?.remaining ?? 0));
        this.#done(state);
        return undefined;
      case 'corrupt':
        state.failWaiting(corruptEntry(state.key, outcome.found));
        this.#done(state);
        return undefined;
    }
  }

  #grantOf(wish: Wish, block: Grant['block'], mode: Grant['mode']): Grant {
    const expiresAtStoreTimeMs = wish.look.storeTimeMs + installWindowMs;
    return { conversation: wish.state.key, block, mode, expiresAtStoreTimeMs };
  }

  #tell({ state, look }: Wish, outcome: Extract<ReserveOutcome, { status: 'reserved' }>): void {
    const conversation = state.key;
    if (outcome.gap !== undefined) this.#emit({ type: 'gap', ...outcome.gap });
    // Behind what was handed back nothing was lost.
    if (outcome.kind === 'takeover' && outcome.gap !== undefined) {
      this.#emit({ type: 'takeover', conversation, generation: look.epoch.generation, block: outcome.block });
    }
    if (state.unbackedCeiling !== undefined) {
      if (outcome.block.end >= state.unbackedCeiling) this.outage.backed(state);
    } else if (outcome.kind === 'healed') {
      this.#emit({ type: 'ledger_healed', conversation, ceiling: outcome.block.start });
    }
  }

  /** I6. Nothing is taken from this epoch any more. The store may have moved on: find out, then look again. */
  #fenced({ state, look }: Wish, newerGeneration: number): void {
    this.#epochs.fenced(state.slot, look.epoch, newerGeneration, state.key);
    this.#lookAgain(state, fenced(look.epoch.generation, newerGeneration, state.key));
  }

  /** The ledger is out of reach: words that are there may go on (P6), missing ones must wait. */
  #extendAllUnbacked(wishes: readonly Wish[]): Reserved[] {
    const reserved: Reserved[] = [];
    for (const wish of wishes) {
      if (!wish.needed) this.#done(wish.state);
      else if (this.#mayGoUnbacked(wish)) {
        const grant = this.#extendUnbacked(wish);
        if (grant !== undefined) reserved.push({ wish, grant, epoch: wish.look.epoch });
      } else {
        wish.state.reserving = false;
        this.outage.hold(wish.state);
      }
    }
    return reserved;
  }

  #mayGoUnbacked({ look, state }: Wish): boolean {
    if (this.#options.ledgerOutage === 'refuse' || look.saw === undefined) return false;
    return state.unbackedCeiling !== undefined || this.outage.unbackedCount < this.#options.maxRemembered;
  }

  #extendUnbacked(wish: Wish): Grant | undefined {
    const { state, look } = wish;
    const saw = look.saw!;
    const start = ceilingOf(saw);
    const size = Math.min(Math.max(look.need, state.blockSize), maxRemaining - saw.remaining);
    const end = Math.min(start + size, maxSequenceNumber);
    if (end <= start) {
      state.failWaiting(exhausted(state.key), (call) => call.count > saw.remaining);
      this.#done(state);
      return undefined;
    }
    // Remembered before the grant is sent: its reply may be lost.
    this.outage.unbacked(state, end);
    return this.#grantOf(wish, { start, end }, 'extend');
  }

  /** The ledger is asked for others meanwhile: a primary that is away holds up nobody else. */
  async #grant(reserved: readonly Reserved[]): Promise<void> {
    this.#granting += 1;
    await this.#grants.send(reserved, ({ wish: { state } }, end) => {
      if (end === 'done') this.#done(state);
      else this.#lookAgain(state, end === 'moot' ? undefined : end);
    });
    this.#granting -= 1;
    this.#checkIdle();
  }

  get #isIdle(): boolean {
    return this.#underWay === 0 && this.#granting === 0 && !this.#hasWishes;
  }

  #checkIdle(): void {
    if (this.#isIdle) this.#idle?.();
  }

  /** Nothing more to do for this wish: calls that wait may take again. Always false, to end a filter with. */
  #done(state: ConversationState): false {
    state.reserving = false;
    state.awaitingBlock = false;
    this.#onReady(state);
    return false;
  }

  /** The next look may find something else. Looks that lead nowhere are spaced. */
  #lookAgain(state: ConversationState, trouble?: TidemarkError): void {
    if (trouble !== undefined) {
      state.trouble = trouble;
      if (!trouble.retryable) state.failWaiting(trouble);
    }
    state.reserving = false;
    if (state.waiting.isEmpty) {
      state.awaitingBlock = false;
      return;
    }
    state.awaitingBlock = true;
    const delayMs = backoffMs(state.fruitlessLooks, firstLookAgainMs, maxLookAgainMs);
    state.fruitlessLooks += 1;
    this.#clock.setTimer(delayMs, () => {
      state.awaitingBlock = false;
      this.#onReady(state);
    });
  }
}

/** The error for a conversation that has used its last number. */
export function exhausted(conversation: string): TidemarkError {
  return new TidemarkError(
    'exhausted',
    `${conversation} cannot issue that many numbers: ${maxSequenceNumber} is the last one; continue in a new conversation`,
    { conversation },
  );
}

/** The error for a ledger entry that makes no sense. */
export function corruptEntry(conversation: string, found: string): TidemarkError {
  return new TidemarkError(
    'ledger_corrupt',
    `the ledger entry of ${conversation} makes no sense (${printable(found)}); it was left as it is: restore or correct it`,
    { conversation },
  );
}
