import { closed } from './failures.js';
import { laneKey } from './keys.js';

/** How long the record of a lane is kept, in milliseconds. */
export const laneTtlMs = 600_000;

/** Holds the record of one take at a time, so that a reply that was lost can be recalled. */
export interface Lane {
  readonly key: string;
  busy: boolean;
  /** When its record was certainly there last, on the monotonic clock; −∞ when it may be gone. */
  recordAtMs: number;
}

/** The lanes of one store. A take occupies one; when all are busy, it waits for its turn. */
export class Lanes {
  readonly all: readonly Lane[];
  readonly #free: Lane[];
  readonly #waiting: { resolve: (lane: Lane) => void; reject: (error: unknown) => void }[] = [];

  constructor(prefix: string, processId: string, count: number) {
    this.all = Array.from({ length: count }, (_, index) => ({
      key: laneKey(prefix, processId, index),
      busy: false,
      recordAtMs: Number.NEGATIVE_INFINITY,
    }));
    this.#free = [...this.all].reverse();
  }

  /** A free lane, in the order of asking. The generator bounds how many wait. */
  acquire(): Lane | Promise<Lane> {
    const lane = this.#free.pop();
    if (lane === undefined) return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    lane.busy = true;
    return lane;
  }

  /** Hands the lane to whoever waits longest. */
  release(lane: Lane): void {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next.resolve(lane);
      return;
    }
    lane.busy = false;
    this.#free.push(lane);
  }

  /** Rejects those that wait with `closed`. */
  close(): void {
    for (const { reject } of this.#waiting.splice(0)) reject(closed());
  }
}
