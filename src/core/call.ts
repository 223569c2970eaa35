import type { TidemarkError } from '../errors.js';

/** The numbers `first … last` of one call, both included. */
export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

/** What a call asks for beside numbers. */
export interface CallClaim {
  /** The number is kept under this id; if there is one already, the call gets that. */
  readonly messageId: string | undefined;
  /** The numbers are open until they are settled. */
  readonly tracked: boolean;
}

/**
 * Is given the first and the last number, whether an earlier call with the same message id took them, and if they are
 * tracked whether they are open.
 */
export type OnDelivered = (first: number, last: number, repeated: boolean, open: boolean) => void;

/** One call for numbers, from its start until its promise is. A link of its conversation's {@link CallQueue}. */
export class Call {
  readonly count: number;
  readonly deadlineMs: number;
  /** Undefined for most calls. */
  readonly claim: CallClaim | undefined;
  readonly #resolve: OnDelivered;
  readonly #reject: (error: TidemarkError) => void;
  readonly #onEnded: () => void;
  #unlisten: (() => void) | undefined;
  ended = false;
  next: Call | undefined;
  previous: Call | undefined;

  constructor(
    count: number,
    claim: CallClaim | undefined,
    deadlineMs: number,
    resolve: OnDelivered,
    reject: (error: TidemarkError) => void,
    onEnded: () => void,
  ) {
    this.count = count;
    this.claim = claim;
    this.deadlineMs = deadlineMs;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onEnded = onEnded;
  }

  /** @param unlisten - called when the call has ended: nobody has to abort it any more */
  listens(unlisten: () => void): void {
    this.#unlisten = unlisten;
  }

  deliver(first: number, repeated = false, open = true): void {
    this.#end();
    this.#resolve(first, first + this.count - 1, repeated, open);
  }

  fail(error: TidemarkError): void {
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.ended = true;
    this.#unlisten?.();
    this.#onEnded();
  }
}

/** Calls in order of arrival; removal from anywhere takes constant time. */
export class CallQueue {
  #head: Call | undefined;
  #tail: Call | undefined;

  get first(): Call | undefined {
    return this.#head;
  }

  get isEmpty(): boolean {
    return this.#head === undefined;
  }

  push(call: Call): void {
    call.previous = this.#tail;
    call.next = undefined;
    if (this.#tail === undefined) this.#head = call;
    else this.#tail.next = call;
    this.#tail = call;
  }

  remove(call: Call): void {
    if (call.previous === undefined) this.#head = call.next;
    else call.previous.next = call.next;
    if (call.next === undefined) this.#tail = call.previous;
    else call.next.previous = call.previous;
    call.next = undefined;
    call.previous = undefined;
  }

  /** Puts calls before all others, keeping their order. */
  unshiftAll(calls: readonly Call[]): void {
    for (let index = calls.length - 1; index >= 0; index -= 1) {
      const call = calls[index]!;
      call.previous = undefined;
      call.next = this.#head;
      if (this.#head === undefined) this.#tail = call;
      else this.#head.previous = call;
      this.#head = call;
    }
  }
}
