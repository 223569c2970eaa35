/** Calls for numbers that are made at the same time share a request. */

import { setMaxListeners } from 'node:events';
import { TidemarkError } from '../errors.js';
import type { ServerPool } from './server-pool.js';
import { closedError, type Issued, type NextItem, type Transport } from './transport.js';

/** Calls in one request. */
const maxItems = 1_000;
/** Requests under way: while there are so many, further calls gather. */
const maxRequests = 4;

interface Pending {
  readonly item: NextItem;
  readonly deadlineMs: number;
  failures: number;
  /** No answer is wanted any more. */
  isOver: boolean;
  resolve(issued: Issued): void;
  reject(error: TidemarkError): void;
}

export class Batches {
  readonly #pool: ServerPool;
  readonly #maxCalls: number;
  readonly #closing = new AbortController();
  #waiting: Pending[] = [];
  /** Conversations of the requests under way. */
  readonly #underWay = new Set<string>();
  #calls = 0;
  #requests = 0;
  #isScheduled = false;

  constructor(pool: ServerPool, maxCalls: number) {
    this.#pool = pool;
    this.#maxCalls = maxCalls;
    setMaxListeners(0, this.#closing.signal);
  }

  /** @throws TidemarkError `overloaded`, and what the server tells */
  next(item: NextItem, timeoutMs: number, signal: AbortSignal | undefined): Promise<Issued> {
    if (this.#calls >= this.#maxCalls) {
      const message = `${this.#calls} calls are under way, and maxCalls is that; wait for some, or raise it`;
      return Promise.reject(new TidemarkError('overloaded', message, { conversation: item.conversation }));
    }
    this.#calls += 1;
    const issued = new Promise<Issued>((resolve, reject) => {
      const { conversation } = item;
      const end = (settle: () => void) => {
        pending.isOver = true;
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        settle();
      };
      const pending: Pending = {
        ...{ item, failures: 0, isOver: false },
        deadlineMs: performance.now() + timeoutMs,
        resolve: (issued) => end(() => resolve(issued)),
        reject: (error) => end(() => reject(error)),
      };
      const abort = () =>
        pending.reject(
          new TidemarkError('aborted', 'the call was given up', { conversation, cause: signal?.reason }),
        );
      // The server answers in time; this is for one that does not.
      const timer = setTimeout(() => {
        const message = `no answer within ${timeoutMs} ms; give it more, or retry`;
        pending.reject(new TidemarkError('deadline_exceeded', message, { conversation }));
      }, timeoutMs + graceMs);
      if (signal?.aborted === true) {
        abort();
        return;
      }
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiting.push(pending);
      this.#schedule();
    });
    return issued.finally(() => {
      this.#calls -= 1;
    });
  }

  close(): void {
    this.#closing.abort();
    for (const pending of this.#waiting) pending.reject(closedError());
    this.#waiting = [];
  }

  #schedule(): void {
    if (this.#isScheduled || this.#requests >= maxRequests) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      while (this.#requests < maxRequests) {
        const batch = this.#nextBatch();
        if (batch.length === 0) return;
        void this.#send(batch);
      }
    });
  }

  /** A conversation is in one request at a time, so that the order of calls is the order of numbers. */
  #nextBatch(): readonly Pending[] {
    const batch: Pending[] = [];
    this.#waiting = this.#waiting.filter((pending) => {
      const { isOver, item } = pending;
      if (isOver) return false;
      if (batch.length === maxItems || this.#underWay.has(item.conversation)) return true;
      batch.push(pending);
      return false;
    });
    return batch;
  }

  async #send(batch: readonly Pending[]): Promise<void> {
    this.#requests += 1;
    for (const { item } of batch) this.#underWay.add(item.conversation);
    const { transport } = this.#pool;
    const { signal } = this.#closing;
    const leftMs = Math.max(...batch.map(({ deadlineMs }) => deadlineMs)) - performance.now();
    try {
      const effort = { signal, timeoutMs: Math.max(1, Math.ceil(leftMs)) };
      const outcomes = await transport.next(
        batch.map(({ item }) => item),
        effort,
      );
      for (const [index, pending] of batch.entries()) {
        const outcome = outcomes[index];
        if (outcome === undefined) pending.reject(shortAnswer(pending));
        else if (outcome instanceof TidemarkError) this.#failed(pending, outcome, transport);
        else pending.resolve(outcome);
      }
    } catch (error) {
      const failure = signal.aborted
        ? closedError()
        : error instanceof TidemarkError
          ? error
          : new TidemarkError('internal', `unexpected fault: ${String(error)}`, { cause: error });
      for (const pending of batch) this.#failed(pending, failure, transport);
    } finally {
      this.#requests -= 1;
      for (const { item } of batch) this.#underWay.delete(item.conversation);
      this.#schedule();
    }
  }

  /** Made again where that does no harm: with a message id, or when the server has told that it failed. */
  #failed(pending: Pending, error: TidemarkError, transport: Transport): void {
    const isSafe = pending.item.messageId !== undefined;
    const delayMs = this.#pool.delayMs(pending.failures);
    const isLate = performance.now() + delayMs >= pending.deadlineMs;
    if (pending.isOver) return;
    if (isLate || this.#closing.signal.aborted || !this.#pool.mayRetry(error, isSafe)) {
      pending.reject(error);
      return;
    }
    this.#pool.failed(error, transport);
    pending.failures += 1;
    setTimeout(() => {
      if (this.#closing.signal.aborted) pending.reject(closedError());
      else {
        this.#waiting.push(pending);
        this.#schedule();
      }
    }, delayMs);
  }
}

/** How much later than the server this side gives up, in milliseconds. */
const graceMs = 250;

function shortAnswer({ item }: Pending): TidemarkError {
  const { conversation } = item;
  return new TidemarkError('internal', 'the server answered fewer calls than it was sent', { conversation });
}
