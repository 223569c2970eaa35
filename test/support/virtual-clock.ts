import type { Clock } from '../../src/core/clock.js';

interface Timer {
  at: number;
  sequence: number;
  /** Undefined once it was cancelled. */
  callback: (() => void) | undefined;
  /** The process that waits for it. */
  readonly process: ProcessClock | undefined;
}

const resolved = Promise.resolve();

/** A clock on which one can also wait. */
export interface WaitingClock extends Clock {
  sleep(delayMs: number): Promise<void>;
}

/** Time that passes only when {@link run} lets it. */
export class VirtualClock implements WaitingClock {
  #nowMs = 0;
  #sequence = 0;
  /** A heap: the earliest first, of those at the same time the one that was set first. */
  readonly #timers: Timer[] = [];
  #cancelled = 0;

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void, process?: ProcessClock): () => void {
    const timer = this.#set(delayMs, callback, process);
    return () => {
      if (timer.callback === undefined) return;
      timer.callback = undefined;
      this.#cancelled += 1;
    };
  }

  /** As {@link setTimer}, for what is never cancelled. */
  callLater(delayMs: number, callback: () => void, process?: ProcessClock): void {
    this.#set(delayMs, callback, process);
  }

  defer(callback: () => void): void {
    this.#set(0, callback, undefined);
  }

  nextTurn(callback: () => void): void {
    this.#set(0, callback, undefined);
  }

  /** How many timers would keep a process alive. */
  get timers(): number {
    return this.#timers.length - this.#cancelled;
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#set(delayMs, resolve, undefined));
  }

  /** Lets time pass until the promise settles. */
  async run<T>(work: Promise<T>, limitMs = 600_000): Promise<T> {
    let settled = false;
    const end = () => {
      settled = true;
    };
    work.then(end, end);
    await new Promise<void>((resolve, reject) => {
      // Every promise that can go on has gone on before the next tick comes: one that a promise's callback asks for.
      const afterAll = () => process.nextTick(tick);
      const tick = () => {
        try {
          if (settled) resolve();
          else {
            this.#next(limitMs);
            void resolved.then(afterAll);
          }
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      };
      void resolved.then(afterAll);
    });
    return work;
  }

  /** Goes on to the next timer. */
  #next(limitMs: number): void {
    if (this.#nowMs > limitMs)
      throw new Error(`simulation did not end within ${limitMs} virtual milliseconds`);
    const next = this.#pop();
    if (next === undefined) throw new Error('simulation is stuck: nothing will ever happen');
    this.#nowMs = Math.max(this.#nowMs, next.at);
    const resumesAtMs = next.process?.resumesAtMs ?? 0;
    if (resumesAtMs > this.#nowMs) {
      next.at = resumesAtMs;
      next.sequence = this.#sequence;
      this.#sequence += 1;
      this.#push(next);
      return;
    }
    const { callback } = next;
    next.callback = undefined;
    callback!();
  }

  #set(delayMs: number, callback: () => void, process: ProcessClock | undefined): Timer {
    const timer = { at: this.#nowMs + delayMs, sequence: this.#sequence, callback, process };
    this.#sequence += 1;
    this.#push(timer);
    return timer;
  }

  #push(timer: Timer): void {
    const heap = this.#timers;
    let index = heap.push(timer) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!isBefore(timer, heap[parent]!)) break;
      heap[index] = heap[parent]!;
      index = parent;
    }
    heap[index] = timer;
  }

  /** The next timer that was not cancelled. */
  #pop(): Timer | undefined {
    for (;;) {
      const first = this.#timers[0];
      if (first === undefined) return undefined;
      this.#sinkLast();
      if (first.callback !== undefined) return first;
      this.#cancelled -= 1;
    }
  }

  /** The last timer of the heap goes to where the first one was, and down to its place. */
  #sinkLast(): void {
    const heap = this.#timers;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
  }
}

function isBefore(one: Timer, other: Timer): boolean {
  return one.at < other.at || (one.at === other.at && one.sequence < other.sequence);
}

/** The virtual time of one process, which may be suspended: whatever it waits for comes when it goes on again. */
export class ProcessClock implements WaitingClock {
  resumesAtMs = 0;

  constructor(private readonly world: VirtualClock) {}

  pause(durationMs: number): void {
    this.resumesAtMs = Math.max(this.resumesAtMs, this.world.monotonicMs() + durationMs);
  }

  monotonicMs(): number {
    return this.world.monotonicMs();
  }

  setTimer(delayMs: number, callback: () => void): () => void {
    return this.world.setTimer(delayMs, callback, this);
  }

  defer(callback: () => void): void {
    this.world.callLater(0, callback, this);
  }

  nextTurn(callback: () => void): void {
    this.defer(callback);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.world.callLater(delayMs, resolve, this));
  }
}
