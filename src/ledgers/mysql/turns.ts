/** Who may use a connection next: first come, first served, bounded in number and in time. */

import { TidemarkError } from '../../errors.js';

/** Most calls that wait for a connection; one more is refused as `overloaded`. */
const maxWaiting = 1_000;

/**
 * As many turns as there are connections. The driver's own queue cannot be left again: after an outage every call that
 * had given up would still connect before the first live one.
 */
export class Turns {
  #free: number;
  readonly #waitMs: number;
  readonly #waiting = new Set<() => void>();

  /** @param count - how many turns may be taken at once. @param waitMs - longest wait for one */
  constructor(count: number, waitMs: number) {
    this.#free = count;
    this.#waitMs = waitMs;
  }

  /** Resolves when it is the caller's turn, who then must call {@link end} once; rejects when the wait was too long. */
  async take(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    if (this.#waiting.size >= maxWaiting) {
      const text = `${maxWaiting} calls wait for a connection to MySQL already; call less, or raise poolSize`;
      throw new TidemarkError('overloaded', text);
    }
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(begin);
        reject(Object.assign(new Error('no connection became free in time'), { code: 'ETIMEDOUT' }));
      }, this.#waitMs);
      const begin = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiting.add(begin);
    });
  }

  /** Gives the turn to whoever waits longest. */
  end(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
