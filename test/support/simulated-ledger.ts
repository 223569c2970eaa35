import type {
  CompleteMark,
  Gap,
  Ledger,
  LedgerEntry,
  NewestGeneration,
  NewGap,
  ReserveOutcome,
  ReserveRequest,
} from '../../src/core/ledger.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import type { Random } from './random.js';
import { delayMs, type FaultRates, unavailable } from './simulated-faults.js';
import type { VirtualClock } from './virtual-clock.js';

/** A memory ledger that many simulated processes share, with faults on the way. */
export class SimulatedLedger implements Ledger {
  readonly #memory: MemoryLedger;
  readonly #clock: VirtualClock;
  readonly #random: Random;
  readonly #rates: FaultRates;
  up = true;
  /** How wrong its clock is. */
  clockOffsetMs = 0;

  constructor(clock: VirtualClock, random: Random, rates: FaultRates) {
    this.#memory = new MemoryLedger(() => clock.monotonicMs() + this.clockOffsetMs);
    this.#clock = clock;
    this.#random = random;
    this.#rates = rates;
  }

  registerHistory(...[history, options]: Parameters<Ledger['registerHistory']>): Promise<number> {
    return this.#run(() => this.#memory.registerHistory(history, options));
  }

  generationsOf(history: string): Promise<readonly number[]> {
    return this.#run(() => this.#memory.generationsOf(history));
  }

  keepAlive(generation: number | undefined): Promise<NewestGeneration> {
    return this.#run(() => this.#memory.keepAlive(generation));
  }

  reserve(requests: readonly ReserveRequest[]): Promise<readonly ReserveOutcome[]> {
    return this.#run(() => this.#memory.reserve(requests));
  }

  recordGaps(gaps: readonly NewGap[]): Promise<void> {
    return this.#run(() => this.#memory.recordGaps(gaps));
  }

  freeze(...[generation, words]: Parameters<Ledger['freeze']>): Promise<readonly boolean[]> {
    return this.#run(() => this.#memory.freeze(generation, words));
  }

  handBack(...[generation, words]: Parameters<Ledger['handBack']>): Promise<readonly boolean[]> {
    return this.#run(() => this.#memory.handBack(generation, words));
  }

  load(conversations: readonly string[]): Promise<readonly (LedgerEntry | undefined)[]> {
    return this.#run(() => this.#memory.load(conversations));
  }

  list(...[type, page]: Parameters<Ledger['list']>): Promise<readonly LedgerEntry[]> {
    return this.#run(() => this.#memory.list(type, page));
  }

  gaps(...[conversation, range]: Parameters<Ledger['gaps']>): Promise<readonly Gap[]> {
    return this.#memory.gaps(conversation, range);
  }

  completeMarks(conversations: readonly string[]): Promise<readonly (number | undefined)[]> {
    return this.#run(() => this.#memory.completeMarks(conversations));
  }

  raiseCompleteMarks(marks: readonly CompleteMark[]): Promise<void> {
    return this.#run(() => this.#memory.raiseCompleteMarks(marks));
  }

  /** Entries are gone, as after restoring a backup. */
  lose(isLost: (entry: LedgerEntry) => boolean): void {
    this.#memory.forget(isLost);
  }

  onNotice(): void {}

  async close(): Promise<void> {}

  async #run<T>(operation: () => Promise<T>): Promise<T> {
    await this.#delay();
    if (!this.up || this.#random.chance(this.#rates.ledgerFails)) throw unavailable('ledger_unavailable');
    const result = await operation();
    await this.#delay();
    // Done, but nobody is told.
    if (!this.up || this.#random.chance(this.#rates.ledgerFails)) throw unavailable('ledger_unavailable');
    return result;
  }

  #delay(): Promise<void> {
    return this.#clock.sleep(delayMs(this.#random, this.#rates));
  }
}
