import type { SequenceRange } from './call.js';
import type { Clock } from './clock.js';
import type { CompleteMarks } from './complete-marks.js';
import type { Epoch, OpenTake, TakeName } from './counter-store.js';
import type { EpochCalls } from './epoch-calls.js';
import { completeIn, type OpenTakes } from './open-takes.js';

/** Conversations, or takes, in one call to a store. */
const batchSize = 250;
/** So often in a lease a process sees to it that its open takes are open. */
const checksPerLease = 3;

interface Held extends SequenceRange {
  readonly expiresAtMs: number;
}

/**
 * The open takes of this process.
 *
 * While there are any, it looks every third of a lease whether the counter store has them, also when it is told of a new
 * history: a failover must not make them look settled (I11). It gives up those of others whose lease has ended, too.
 */
export class HeldTakes {
  readonly #clock: Clock;
  readonly #calls: EpochCalls;
  readonly #open: OpenTakes;
  readonly #marks: CompleteMarks;
  readonly #leaseMs: number;
  /** By conversation and first number. */
  readonly #held = new Map<string, Map<number, Held>>();
  #cancelCheck: (() => void) | undefined;
  #isChecking = false;
  #checkAgain = false;
  #closed = false;

  constructor(parts: {
    clock: Clock;
    calls: EpochCalls;
    open: OpenTakes;
    marks: CompleteMarks;
    options: { readonly leaseMs: number };
  }) {
    this.#clock = parts.clock;
    this.#calls = parts.calls;
    this.#open = parts.open;
    this.#marks = parts.marks;
    this.#leaseMs = parts.options.leaseMs;
  }

  add(conversation: string, { first, last }: SequenceRange): void {
    const held = this.#held.get(conversation) ?? new Map<number, Held>();
    this.#held.set(conversation, held);
    held.set(first, { first, last, expiresAtMs: this.#clock.monotonicMs() + this.#leaseMs });
    this.#checkLater();
  }

  remove(conversation: string, first: number): void {
    const held = this.#held.get(conversation);
    if (held?.delete(first) === true && held.size === 0) this.#held.delete(conversation);
  }

  /** The store may have lost some. */
  checkNow(): void {
    if (this.#held.size === 0 || this.#closed) return;
    if (this.#isChecking) this.#checkAgain = true;
    else void this.#check();
  }

  /** Ends the checks. */
  close(): void {
    this.#closed = true;
    this.#cancelCheck?.();
  }

  #checkLater(): void {
    if (this.#cancelCheck !== undefined || this.#isChecking || this.#closed) return;
    this.#cancelCheck = this.#clock.setTimer(this.#leaseMs / checksPerLease, () => {
      this.#cancelCheck = undefined;
      this.checkNow();
    });
  }

  async #check(): Promise<void> {
    this.#isChecking = true;
    do {
      this.#checkAgain = false;
      const conversations = [...this.#held.keys()];
      for (let from = 0; from < conversations.length; from += batchSize) {
        const some = conversations.slice(from, from + batchSize);
        // What cannot be done now is done by the next check.
        await this.#calls
          .run(
            () => this.#closed,
            (epoch) => this.#checkIn(epoch, some),
          )
          .catch(() => undefined);
      }
    } while (this.#checkAgain);
    this.#isChecking = false;
    if (this.#held.size > 0) this.#checkLater();
  }

  async #checkIn(epoch: Epoch, conversations: readonly string[]): Promise<true | undefined> {
    const results = await this.#open.read(epoch, conversations);
    if (results === undefined) return undefined;
    const untracked: string[] = [];
    const present: string[] = [];
    conversations.forEach((conversation, index) => {
      const open = results[index]!;
      if (open.status === 'untracked') untracked.push(conversation);
      // A word that is missing is recovered by whoever takes next; until then the ledger's complete mark holds.
      if (open.status === 'untracked' || open.status === 'tracked') present.push(conversation);
      if (open.status === 'tracked') this.#marks.saw(conversation, completeIn(open));
    });
    if (untracked.length > 0 && (await this.#open.begin(epoch, untracked)) === undefined) return undefined;
    const takes = present.flatMap((conversation) => this.#unexpired(conversation));
    for (let from = 0; from < takes.length; from += batchSize) {
      // Not those that were ended while others were sent: they must stay so.
      const some = takes.slice(from, from + batchSize).filter((take) => this.#holds(take));
      const results = await this.#open.reopen(epoch, some, false);
      if (results === undefined) return undefined;
      some.forEach(({ conversation, first }, index) => {
        // Given up by somebody, or ended by somebody else who knows its numbers.
        if (results[index] === 'gone') this.remove(conversation, first);
      });
    }
    return true;
  }

  #holds({ conversation, first }: TakeName): boolean {
    return this.#held.get(conversation)?.has(first) ?? false;
  }

  /** What is left of the leases in a conversation. Those that have ended are forgotten. */
  #unexpired(conversation: string): OpenTake[] {
    const nowMs = this.#clock.monotonicMs();
    const takes: OpenTake[] = [];
    for (const { first, last, expiresAtMs } of this.#held.get(conversation)?.values() ?? []) {
      const leaseMs = Math.ceil(expiresAtMs - nowMs);
      if (leaseMs > 0) takes.push({ conversation, first, last, leaseMs });
      else this.remove(conversation, first);
    }
    return takes;
  }
}
