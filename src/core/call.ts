import type { TidemarkError } from '../errors.js';

/** The numbers `first … last` of one call, both included. */
export interface SequenceRange {
  readonly first: number;
  readonly last: number;
}

/** One call for numbers, from its start until its promise is settled. A link of its conversation's {@link CallQueue}. */
export class Call {
  readonly count: number;
  readonly deadlineMs: number;
  readonly #resolve: (first: number, last: number) => void;
  readonly #reject: (error: TidemarkError) => void;
  readonly #onSettled: () => void;
  #unlisten: (() => void) | undefined;
  settled = false;
  next: Call | undefined;
  previous: Call | undefined;

  /** @param resolve - is given the first and the last number */
  constructor(
    count: number,
    deadlineMs: number,
    resolve: (first: number, last: number) => void,
    reject: (error: TidemarkError) => void,
    onSettled: () => void,
  ) {
    this.count = count;
    this.deadlineMs = deadlineMs;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onSettled = onSettled;
  }

  /** Calls back when the signal aborts, until the call is settled. */
  listen(signal: AbortSignal, onAbort: () => void): void {
    signal.addEventListener('abort', onAbort, { once: true });
    this.#unlisten = () => signal.removeEventListener('abort', onAbort);
  }

  deliver(first: number): void {
    this.#settle();
    this.#resolve(first, first + this.count - 1);
  }

  fail(error: TidemarkError): void {
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.settled = true;
    this.#unlisten?.();
    this.#onSettled();
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
