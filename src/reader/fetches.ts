/**
 * The fetches that were offered, and what the newest that has ended has shown. A fetch begins at the head of the hole,
 * and the head only moves up: so it has shown all numbers from the head to its end.
 */

import { checkInteger, largestNumber } from './reader-options.js';
import type { ReaderFetch } from './reader-step.js';
import { HeadTries, lapseMs, retryDelayMs } from './retry-delay.js';

interface OpenFetch extends ReaderFetch {
  readonly begunAtMs: number;
}

/** Most open fetches that are kept. */
const maxOpen = 8;

export class Fetches {
  #open: OpenFetch[] = [];
  /** The successful one that began last. */
  #shown = { to: 0, begunAtMs: Number.NEGATIVE_INFINITY };
  #endedAtMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #offers = 0;
  readonly #tries = new HeadTries();

  /** The last number that was shown. */
  get shownTo(): number {
    return this.#shown.to;
  }

  /** When the fetch began that has shown a number. */
  begunAtMs(number: number): number {
    return number <= this.#shown.to ? this.#shown.begunAtMs : Number.NEGATIVE_INFINITY;
  }

  /**
   * When to offer a fetch of the head of the hole.
   *
   * @param endsAtMs - when its wait ends: then a fetch that begins later must show that it is not there
   */
  dueAtMs(head: number, endsAtMs: number): number {
    const open = this.#open.findLast((fetch) => fetch.to >= head);
    if (open !== undefined) return open.begunAtMs + lapseMs;
    if (this.#failures > 0) return this.#endedAtMs + retryDelayMs(this.#failures - 1);
    const begunAtMs = this.begunAtMs(head);
    if (begunAtMs === Number.NEGATIVE_INFINITY) return this.#endedAtMs;
    const againAtMs = this.#endedAtMs + this.#tries.delayMs(head);
    return begunAtMs < endsAtMs ? Math.min(againAtMs, endsAtMs) : againAtMs;
  }

  offer(from: number, to: number, nowMs: number): ReaderFetch {
    this.#offers += 1;
    const fetch = { from, to, id: this.#offers };
    this.#open.push({ ...fetch, begunAtMs: nowMs });
    if (this.#open.length > maxOpen) this.#open.shift();
    return fetch;
  }

  succeeded(fetch: ReaderFetch, nowMs: number): void {
    const open = this.#close(fetch);
    if (open === undefined) return;
    this.#endedAtMs = nowMs;
    this.#failures = 0;
    this.#tries.count(open.from);
    if (open.begunAtMs < this.#shown.begunAtMs) return;
    this.#shown = { to: Math.min(open.to, fetch.to), begunAtMs: open.begunAtMs };
  }

  failed(fetch: ReaderFetch, nowMs: number): void {
    if (this.#close(fetch) === undefined) return;
    this.#endedAtMs = nowMs;
    this.#failures += 1;
  }

  /** Undefined for one that has ended, or that was given up. */
  #close(fetch: ReaderFetch): OpenFetch | undefined {
    checkFetch(fetch);
    const open = this.#open.find(({ id }) => id === fetch.id);
    if (open === undefined) return undefined;
    if (fetch.from !== open.from) {
      throw new RangeError(
        `the fetch offered begins at ${open.from}; hand back the fetch of the step, got one from ${fetch.from}`,
      );
    }
    this.#open = this.#open.filter((other) => other !== open);
    return open;
  }
}

function checkFetch(fetch: ReaderFetch): void {
  if (typeof fetch !== 'object' || fetch === null)
    throw new TypeError('a fetch is an object; hand back the fetch of the step');
  checkInteger('id of the fetch', fetch.id, 1, Number.MAX_SAFE_INTEGER);
  checkInteger('from of the fetch', fetch.from, 1, largestNumber);
  checkInteger('to of the fetch', fetch.to, fetch.from, largestNumber);
}
