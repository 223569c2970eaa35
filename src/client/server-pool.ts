/** Several servers over the same stores: calls go to one, and on to the next when it does not answer. */

import { backoffMs } from '../core/backoff.js';
import { TidemarkError } from '../errors.js';
import { NoAnswer, type Transport } from './transport.js';

/** Delay before a call is made again: doubles from the first to the second, in milliseconds. */
const firstRetryMs = 20;
const maxRetryMs = 1_000;

/** What a call is tried with. */
export interface Attempt {
  readonly transport: Transport;
  /** What is left of its time. */
  readonly timeoutMs: number;
}

export class ServerPool {
  readonly #transports: readonly Transport[];
  #current = 0;

  constructor(transports: readonly Transport[]) {
    this.#transports = transports;
  }

  /**
   * Tries a call until it succeeds, cannot, or has no time left.
   *
   * @param isSafe - true when it may be made again although it may have been done
   */
  async run<T>(
    deadlineMs: number,
    signal: AbortSignal,
    isSafe: boolean,
    work: (attempt: Attempt) => Promise<T>,
  ): Promise<T> {
    for (let failures = 0; ; failures += 1) {
      const { transport } = this;
      const timeoutMs = Math.ceil(deadlineMs - performance.now());
      if (timeoutMs <= 0) throw new TidemarkError('deadline_exceeded', 'no time is left; give the call more');
      try {
        return await work({ transport, timeoutMs });
      } catch (error) {
        if (signal.aborted || !(error instanceof TidemarkError)) throw error;
        if (!this.mayRetry(error, isSafe)) throw error;
        this.failed(error, transport);
        const delayMs = this.delayMs(failures);
        if (performance.now() + delayMs >= deadlineMs) throw error;
        await sleep(delayMs, signal);
      }
    }
  }

  /** True when the same call may succeed if it is made again, and makes no harm. */
  mayRetry(error: TidemarkError, isSafe: boolean): boolean {
    if (error instanceof NoAnswer) return isSafe || !error.wasSent;
    // A server that stops says so before it has done anything; another one goes on.
    if (error.code === 'closed') return this.#transports.length > 1;
    // Its time is over, and so is that of the call.
    return error.retryable && error.code !== 'deadline_exceeded';
  }

  /** Calls go elsewhere from now on, where this one met a server that is gone. */
  failed(error: TidemarkError, transport: Transport): void {
    // Many calls may have met the same server.
    if (transport !== this.transport) return;
    if (error instanceof NoAnswer || error.code === 'closed')
      this.#current = (this.#current + 1) % this.#transports.length;
  }

  get transport(): Transport {
    return this.#transports[this.#current]!;
  }

  /** Half of it by chance, so that clients that failed together do not come back together. */
  delayMs(failures: number): number {
    const fullMs = backoffMs(failures, firstRetryMs, maxRetryMs);
    return fullMs / 2 + Math.random() * (fullMs / 2);
  }

  close(): void {
    for (const transport of this.#transports) transport.close();
  }
}

export function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, delayMs);
    signal.addEventListener('abort', done, { once: true });
  });
}
