import { TidemarkError } from '../errors.js';
import type { SequenceRange } from './call.js';
import type { Conversation } from './conversation.js';
import type { CallOptions } from './options.js';

/** What ends or renews tracked takes: a generator. */
export interface TakeKeeper {
  settle(of: Conversation, range: SequenceRange, options?: CallOptions): Promise<void>;
  abandon(of: Conversation, range: SequenceRange, options?: CallOptions): Promise<void>;
  renew(of: Conversation, range: SequenceRange, options?: CallOptions): Promise<void>;
}

/**
 * Numbers that are open until they are settled or abandoned. Made by `SequenceGenerator.take`.
 *
 * @example
 * ```ts
 * import { groupChat, MemoryCounterStore, MemoryLedger, SequenceGenerator, TrackedTake } from 'tidemark';
 * const sequences = new SequenceGenerator({ counters: new MemoryCounterStore(), ledger: new MemoryLedger() });
 * const take = await sequences.take(groupChat('g1'));
 * console.log(take instanceof TrackedTake, take.first, await sequences.completeUpTo(groupChat('g1'))); // true 1 0
 * await take.settle();
 * console.log(await sequences.completeUpTo(groupChat('g1'))); // 1
 * await sequences.close();
 * ```
 */
export class TrackedTake implements SequenceRange {
  readonly first: number;
  readonly last: number;
  /** True when an earlier call with the same message id took the number. */
  readonly repeated: boolean;
  /**
   * False only for a repeated take that had ended before, or may have since a failover. If the message is stored, there is
   * nothing left to do. If it is not, readers may have passed its number: `renew` says so, or opens it again.
   */
  readonly open: boolean;
  readonly #keeper: TakeKeeper;
  readonly #conversation: Conversation;
  #end: { readonly as: 'settled' | 'abandoned'; readonly done: Promise<void> } | undefined;

  /** @internal Use `SequenceGenerator.take`. */
  constructor(
    keeper: TakeKeeper,
    of: Conversation,
    numbers: SequenceRange & { readonly repeated: boolean; readonly open: boolean },
  ) {
    this.#keeper = keeper;
    this.#conversation = of;
    this.first = numbers.first;
    this.last = numbers.last;
    this.repeated = numbers.repeated;
    this.open = numbers.open;
  }

  /**
   * The message is stored: readers may pass the numbers. Again after an error that can be retried; twice is the same as
   * once.
   *
   * @param options - `timeoutMs` and `signal`
   * @throws TidemarkError `lease_expired`: the take was given up, and readers may have passed it before the message was
   * stored; and as `SequenceGenerator.settle`
   */
  settle(options?: CallOptions): Promise<void> {
    return this.#endAs('settled', () => this.#keeper.settle(this.#conversation, this, options));
  }

  /**
   * The message will never be stored: the numbers become a certain gap; after a failover an uncertain one.
   *
   * @param options - `timeoutMs` and `signal`
   * @throws TidemarkError as `SequenceGenerator.abandon`
   */
  abandon(options?: CallOptions): Promise<void> {
    return this.#endAs('abandoned', () => this.#keeper.abandon(this.#conversation, this, options));
  }

  /**
   * Begins the lease anew, for a message that takes long to store.
   *
   * @param options - `timeoutMs` and `signal`
   * @throws TidemarkError `lease_expired`: it came too late; and as `SequenceGenerator.renew`
   */
  renew(options?: CallOptions): Promise<void> {
    return this.#keeper.renew(this.#conversation, this, options);
  }

  #endAs(as: 'settled' | 'abandoned', run: () => Promise<void>): Promise<void> {
    if (this.#end?.as === as) return this.#end.done;
    if (this.#end !== undefined) return Promise.reject(this.#alreadyEnded(this.#end.as));
    const done = run();
    this.#end = { as, done };
    done.catch(() => {
      this.#end = undefined;
    });
    return done;
  }

  #alreadyEnded(as: string): TidemarkError {
    const { key } = this.#conversation;
    const numbers = this.first === this.last ? `${this.first}` : `${this.first} to ${this.last}`;
    const text = `the take of ${numbers} in ${key} was ${as} already; a take ends once`;
    return new TidemarkError('invalid_argument', text, { conversation: key });
  }
}
