import { TidemarkError } from '../errors.js';
import type {
  CounterStore,
  Epoch,
  ExpiredTake,
  OpenResult,
  OpenTake,
  RenewResult,
  TrackRequest,
} from './counter-store.js';
import type { EpochCalls } from './epoch-calls.js';
import type { EventListener } from './events.js';
import type { Ledger, NewGap } from './ledger.js';

/** What came of beginning to track a conversation. */
export type Begun = 'begun' | 'missing' | 'fenced';

/**
 * The open takes of the counter store, and what the ledger has to know of them. Every operation may be run again, and is
 * about conversations of one slot.
 */
export class OpenTakes {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #calls: EpochCalls;
  readonly #emit: EventListener;
  readonly #leaseMs: number;

  constructor(parts: {
    counters: CounterStore;
    ledger: Ledger;
    calls: EpochCalls;
    options: { readonly leaseMs: number };
    emit: EventListener;
  }) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#calls = parts.calls;
    this.#emit = parts.emit;
    this.#leaseMs = parts.options.leaseMs;
  }

  /** What is open, after those whose lease has ended were given up. Undefined when the epoch has ended. */
  async read(epoch: Epoch, conversations: readonly string[]): Promise<readonly OpenResult[] | undefined> {
    for (;;) {
      const reply = this.#calls.unlessStale(
        conversations[0]!,
        epoch,
        await this.#counters.readOpen(epoch, conversations),
      );
      if (reply === undefined) return undefined;
      const expired = reply.results.flatMap((open) => (open.status === 'tracked' ? open.expired : []));
      if (expired.length === 0) return reply.results;
      await this.#giveUp(epoch, expired);
    }
  }

  /**
   * Begins to track conversations in this history (I11).
   *
   * @returns for each what came of it: `missing` has no word, and the next take recovers it first; `fenced` has one in a
   * newer history. Undefined when the epoch has ended.
   */
  async begin(epoch: Epoch, conversations: readonly string[]): Promise<readonly Begun[] | undefined> {
    const reply = this.#calls.unlessStale(
      conversations[0]!,
      epoch,
      await this.#counters.read(epoch, conversations),
    );
    if (reply === undefined) return undefined;
    const present = conversations.filter((_, index) => reply.results[index]!.status === 'present');
    if (present.length === 0) return conversations.map(() => 'missing');
    const lasts = reply.results.flatMap((result) => (result.status === 'present' ? [result.word.last] : []));
    // Read after the word: where there is no mark yet, no number up to the word's last is of a tracked take.
    const marks = await this.#ledger.completeMarks(present);
    const requests = present.map((conversation, index) => {
      return { conversation, completeUpTo: marks[index] ?? lasts[index]! };
    });
    const untrackedSoFar = requests.filter((_, index) => marks[index] === undefined);
    if (untrackedSoFar.length > 0) await this.#ledger.raiseCompleteMarks(untrackedSoFar);
    // Read after the mark was made: a newer history that is not there yet will find the mark, and hold what is above it.
    const entries = await this.#ledger.load(present);
    const fenced = new Set<string>();
    for (const [index, conversation] of present.entries()) {
      const { generation = 0 } = entries[index] ?? {};
      if (generation <= epoch.generation) continue;
      fenced.add(conversation);
      // A slot of a cluster may have come back to this primary: then it goes on in a newer generation.
      this.#calls.fenced(conversation, epoch, generation);
    }
    const allowed = requests.filter(({ conversation }) => !fenced.has(conversation));
    const behindMark = allowed.filter(({ conversation, completeUpTo }) => {
      return completeUpTo > lasts[present.indexOf(conversation)]!;
    });
    if (behindMark.length > 0) await this.#checkMarks(epoch, behindMark);
    if (allowed.length > 0) {
      const begun = await this.#counters.track(epoch, allowed, this.#leaseMs);
      if (this.#calls.unlessStale(allowed[0]!.conversation, epoch, begun) === undefined) return undefined;
    }
    const known = new Set(present);
    return conversations.map((conversation) => {
      if (!known.has(conversation)) return 'missing';
      return fenced.has(conversation) ? 'fenced' : 'begun';
    });
  }

  /** A word that is read behind its mark has issued what is complete. Otherwise what is open would look complete (I11). */
  async #checkMarks(epoch: Epoch, requests: readonly TrackRequest[]): Promise<void> {
    const reply = await this.#counters.read(
      epoch,
      requests.map(({ conversation }) => conversation),
    );
    if (reply.status !== 'done') return;
    for (const [index, { conversation, completeUpTo }] of requests.entries()) {
      const result = reply.results[index]!;
      if (result.status === 'present' && completeUpTo > result.word.last)
        throw markTooHigh(conversation, completeUpTo, result.word.last);
    }
  }

  /** What became of a take. Undefined when the epoch has ended, or tracking has to begin first. */
  async renew(epoch: Epoch, take: OpenTake): Promise<Exclude<RenewResult, 'untracked'> | undefined> {
    const reply = this.#calls.unlessStale(
      take.conversation,
      epoch,
      await this.#counters.renew(epoch, [take]),
    );
    const result = reply?.results[0];
    return result === 'untracked' ? undefined : result;
  }

  /** Records gaps, and tells of them. */
  async record(gaps: readonly NewGap[]): Promise<void> {
    await this.#ledger.recordGaps(gaps);
    for (const gap of gaps) this.#emit({ type: 'gap', ...gap });
  }

  /** I12: recorded before it is removed, so that nobody passes a number without an explanation. */
  async #giveUp(epoch: Epoch, expired: readonly ExpiredTake[]): Promise<void> {
    const { generation } = epoch;
    await this.record(
      expired.map(({ conversation, first, last }) => {
        return { conversation, first, last, reason: 'lease_expired', generation };
      }),
    );
    await this.#counters.expire(epoch, expired);
  }
}

/** The error for a complete mark above everything that was issued. */
export function markTooHigh(conversation: string, mark: number, highest: number): TidemarkError {
  const text = `the ledger says that ${conversation} is complete up to ${mark}, and no number above ${highest} was issued; nothing was changed: restore the ledger, or correct the mark`;
  return new TidemarkError('ledger_corrupt', text, { conversation });
}

/** The number up to which a tracked conversation is complete. */
export function completeIn(open: Extract<OpenResult, { readonly status: 'tracked' }>): number {
  // Whatever is open above the last number: nobody may read beyond that.
  return open.firstOpen === undefined ? open.word.last : Math.min(open.word.last, open.firstOpen - 1);
}
