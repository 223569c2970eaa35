import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionChange } from '../../core/counter-store.js';
import type { TidemarkError } from '../../errors.js';
import type { RedisConnection } from './connection.js';
import { closed, unavailable } from './failures.js';

/** Delay before the next try to connect: doubles from the first to the second, with jitter, in milliseconds. */
const firstRetryMs = 10;
const maxRetryMs = 500;

type Open = (onEnd: (cause: unknown) => void) => Promise<RedisConnection>;

interface Waiter {
  readonly resolve: (connection: RedisConnection) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Keeps one connection to Redis alive.
 *
 * `idle` until the first call needs a connection. `connecting`: the first try goes on, and calls wait for it. `up`: calls
 * use the connection. `down`: it was lost or could not be made; calls are rejected at once, and new tries follow, without
 * end, until one succeeds. `closed`: for good.
 */
export class RedisLink {
  readonly #endpoint: string;
  readonly #open: Open;
  readonly #closing = new AbortController();
  readonly #waiters = new Set<Waiter>();
  #state: 'idle' | 'connecting' | 'up' | 'down' | 'closed' = 'idle';
  #connection: RedisConnection | undefined;
  #failure: unknown;
  #listener: (change: ConnectionChange) => void = () => undefined;

  /** @param open - makes a connection that is ready for use; reports its end to the function that it is given */
  constructor(endpoint: string, open: Open) {
    this.#endpoint = endpoint;
    this.#open = open;
    // Each recall that waits listens to it.
    setMaxListeners(0, this.#closing.signal);
  }

  onChange(listener: (change: ConnectionChange) => void): void {
    this.#listener = listener;
  }

  /** The connection, while there is one. */
  get current(): RedisConnection | undefined {
    return this.#connection;
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /**
   * The connection. Makes the first one if need be; rejects at once while Redis is known to be out of reach.
   *
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async connection(): Promise<RedisConnection> {
    if (this.#connection !== undefined) return this.#connection;
    if (this.#state === 'closed') throw closed();
    if (this.#state === 'down') throw unavailable(this.#endpoint, this.#failure);
    if (this.#state === 'idle') {
      this.#state = 'connecting';
      void this.#connect();
    }
    return this.#wait();
  }

  /** Waits through any outage until there is a connection. @throws TidemarkError `closed` */
  whenUp(): Promise<RedisConnection> {
    return this.#state === 'down' ? this.#wait() : this.connection();
  }

  #wait(): Promise<RedisConnection> {
    return new Promise((resolve, reject) => this.#waiters.add({ resolve, reject }));
  }

  /** Waits. @throws TidemarkError `closed` when the link is closed meanwhile */
  async pause(delayMs: number): Promise<void> {
    await sleep(delayMs, undefined, { signal: this.#closing.signal }).catch(() => {
      throw closed();
    });
  }

  /** Ends the connection for good. Whoever waits is rejected with `reason`. */
  close(reason: TidemarkError = closed()): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#closing.abort();
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.destroy(reason);
    this.#settleWaiters((waiter) => waiter.reject(reason));
  }

  async #connect(): Promise<void> {
    for (let failures = 0; this.#state !== 'closed'; failures += 1) {
      if (failures > 0) await this.pause(retryDelayMs(failures - 1)).catch(() => undefined);
      if (this.#closing.signal.aborted) return;
      try {
        await this.#tryOnce();
        return;
      } catch (error) {
        this.#failed(error);
      }
    }
  }

  async #tryOnce(): Promise<void> {
    let opened: RedisConnection | undefined;
    opened = await this.#open((cause) => {
      if (opened !== undefined) this.#lost(opened, cause);
    });
    // It may have ended between its last answer and now.
    if (opened.end !== undefined) throw opened.end.cause;
    if (this.#closing.signal.aborted) opened.destroy(closed());
    else this.#up(opened);
  }

  #up(connection: RedisConnection): void {
    this.#state = 'up';
    this.#connection = connection;
    this.#failure = undefined;
    this.#settleWaiters((waiter) => waiter.resolve(connection));
    this.#listener({ status: 'up' });
  }

  #failed(cause: unknown): void {
    if (this.#state === 'closed') return;
    this.#failure = cause;
    if (this.#state === 'down') return;
    this.#state = 'down';
    this.#settleWaiters((waiter) => waiter.reject(unavailable(this.#endpoint, cause)));
    this.#listener({ status: 'down', cause });
  }

  #lost(connection: RedisConnection, cause: unknown): void {
    if (connection !== this.#connection || this.#state === 'closed') return;
    this.#connection = undefined;
    this.#failed(cause);
    void this.#reconnect();
  }

  async #reconnect(): Promise<void> {
    await this.pause(retryDelayMs(0)).catch(() => undefined);
    await this.#connect();
  }

  #settleWaiters(settle: (waiter: Waiter) => void): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) settle(waiter);
  }
}

/** Half of the delay is random, so that many processes do not come back in step. */
function retryDelayMs(failures: number): number {
  const delayMs = Math.min(maxRetryMs, firstRetryMs * 2 ** Math.min(failures, 20));
  return delayMs * (0.5 + Math.random() / 2);
}
