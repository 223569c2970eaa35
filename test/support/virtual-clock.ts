import type { Clock } from '../../src/core/clock.js';

/** Time that passes only when {@link run} lets it. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #sequence = 0;
  readonly #timers: { at: number; sequence: number; callback: () => void }[] = [];

  monotonicMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#nowMs + delayMs, sequence: this.#sequence, callback };
    this.#sequence += 1;
    this.#timers.push(timer);
    return () => {
      const index = this.#timers.indexOf(timer);
      if (index >= 0) this.#timers.splice(index, 1);
    };
  }

  defer(callback: () => void): void {
    this.setTimer(0, callback);
  }

  /** How many timers would keep a process alive. */
  get timers(): number {
    return this.#timers.length;
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.setTimer(delayMs, resolve));
  }

  /** Lets time pass until the promise settles. */
  async run<T>(work: Promise<T>, limitMs = 600_000): Promise<T> {
    let settled = false;
    const observed = work.finally(() => {
      settled = true;
    });
    observed.catch(() => undefined);
    while (true) {
      await new Promise(setImmediate);
      if (settled) return observed;
      if (this.#nowMs > limitMs)
        throw new Error(`simulation did not end within ${limitMs} virtual milliseconds`);
      let next = this.#timers[0];
      if (next === undefined) throw new Error('simulation is stuck: nothing will ever happen');
      for (const timer of this.#timers) {
        if (timer.at < next.at || (timer.at === next.at && timer.sequence < next.sequence)) next = timer;
      }
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.#nowMs = Math.max(this.#nowMs, next.at);
      next.callback();
    }
  }
}
