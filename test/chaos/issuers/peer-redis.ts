/** A connection to Redis as a careful engineer sets it up with node-redis. */

import { createClient } from 'redis';
import { inTime, NoAnswer } from './patience.js';

const connectTimeoutMs = 1_000;
const longestReconnectPauseMs = 200;

type Client = ReturnType<typeof createClient>;

/** Reconnects by itself, and is replaced when it does not answer: a half-open connection would never say so. */
export class PeerRedis {
  #client: Client;
  /** How often it was connected: whoever sees another number knows that anything may have happened in between. */
  connects = 0;

  constructor(
    private readonly url: string,
    private readonly replyTimeoutMs: number,
  ) {
    this.#client = this.#connect();
  }

  /** Asks something. Rejected while there is no connection, and when there is no answer in time. */
  async ask<T>(question: (client: Client) => Promise<T>, moreTimeMs = 0): Promise<T> {
    const client = this.#client;
    try {
      return await inTime(question(client), this.replyTimeoutMs + moreTimeMs);
    } catch (error) {
      if (error instanceof NoAnswer && client === this.#client) {
        client.destroy();
        this.#client = this.#connect();
      }
      throw error;
    }
  }

  close(): void {
    this.#client.destroy();
  }

  #connect(): Client {
    const reconnectStrategy = (retries: number) => Math.min(20 * (retries + 1), longestReconnectPauseMs);
    const client = createClient({
      url: this.url,
      socket: { connectTimeout: connectTimeoutMs, reconnectStrategy },
      // Callers try again; what waits in a queue would be done long after its caller has gone.
      disableOfflineQueue: true,
    });
    client.on('ready', () => {
      this.connects += 1;
    });
    // The client reconnects; callers see that their commands fail.
    client.on('error', () => undefined);
    client.connect().catch(() => undefined);
    return client as Client;
  }
}

/** Named so that the campaign finds, deletes and evicts these counters as it does Tidemark's words. */
export function counterKey(conversation: string): string {
  return `seq:{${conversation}}:1`;
}
