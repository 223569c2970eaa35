import { createClient } from 'redis';
import { TidemarkError } from '../../errors.js';
import { replyCode } from './failures.js';
import { ServerRun } from './histories.js';
import type { NodeSettings } from './node-settings.js';
import type { Script } from './scripts.js';

/** How often the oldest unanswered call is looked at, as a part of the reply timeout. */
const checksPerTimeout = 8;
const maxCheckIntervalMs = 250;

/**
 * One connection to Redis, from its start to its end. It is never repaired: a lost one is replaced by a new one.
 *
 * Calls have no timers of their own (one for each costs more than the call). Instead, the oldest unanswered call is
 * looked at now and then, and when it is too old, the whole connection ends.
 */
export class RedisConnection {
  readonly #client: ReturnType<typeof createClient>;
  readonly #replyTimeoutMs: number;
  readonly #onEnd: (cause: unknown) => void;
  /** When each unanswered call was made, oldest first: answers come in the order of the calls. */
  readonly #unansweredSinceMs: number[] = [];
  #answered = 0;
  #watch: NodeJS.Timeout | undefined;
  #end: { readonly cause: unknown } | undefined;
  /** Where it leads, for messages. */
  readonly endpoint: string;
  /** The server at the other end, and what is known of its history. */
  server = new ServerRun();

  private constructor(settings: NodeSettings, onEnd: (cause: unknown) => void) {
    this.endpoint = settings.endpoint;
    this.#client = newClient(settings);
    this.#replyTimeoutMs = settings.replyTimeoutMs;
    this.#onEnd = onEnd;
    // Also for errors that leave node-redis running, such as a reply that it cannot read: nothing after it can be trusted.
    this.#client.on('error', (cause) => this.destroy(cause));
  }

  /**
   * Connects and signs in.
   *
   * @param onEnd - called once when the connection has ended, before the calls that it cut off are rejected; not when
   * opening fails
   */
  static async open(settings: NodeSettings, onEnd: (cause: unknown) => void): Promise<RedisConnection> {
    const connection = new RedisConnection(settings, onEnd);
    await connection.#connect(settings.connectTimeoutMs);
    return connection;
  }

  async #connect(timeoutMs: number): Promise<void> {
    // node-redis bounds the TCP connection only; a frozen server accepts that and answers nothing.
    const timer = setTimeout(
      () => this.destroy(new Error(`no connection within ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      await this.#client.connect();
    } catch (error) {
      this.#end ??= { cause: error };
    } finally {
      clearTimeout(timer);
    }
    if (this.#end !== undefined) {
      // Again, because a client that was destroyed while it connected may hold a socket by now.
      this.#client.destroy();
      throw this.#end.cause;
    }
    const intervalMs = Math.min(maxCheckIntervalMs, this.#replyTimeoutMs / checksPerTimeout);
    this.#watch = setInterval(() => this.#checkOldest(), intervalMs).unref();
  }

  /** Why the connection ended; undefined while it has not. */
  get end(): { readonly cause: unknown } | undefined {
    return this.#end;
  }

  /** Sends a command. Rejected with an error reply, or with another error when the connection ended. */
  call(args: readonly string[]): Promise<unknown> {
    this.#unansweredSinceMs.push(performance.now());
    return this.#client.sendCommand(args).finally(() => {
      this.#answered += 1;
      this.#unansweredSinceMs.shift();
    });
  }

  /** Runs `['EVALSHA', script.sha, …]`. A server that forgot the script has not run it, and gets it again. */
  async runScript(script: Script, args: readonly string[]): Promise<unknown> {
    try {
      return await this.call(args);
    } catch (error) {
      if (replyCode(error) !== 'NOSCRIPT') throw error;
    }
    await this.call(['SCRIPT', 'LOAD', script.text]);
    return this.call(args);
  }

  /** Ends the connection; calls under way are rejected, and Redis may still run them. */
  destroy(cause: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { cause };
    const wasOpen = this.#watch !== undefined;
    clearInterval(this.#watch);
    if (wasOpen) this.#onEnd(cause);
    this.#client.destroy();
  }

  #checkOldest(): void {
    const sinceMs = this.#unansweredSinceMs[0];
    if (sinceMs === undefined || performance.now() - sinceMs < this.#replyTimeoutMs) return;
    const answered = this.#answered;
    // This process may have been the slow one. What has arrived meanwhile is read before the immediate runs.
    setImmediate(() => {
      if (this.#answered === answered) this.destroy(new Error(`no answer within ${this.#replyTimeoutMs} ms`));
    });
  }
}

function newClient(settings: NodeSettings): ReturnType<typeof createClient> {
  try {
    return createClient(settings.clientOptions());
  } catch {
    // The error is not kept as the cause: it may quote the URL, and with it the password.
    throw new TidemarkError(
      'invalid_argument',
      `node-redis refuses the options for ${settings.endpoint}; correct them`,
    );
  }
}
