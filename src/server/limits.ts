/** How much one client may ask for. */

import { TidemarkError } from '../errors.js';

/** Limits of a client, over all its connections. */
export interface CallLimitOptions {
  /** Calls a second, with bursts of one second; unlimited where it is missing. A batch counts once for each conversation. */
  readonly callsPerSecond?: number;
  /** Calls under way; 10,000 by default. */
  readonly maxInFlight?: number;
}

const defaultMaxInFlight = 10_000;

/** A bucket of tokens, and a count of what is under way. */
export class CallLimits {
  readonly #client: string;
  readonly #perSecond: number;
  readonly #maxInFlight: number;
  #inFlight = 0;
  #tokens: number;
  #filledAtMs: number;

  constructor(client: string, { callsPerSecond, maxInFlight }: CallLimitOptions) {
    this.#client = client;
    this.#perSecond = callsPerSecond ?? Number.POSITIVE_INFINITY;
    this.#maxInFlight = maxInFlight ?? defaultMaxInFlight;
    this.#tokens = this.#perSecond;
    this.#filledAtMs = performance.now();
  }

  /**
   * Lets calls begin. Each has to be followed by {@link end}.
   *
   * @throws TidemarkError `rate_limited`
   */
  begin(calls: number): void {
    this.pass(calls);
    this.hold(calls);
  }

  /**
   * Lets calls begin that may end before anybody else can ask; those that do not have to {@link hold} their place.
   *
   * @throws TidemarkError `rate_limited`
   */
  pass(calls: number): void {
    if (this.#inFlight + calls > this.#maxInFlight) {
      throw limited(
        `the client ${this.#client} has ${this.#inFlight} calls under way, and may have ${this.#maxInFlight}; wait for answers first, or raise its maxInFlight`,
      );
    }
    if (this.#perSecond !== Number.POSITIVE_INFINITY) this.#spend(calls);
  }

  hold(calls: number): void {
    this.#inFlight += calls;
  }

  end(calls: number): void {
    this.#inFlight -= calls;
  }

  #spend(calls: number): void {
    const nowMs = performance.now();
    const refilled = this.#tokens + ((nowMs - this.#filledAtMs) / 1_000) * this.#perSecond;
    this.#tokens = Math.min(Math.max(this.#perSecond, 1), refilled);
    this.#filledAtMs = nowMs;
    // A batch larger than a whole second's rate may go when the bucket is full; the debt is paid afterwards.
    if (this.#tokens < Math.min(calls, Math.max(this.#perSecond, 1))) {
      throw limited(
        `the client ${this.#client} makes more than ${this.#perSecond} calls a second; slow down, or raise its callsPerSecond`,
      );
    }
    this.#tokens -= calls;
  }
}

function limited(message: string): TidemarkError {
  return new TidemarkError('rate_limited', message);
}
