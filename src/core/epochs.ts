import { TidemarkError } from '../errors.js';
import { backoffMs } from './backoff.js';
import type { Clock } from './clock.js';
import type { CounterStore, Epoch, History } from './counter-store.js';
import type { EventListener } from './events.js';
import type { Ledger } from './ledger.js';

/** Delay before the next try to find out an epoch: doubles from the first to the second, in milliseconds. */
const firstRetryMs = 5;
const maxRetryMs = 250;
/** How often a process that is fenced looks where the address of its store leads now, in milliseconds. */
const connectAnewEveryMs = 1_000;
/** A newer generation counts as abandoned when nobody was seen in it for so long, in milliseconds. */
const abandonedAfterMs = 5_000;

/** What goes on to find out the epoch of a slot. */
interface Inquiry {
  /** A generation that has fenced this process off; 0 when none has. */
  fencedBy: number;
  failures: number;
  /** When the store was last told to connect anew, or the inquiry began. */
  connectedAtMs: number;
  cancelRetry: (() => void) | undefined;
  trouble: TidemarkError | undefined;
}

/** An epoch that some slots have now. Slots of one history and generation share the object. */
interface Shared {
  readonly epoch: Epoch;
  slots: number;
}

/**
 * Which history the counter store has in each of its slots, and which generation the ledger gave it.
 *
 * Unknown at first, after a `stale` answer, and when a newer generation was found: then an inquiry goes on, one for each
 * slot, until it succeeds.
 */
export class Epochs {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #emit: EventListener;
  readonly #onKnown: (slot: number, epoch: Epoch) => void;
  readonly #slots: number;
  readonly #bySlot: (Epoch | undefined)[];
  readonly #shared = new Map<string, Shared>();
  readonly #inquiries = new Map<number, Inquiry>();
  /** Registrations under way, so that the many slots of one primary ask the ledger once. */
  readonly #registrations = new Map<string, Promise<number>>();
  readonly #sweep = new AbortController();
  #closed = false;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    clock: Clock;
    emit: EventListener;
    /** Called each time the epoch of a slot is known (again). */
    onKnown: (slot: number, epoch: Epoch) => void;
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#emit = parts.emit;
    this.#onKnown = parts.onKnown;
    this.#slots = parts.counters.traits.slots;
    this.#bySlot = new Array<Epoch | undefined>(this.#slots).fill(undefined);
  }

  /** The epoch of a slot if it is known; otherwise an inquiry is under way. */
  of(slot: number): Epoch | undefined {
    const epoch = this.#bySlot[slot];
    if (epoch === undefined) this.#inquire(slot);
    return epoch;
  }

  /** Every epoch that is known, with one of its slots. */
  get known(): ReadonlyMap<Epoch, number> {
    const known = new Map<Epoch, number>();
    for (const { epoch } of this.#shared.values()) known.set(epoch, this.#bySlot.indexOf(epoch));
    return known;
  }

  /** What keeps an epoch from being known, that of `slot` or any; undefined while all goes well. */
  trouble(slot?: number): TidemarkError | undefined {
    if (slot !== undefined) return this.#inquiries.get(slot)?.trouble;
    for (const { trouble } of this.#inquiries.values()) if (trouble !== undefined) return trouble;
    return undefined;
  }

  /** The store says that the slot has another history than `epoch`. */
  stale(slot: number, epoch: Epoch): void {
    this.#forget(slot, epoch);
    this.#inquire(slot);
  }

  /** I6: a newer generation was found, so this process may talk to a store that is no longer the one. */
  fenced(slot: number, epoch: Epoch, newerGeneration: number, conversation?: string): void {
    if (this.#bySlot[slot] === epoch) {
      const { generation } = epoch;
      this.#emit({ type: 'fenced', conversation, generation, newerGeneration });
    }
    this.#forget(slot, epoch);
    this.#inquire(slot, newerGeneration);
  }

  /** Ends inquiries and sweeping. */
  close(): void {
    this.#closed = true;
    for (const { cancelRetry } of this.#inquiries.values()) cancelRetry?.();
    this.#sweep.abort();
  }

  #forget(slot: number, epoch: Epoch): void {
    if (this.#bySlot[slot] !== epoch) return;
    this.#bySlot[slot] = undefined;
    const name = nameOf(epoch);
    const shared = this.#shared.get(name)!;
    shared.slots -= 1;
    if (shared.slots === 0) this.#shared.delete(name);
  }

  #inquire(slot: number, fencedBy = 0): void {
    if (this.#closed) return;
    const going = this.#inquiries.get(slot);
    if (going !== undefined) {
      going.fencedBy = Math.max(going.fencedBy, fencedBy);
      return;
    }
    const connectedAtMs = this.#clock.monotonicMs();
    const inquiry = { fencedBy, failures: 0, connectedAtMs, cancelRetry: undefined, trouble: undefined };
    this.#inquiries.set(slot, inquiry);
    void this.#find(slot, inquiry);
  }

  async #find(slot: number, inquiry: Inquiry): Promise<void> {
    try {
      const history = await this.#counters.history(slot, this.#mayLeadElsewhere(inquiry));
      const generation = await this.#generationOf(slot, history, inquiry.fencedBy);
      if (this.#closed) return;
      this.#known(slot, { history: history.id, generation }, history.renamedFrom);
    } catch (error) {
      if (this.#closed) return;
      inquiry.trouble = asTidemarkError(error);
      inquiry.cancelRetry = this.#clock.setTimer(
        backoffMs(inquiry.failures, firstRetryMs, maxRetryMs),
        () => {
          void this.#find(slot, inquiry);
        },
      );
      inquiry.failures += 1;
    }
  }

  /** A cluster is asked who serves the slot; any other address has to be tried. */
  #mayLeadElsewhere(inquiry: Inquiry): boolean {
    if (this.#slots > 1 || inquiry.trouble?.code !== 'fenced') return false;
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - inquiry.connectedAtMs < connectAnewEveryMs) return false;
    inquiry.connectedAtMs = nowMs;
    return true;
  }

  /**
   * A generation that is not below the one that fences. In a cluster slots move between histories, so the lowest that fits is
   * taken: higher ones are of other slots. Elsewhere the highest one is the one that everybody uses.
   */
  async #generationOf(slot: number, history: History, fencedBy: number): Promise<number> {
    const lowest = await this.#register(history);
    if (this.#slots > 1 && fencedBy <= lowest) return lowest;
    const own = await this.#ledger.generationsOf(history.id);
    const best = this.#slots > 1 ? own.find((generation) => generation >= fencedBy) : own.at(-1);
    if (best !== undefined && best >= fencedBy) return best;
    const atLeast = await this.#raiseAbove(slot, history.id, best ?? lowest, fencedBy);
    return this.#ledger.registerHistory(history.id, { atLeast });
  }

  #register({ id, renamedFrom }: History): Promise<number> {
    const going = this.#registrations.get(id);
    if (going !== undefined) return going;
    const renamed = renamedFrom === undefined ? {} : { renamedFrom, onlyIfNewest: this.#slots === 1 };
    const registration = this.#ledger
      .registerHistory(id, renamed)
      .finally(() => this.#registrations.delete(id));
    this.#registrations.set(id, registration);
    return registration;
  }

  /**
   * This history may go on above the generation that fences it only where nobody else does (I6): a cluster says so itself,
   * and elsewhere the ledger knows when somebody was last seen there.
   *
   * @returns the generation to go on from
   * @throws TidemarkError `fenced`
   */
  async #raiseAbove(slot: number, history: string, generation: number, fencedBy: number): Promise<number> {
    if (this.#slots > 1) {
      if (await this.#counters.confirms?.(slot, history)) return fencedBy;
      throw fenced(generation, fencedBy);
    }
    const { newest, newestIdleMs } = await this.#ledger.keepAlive(undefined);
    // Where the newest is its own, the ledger has forgotten the one that fences.
    if (newest > generation && newestIdleMs < abandonedAfterMs) throw fenced(generation, newest);
    return Math.max(newest, fencedBy);
  }

  #known(slot: number, found: Epoch, renamedFrom: string | undefined): void {
    const name = nameOf(found);
    const shared = this.#shared.get(name) ?? { epoch: found, slots: 0 };
    const isNew = shared.slots === 0;
    shared.slots += 1;
    this.#shared.set(name, shared);
    this.#bySlot[slot] = shared.epoch;
    this.#inquiries.delete(slot);
    if (isNew) {
      this.#emit({ type: 'generation', ...found, ...(renamedFrom === undefined ? {} : { renamedFrom }) });
      this.#sweepBefore(slot, found.generation);
    }
    this.#onKnown(slot, shared.epoch);
  }

  /** Words of earlier generations can never be reached again (I4); they only take memory. */
  #sweepBefore(slot: number, generation: number): void {
    if (this.#counters.sweep === undefined || generation === 1) return;
    const generationOf = (conversation: string) =>
      this.#bySlot[this.#counters.slotOf(conversation)]?.generation;
    this.#counters.sweep(slot, generationOf, this.#sweep.signal).then(
      (words) => this.#emit({ type: 'swept', generation, words }),
      // Garbage that stays is found by the next sweep.
      () => undefined,
    );
  }
}

function nameOf({ history, generation }: Epoch): string {
  return `${generation} ${history}`;
}

/** I6: the error of a process that talks to a counter store which was replaced. */
export function fenced(generation: number, newerGeneration: number, conversation?: string): TidemarkError {
  const what = conversation ?? 'the counter store';
  const message = `generation ${generation} of ${what} is fenced by generation ${newerGeneration}: this process talks to a counter store that was replaced; point it to the new one`;
  return new TidemarkError('fenced', message, conversation === undefined ? {} : { conversation });
}

/** Stores throw TidemarkErrors; anything else is a fault of ours and says so. */
export function asTidemarkError(error: unknown): TidemarkError {
  if (error instanceof TidemarkError) return error;
  return new TidemarkError('internal', `unexpected fault: ${String(error)}; please report it`, {
    cause: error,
  });
}
