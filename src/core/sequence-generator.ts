import type { OnDelivered, SequenceRange } from './call.js';
import { checkConversation } from './call-errors.js';
import type { Clock } from './clock.js';
import { type Conversation, checkType, conversation, groupChat, privateChat } from './conversation.js';
import { maxSequenceNumber } from './counter-word.js';
import type { DrainReport } from './draining.js';
import { Engine } from './engine.js';
import type { Explanation } from './explanations.js';
import { gapRanges } from './gap-ranges.js';
import type { Gap, LedgerEntry } from './ledger.js';
import type { Inspection, RecoveryReport } from './lookups.js';
import {
  type CallOptions,
  checkInteger,
  checkMessageId,
  checkNoMessageId,
  checkTakeRange,
  type DrainAllOptions,
  type GeneratorOptions,
  type MessageIdOptions,
  maxCountPerCall,
  type VerifyOptions,
} from './options.js';
import type { MessageNumber } from './receipts.js';
import { TrackedTake } from './tracked-take.js';
import type { VerificationReport } from './verification.js';

/**
 * Issues the sequence numbers of conversations: 1, 2, 3 … in each, never one twice, never backwards.
 *
 * Every call is tried inside until its deadline; what stood in the way then is the code of its error.
 */
export class SequenceGenerator {
  readonly #engine: Engine;

  /**
   * @param options - the two stores, and everything else by default; see {@link GeneratorOptions}
   * @throws TidemarkError `invalid_argument`
   */
  constructor(options: GeneratorOptions & { readonly clock: Clock }) {
    this.#engine = new Engine(options);
  }

  /**
   * Issues the next number of a conversation. With a message id, every call within the window that names the same id
   * gets the same number, from whichever process: a message that is sent again takes no second one.
   *
   * @param of - the conversation
   * @param options - `timeoutMs` 1 to 600,000, 5,000 by default; `signal` gives the call up; `messageId` 1 to 255 bytes of
   * UTF-8, any characters
   * @returns the number: 1 for the first, up to 10^12 − 1; with a message id also whether an earlier call took it
   * @throws TidemarkError `invalid_conversation`, `invalid_argument`, `overloaded`, `deadline_exceeded`, `aborted`,
   * `counter_unavailable`, `counter_unsupported`, `counter_corrupt`, `ledger_unavailable`, `ledger_full`, `ledger_corrupt`,
   * `fenced`, `exhausted`, `closed`
   */
  next(of: Conversation, options: MessageIdOptions): Promise<MessageNumber>;
  next(of: Conversation, options?: CallOptions): Promise<number>;
  next(of: Conversation, options?: CallOptions & Partial<MessageIdOptions>): Promise<number | MessageNumber> {
    if (options?.messageId !== undefined) return this.#nextOfMessage(of, options.messageId, options);
    return this.#engine.next(of, options);
  }

  /** @internal {@link next} for whoever has no use for a promise. */
  get direct(): Pick<Engine, 'now' | 'issue'> {
    return this.#engine;
  }

  /**
   * Issues a contiguous range of numbers.
   *
   * @param of - the conversation
   * @param count - how many, 1 to 1,000
   * @param options - as for {@link next}, without a message id
   * @returns the first and the last number of the range, both included
   * @throws TidemarkError as {@link next}
   */
  nextMany(of: Conversation, count: number, options?: CallOptions): Promise<SequenceRange> {
    return new Promise<SequenceRange>((resolve, reject) => {
      checkInteger('count', count, 1, maxCountPerCall);
      checkNoMessageId(options);
      const last = this.#engine.now(of, count, options);
      if (last !== undefined) {
        resolve({ first: last - count + 1, last });
        return;
      }
      const deliver = (first: number, last: number) => resolve({ first, last });
      this.#engine.start(of, count, undefined, deliver, reject, options);
    });
  }

  /**
   * Issues numbers that are open until they are settled or abandoned: {@link completeUpTo} does not pass them before. A
   * take that is neither within its lease (30 s, see {@link GeneratorOptions}) is given up: its numbers are recorded as an
   * uncertain gap.
   *
   * Use it for all messages of a conversation whose readers go by {@link completeUpTo}: numbers that were issued in another
   * way count as settled.
   *
   * @param of - the conversation
   * @param count - how many, 1 to 1,000; 1 by default, and 1 with a message id
   * @param options - as for {@link next}
   * @returns the numbers, with what to do after the message is stored, or will not be
   * @throws TidemarkError as {@link next}
   */
  take(of: Conversation, count = 1, options?: CallOptions & Partial<MessageIdOptions>): Promise<TrackedTake> {
    return new Promise<TrackedTake>((resolve, reject) => {
      const messageId = options?.messageId === undefined ? undefined : checkMessageId(options.messageId);
      checkInteger('count', count, 1, messageId === undefined ? maxCountPerCall : 1);
      const deliver: OnDelivered = (first, last, repeated, open) => {
        if (messageId !== undefined) this.#engine.receipts.remember(of, messageId, first);
        resolve(new TrackedTake(this, of, { first, last, repeated, open }));
      };
      this.#engine.start(of, count, { messageId, tracked: true }, deliver, reject, options);
    });
  }

  /**
   * Ends a tracked take whose message is stored; {@link TrackedTake.settle} for whoever holds its numbers only. Settling
   * twice is the same as once.
   *
   * @param of - the conversation
   * @param range - the numbers of one take, whole
   * @param options - `timeoutMs` and `signal` as for {@link next}
   * @throws TidemarkError `lease_expired` when the take was given up before, and as {@link current}
   */
  settle(of: Conversation, range: SequenceRange, options?: CallOptions): Promise<void> {
    return this.#engine.within(options, (isOver) =>
      this.#engine.tracking.settle(checkConversation(of).key, checkTakeRange(range), isOver),
    );
  }

  /**
   * Ends a tracked take whose message will never be stored: its numbers are recorded as a certain gap. After a failover, or
   * when its lease had ended, as an uncertain one.
   *
   * @param of - the conversation
   * @param range - the numbers of one take, whole
   * @param options - `timeoutMs` and `signal` as for {@link next}
   * @throws TidemarkError `invalid_argument` when it was settled or abandoned before, and as {@link current}
   */
  abandon(of: Conversation, range: SequenceRange, options?: CallOptions): Promise<void> {
    return this.#engine.within(options, (isOver) =>
      this.#engine.tracking.abandon(checkConversation(of).key, checkTakeRange(range), isOver),
    );
  }

  /**
   * Begins the lease of a tracked take anew.
   *
   * @param of - the conversation
   * @param range - the numbers of one take, whole
   * @param options - `timeoutMs` and `signal` as for {@link next}
   * @throws TidemarkError `lease_expired` when the take was given up before; `invalid_argument` when it was settled or
   * abandoned; and as {@link current}
   */
  renew(of: Conversation, range: SequenceRange, options?: CallOptions): Promise<void> {
    return this.#engine.within(options, (isOver) =>
      this.#engine.tracking.renew(checkConversation(of).key, checkTakeRange(range), isOver),
    );
  }

  /**
   * The number up to which a reader may read: everything up to it is settled, abandoned or in a recorded gap, and no
   * message will be stored there later, but by a holder that outlived its lease. After a failover it stands still for one
   * lease, and may be lower than it was: it lags then, and never leads.
   *
   * @param of - the conversation
   * @param options - `timeoutMs` and `signal` as for {@link next}
   * @returns the number, 0 for a conversation that has none; the last number issued where no take was ever tracked
   * @throws TidemarkError as {@link current}, and `ledger_unavailable`, `ledger_full`
   */
  completeUpTo(of: Conversation, options?: CallOptions): Promise<number> {
    return this.#engine.within(options, (isOver) =>
      this.#engine.tracking.completeUpTo(checkConversation(of).key, isOver),
    );
  }

  /**
   * The last number issued; changes nothing. Where the counter word is lost, the highest number that was certainly issued.
   *
   * @param of - the conversation
   * @param options - as for {@link next}
   * @returns the number, 0 for a conversation that has none yet
   * @throws TidemarkError as {@link next}, but `overloaded`, `exhausted` and `fenced`
   */
  current(of: Conversation, options?: CallOptions): Promise<number> {
    return this.#engine.within(options, (isOver) =>
      this.#engine.lookups.current(checkConversation(of).key, isOver),
    );
  }

  /**
   * The recorded gaps in a range of numbers, as disjoint ranges, ordered and cut to it. Numbers that are missing elsewhere
   * were issued. Where records overlap, a certain one counts before uncertain ones, and of those the first that was
   * recorded; what lies side by side with the same reason and generation is one range.
   *
   * @param of - the conversation
   * @param range - `from` (1 by default) and `to` (10^12 − 1 by default), both included; at most `limit` gaps, 1 to
   * 10,000, 1,000 by default: for more, go on behind the last one
   * @param options - as for {@link next}
   * @returns each gap with its reason, whether it is certain, its generation, and when the newest record in it was made
   * @throws TidemarkError `invalid_conversation`, `invalid_argument`, `deadline_exceeded`, `aborted`, `ledger_unavailable`,
   * `ledger_corrupt`, `closed`
   */
  gaps(
    of: Conversation,
    range: { readonly from?: number; readonly to?: number; readonly limit?: number } = {},
    options?: CallOptions,
  ): Promise<readonly Gap[]> {
    return this.#engine.within(options, (isOver) => {
      const { key } = checkConversation(of);
      const from = checkInteger('from', range.from ?? 1, 1, maxSequenceNumber);
      const to = checkInteger('to', range.to ?? maxSequenceNumber, from, maxSequenceNumber);
      const limit = checkInteger('limit', range.limit ?? 1_000, 1, 10_000);
      return gapRanges({ ledger: this.#engine.ledger, conversation: key, isOver }, { from, to, limit });
    });
  }

  /**
   * What became of one number: issued, never issued, uncertain, or still to come. Gives up tracked takes whose lease has
   * ended, so what it says of them is recorded.
   *
   * @param of - the conversation
   * @param number - the number, 1 to 10^12 − 1
   * @param options - as for {@link next}
   * @returns the status, with the recorded gap that the number lies in, whole; see {@link Explanation}
   * @throws TidemarkError as {@link current}, and `ledger_unavailable`, `ledger_full`
   */
  explain(of: Conversation, number: number, options?: CallOptions): Promise<Explanation> {
    return this.#engine.within(options, (isOver) => {
      const { key } = checkConversation(of);
      const checked = checkInteger('number', number, 1, maxSequenceNumber);
      return this.#engine.explanations.explain(key, checked, isOver);
    });
  }

  /** The next number of the conversation of a type and id: `next(conversation(type, id))`. */
  async generateSequence(type: string, id: string, options?: CallOptions): Promise<number> {
    return this.next(conversation(type, id), options);
  }

  /** The next number of the private chat of two users: `next(privateChat(a, b))`. */
  async generatePrivateChatSequence(a: string, b: string, options?: CallOptions): Promise<number> {
    return this.next(privateChat(a, b), options);
  }

  /** The next number of a group: `next(groupChat(group))`. */
  async generateGroupChatSequence(group: string, options?: CallOptions): Promise<number> {
    return this.next(groupChat(group), options);
  }

  /** The last number issued in the conversation of a type and id: `current(conversation(type, id))`. */
  async getCurrentSequence(type: string, id: string, options?: CallOptions): Promise<number> {
    return this.current(conversation(type, id), options);
  }

  /**
   * What the ledger knows of one conversation.
   *
   * @returns the entry; undefined for a conversation that has none yet
   * @throws TidemarkError as {@link gaps}
   */
  ledgerEntry(of: Conversation, options?: CallOptions): Promise<LedgerEntry | undefined> {
    return this.#engine.within(
      options,
      async () => (await this.#engine.ledger.load([checkConversation(of).key]))[0],
    );
  }

  /**
   * Ledger entries of a type of conversations, in order of key bytes.
   *
   * @param type - the type, as `group`
   * @param page - `after`: the key of the last entry of the page before; `limit` 1 to 1,000, 100 by default
   * @throws TidemarkError as {@link gaps}
   */
  ledgerEntries(
    type: string,
    page: { readonly after?: string; readonly limit?: number } = {},
    options?: CallOptions,
  ): Promise<readonly LedgerEntry[]> {
    return this.#engine.within(options, () => {
      checkType(type);
      const limit = checkInteger('limit', page.limit ?? 100, 1, 1_000);
      return this.#engine.ledger.list(type, { after: page.after, limit });
    });
  }

  /**
   * What both stores know of one conversation, for people who look into a problem.
   *
   * @returns the counter word decoded, the ledger's entry, the history and its generation
   * @throws TidemarkError as {@link current}
   */
  inspect(of: Conversation, options?: CallOptions): Promise<Inspection> {
    return this.#engine.within(options, (isOver) =>
      this.#engine.lookups.inspect(checkConversation(of).key, isOver),
    );
  }

  /**
   * Looks at a conversation now and recovers it if its counter word is lost, without issuing a number. Not needed for
   * anything: the next call would do it.
   *
   * @returns whether anything had to be recovered, the last number, and the gap that was recorded
   * @throws TidemarkError as {@link next}
   */
  recover(of: Conversation, options?: CallOptions): Promise<RecoveryReport> {
    return this.#engine.within(options, (isOver) => {
      const { key, type } = checkConversation(of);
      return this.#engine.lookups.recover(key, this.#engine.options.policyFor(key, type), isOver);
    });
  }

  /**
   * Hands the unused numbers of a conversation's block back: the next number follows right behind the last one, also after
   * a failover. Takes may go on meanwhile.
   *
   * @param of - the conversation
   * @param options - as for {@link next}
   * @returns how many numbers went back; `busy` names the conversation when that was not possible now: try again
   * @throws TidemarkError as {@link current}, and `ledger_unavailable`, `ledger_full`
   */
  drain(of: Conversation, options?: CallOptions): Promise<DrainReport> {
    return this.#engine.within(options, (isOver) =>
      this.#engine.draining.drainEach([checkConversation(of).key], isOver),
    );
  }

  /**
   * Drains every conversation, or those of one type: before a planned move of the counter store, so that it leaves no gap.
   *
   * @param options - `type`, such as `group`; `onProgress` is told the sums so far; without `timeoutMs` it takes as long as it takes
   * @returns the sums, and the conversations that could not be drained now: try again
   * @throws TidemarkError as {@link drain}
   */
  drainAll(options: DrainAllOptions = {}): Promise<DrainReport> {
    const drainAll = (isOver: () => boolean) => {
      if (options.type !== undefined) checkType(options.type);
      return this.#engine.draining.drainAll(options.type, options.onProgress, isOver);
    };
    return this.#engine.within(options, drainAll, 'no deadline');
  }

  /**
   * Compares the counter words with the ledger and, if they are given, with the numbers of stored messages: what one of them
   * has lost, what makes no sense, numbers that come twice or are missing. Others may issue numbers meanwhile. Changes nothing
   * unless `repair` is set; then it does what is safe, and never lowers anything.
   *
   * @param options - what to look at, and whether to mend it; without `timeoutMs` it takes as long as it takes
   * @returns how much was looked at, and how often each kind was found; `failures` and `warnings` are what is left of them
   * @throws TidemarkError `invalid_argument` for messages in another order, `invalid_conversation` for one of no conversation;
   * what the stores throw
   *
   * @example
   * ```ts
   * import { groupChat, MemoryCounterStore, MemoryLedger, SequenceGenerator } from 'tidemark';
   * const sequences = new SequenceGenerator({ counters: new MemoryCounterStore(), ledger: new MemoryLedger() });
   * await sequences.nextMany(groupChat('g1'), 3);
   * async function* messages() {
   *   for (const number of [1, 2, 2, 3]) yield { conversation: 'group:g1', number };
   * }
   * const { failures, found } = await sequences.verify({ messages: messages() });
   * console.log(failures, found); // 1 { number_twice: 1 }
   * await sequences.close();
   * ```
   */
  verify(options: VerifyOptions = {}): Promise<VerificationReport> {
    const { type, messages, repair = false, onFinding, onProgress } = options;
    const verify = (isOver: () => boolean) => {
      if (type !== undefined) checkType(type);
      const conversation = options.conversation && checkConversation(options.conversation).key;
      return this.#engine.verify({ conversation, type, messages, repair, onFinding, onProgress }, isOver);
    };
    return this.#engine.within(options, verify, 'no deadline');
  }

  /**
   * Ends the generator and closes its stores. Calls that wait fail with `closed`; takes under way are finished first.
   * With counters that end with the process, what is left of the blocks goes back to the ledger, so the next start goes
   * on without a gap. Closing twice is the same as once.
   */
  close(): Promise<void> {
    return this.#engine.close();
  }

  #nextOfMessage(of: Conversation, messageId: string, options: CallOptions): Promise<MessageNumber> {
    return new Promise<MessageNumber>((resolve, reject) => {
      const claim = { messageId: checkMessageId(messageId), tracked: false };
      const deliver: OnDelivered = (number, _last, repeated) => {
        this.#engine.receipts.remember(of, messageId, number);
        resolve({ number, repeated });
      };
      this.#engine.start(of, 1, claim, deliver, reject, options);
    });
  }
}
