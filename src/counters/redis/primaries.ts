import type { ConnectionChange, CounterStore } from '../../core/counter-store.js';
import type { RedisConnection } from './connection.js';
import { closed, isReplicaError, unavailable } from './failures.js';
import { RedisLink } from './link.js';

/** Which primary serves a slot, and the connection to it. */
export interface Primaries {
  readonly slots: number;
  /** The slot of a conversation. */
  readonly slotOf: (conversation: string) => number;
  readonly isClosed: boolean;

  /** The connection to the primary of the slot, while there is one. */
  current(slot: number): RedisConnection | undefined;

  /**
   * The connection to the primary of the slot. Makes the first one if need be; rejects at once while it is known to be out
   * of reach.
   *
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  connection(slot: number): Promise<RedisConnection>;

  /** Waits through any outage, and follows the slot to its new primary. @throws TidemarkError `closed` */
  whenUp(slot: number): Promise<RedisConnection>;

  /** Waits. @throws TidemarkError `closed` */
  pause(delayMs: number): Promise<void>;

  /** Takes note of an error of a call: true when another primary serves the slot now, and nothing ran. */
  moved(slot: number, connection: RedisConnection, error: unknown): boolean;

  readonly confirms?: NonNullable<CounterStore['confirms']>;

  onChange(listener: (change: ConnectionChange) => void): void;

  /** Ends all connections, each after its last words. Whoever waits is rejected with `closed`. */
  close(lastWords: (connection: RedisConnection) => Promise<unknown>): Promise<void>;
}

/** A store with one primary: one slot. */
export class SinglePrimary implements Primaries {
  readonly slots = 1;
  readonly slotOf = (): number => 0;
  readonly #link: RedisLink;

  /** @param open - makes a connection that is ready for use; reports its end to the function that it is given */
  constructor(endpoint: string, open: (onEnd: (cause: unknown) => void) => Promise<RedisConnection>) {
    this.#link = new RedisLink(endpoint, open);
  }

  get isClosed(): boolean {
    return this.#link.isClosed;
  }

  current(): RedisConnection | undefined {
    return this.#link.current;
  }

  connection(): Promise<RedisConnection> {
    return this.#link.connection();
  }

  whenUp(): Promise<RedisConnection> {
    return this.#link.whenUp();
  }

  pause(delayMs: number): Promise<void> {
    return this.#link.pause(delayMs);
  }

  moved(): boolean {
    return false;
  }

  onChange(listener: (change: ConnectionChange) => void): void {
    this.#link.onChange(listener);
  }

  async close(lastWords: (connection: RedisConnection) => Promise<unknown>): Promise<void> {
    const { current } = this.#link;
    if (current !== undefined) await lastWords(current).catch(() => undefined);
    this.#link.close();
  }
}

/** What a caller is told of an error. Leaves a server that has become a replica: the next connection may reach the primary. */
export function failureOf(primaries: Primaries, connection: RedisConnection, error: unknown): Error {
  if (primaries.isClosed) return closed();
  const failure = unavailable(connection.endpoint, connection.end?.cause ?? error);
  if (isReplicaError(error)) connection.destroy(failure);
  return failure;
}
