import type { Counter } from 'prom-client';
import type { Durations } from './durations.js';

/** The calls of one method through one door. Adding to a number costs much less than a counter with labels. */
export class CallMeter {
  readonly #durations: Durations;
  readonly #calls: (code: string) => Counter.Internal;
  #inFlight = 0;
  #succeeded = 0;

  constructor(durations: Durations, calls: (code: string) => Counter.Internal) {
    this.#durations = durations;
    this.#calls = calls;
  }

  /** A call begins; what is returned is for its {@link end}. */
  begin(): number {
    this.#inFlight += 1;
    return performance.now();
  }

  /** @param code - `ok`, or that of the error it ended with */
  end(startedAtMs: number, code: string): void {
    this.#inFlight -= 1;
    this.#count((performance.now() - startedAtMs) / 1_000, code);
  }

  /** A call ended as soon as it began: looking at the clock would take longer than the call. */
  endAtOnce(code: string): void {
    this.#count(0, code);
  }

  /** Tells the counter what has gathered; returns how many calls are under way. */
  settle(): number {
    this.#calls('ok').inc(this.#succeeded);
    this.#succeeded = 0;
    return this.#inFlight;
  }

  #count(seconds: number, code: string): void {
    this.#durations.observe(seconds);
    if (code === 'ok') this.#succeeded += 1;
    else this.#calls(code).inc();
  }
}
