import type { RedisConnection } from './connection.js';
import { closed } from './failures.js';

/** How long the record of a lane is kept, in milliseconds. */
export const laneTtlMs = 600_000;

/** Holds the record of one take at a time, so that a reply that was lost can be recalled. */
export interface Lane {
  key: string;
  /** Where its record was written or seen last; undefined when it may be gone. */
  recordOn: RedisConnection | undefined;
  /** When that was, on the monotonic clock. */
  recordAtMs: number;
}

/** The lanes of one slot. A take occupies one; when all are busy, it waits for its turn. */
export class Lanes {
  readonly #keyOf: (number: number) => string;
  readonly #most: number;
  readonly #made: Lane[] = [];
  readonly #free: Lane[] = [];
  #left = 0;
  readonly #waiting: { resolve: (lane: Lane) => void; reject: (error: unknown) => void }[] = [];

  constructor(keyOf: (number: number) => string, most: number) {
    this.#keyOf = keyOf;
    this.#most = most;
  }

  /** The keys of all lanes that were ever used. */
  get keys(): readonly string[] {
    return this.#made.map(({ key }) => key);
  }

  /** Makes all of them. @returns those that are free */
  makeAll(): readonly Lane[] {
    while (this.#made.length < this.#most) this.#free.unshift(this.#make());
    return this.#free;
  }

  /** A free lane, made if need be, in the order of asking. The generator bounds how many wait. */
  acquire(): Lane | Promise<Lane> {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#made.length === this.#most)
      return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    return this.#make();
  }

  /** Hands the lane to whoever waits longest. */
  release(lane: Lane): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(lane);
    else next.resolve(lane);
  }

  /** Gives a lane another key. What is under the one that it had stays there, and nobody uses it any more. */
  leaveKey(lane: Lane): void {
    lane.key = this.#keyOf(this.#most + this.#left);
    lane.recordOn = undefined;
    this.#left += 1;
  }

  /** Rejects those that wait with `closed`. */
  close(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(closed());
  }

  #make(): Lane {
    const lane = { key: this.#keyOf(this.#made.length), recordOn: undefined, recordAtMs: 0 };
    this.#made.push(lane);
    return lane;
  }
}
