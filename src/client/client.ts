import { setMaxListeners } from 'node:events';
import type { SequenceRange } from '../core/call.js';
import type { Conversation } from '../core/conversation.js';
import { maxSequenceNumber } from '../core/counter-word.js';
import type { Explanation } from '../core/explanations.js';
import type { Gap } from '../core/ledger.js';
import {
  type CallOptions,
  checkInteger,
  checkMessageId,
  type MessageIdOptions,
  maxCountPerCall,
  maxTimeoutMs,
} from '../core/options.js';
import type { MessageNumber } from '../core/receipts.js';
import { TrackedTake } from '../core/tracked-take.js';
import { TidemarkError } from '../errors.js';
import { Batches } from './batches.js';
import { GrpcTransport } from './grpc-transport.js';
import { HttpTransport } from './http-transport.js';
import { ServerPool } from './server-pool.js';
import { type Calls, type ClientTls, closedError, type Method, type Transport } from './transport.js';

/** Options of {@link connect}. */
export interface ClientOptions {
  /** Of the clients file; none by default. */
  readonly token?: string;
  /** Certificates, as PEM, for `https:` and `grpcs:`. */
  readonly tls?: ClientTls;
  /** Deadline of each call in milliseconds, 1 to 600,000; 5,000 by default. */
  readonly timeoutMs?: number;
  /** Calls for numbers under way, 1 to 1,000,000; 10,000 by default. More fail with `overloaded`. */
  readonly maxCalls?: number;
}

const defaultTimeoutMs = 5_000;
const defaultMaxCalls = 10_000;
const maxServers = 100;

/**
 * A client of `tidemark serve`, over HTTP or gRPC.
 *
 * @param urls - one server, or several over the same stores: `http://host:port`, `https://`, `grpc://` or `grpcs://`. When
 * one does not answer, calls go on to the next.
 * @param options - token, certificates, deadline
 * @returns the client; it connects with its first call
 * @throws TidemarkError `invalid_argument`
 * @example
 * ```ts
 * import { groupChat } from 'tidemark';
 * import { connect } from 'tidemark/client';
 * const tidemark = connect(process.env.TIDEMARK_URL!);
 * console.log(await tidemark.next(groupChat('g1'), { messageId: '7f3a' })); // { number: 1, repeated: false }
 * tidemark.close();
 * ```
 */
export function connect(urls: string | readonly string[], options: ClientOptions = {}): TidemarkClient {
  const list = typeof urls === 'string' ? [urls] : urls;
  if (list.length === 0 || list.length > maxServers) throw invalid(`give 1 to ${maxServers} URLs of servers`);
  const { token, tls = {} } = options;
  if (token !== undefined && !/^[!-~]{1,512}$/.test(token))
    throw invalid('a token has 1 to 512 printable characters, and no space');
  return new TidemarkClient(
    list.map((text) => transportTo(text, token, tls)),
    options,
  );
}

function transportTo(text: string, token: string | undefined, tls: ClientTls): Transport {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && url.host !== '') {
    if (url.username !== '' || url.password !== '')
      throw invalid('the URL of a server has no user and password; give the token as an option');
    const target = { url, token, tls };
    if (url.protocol === 'http:' || url.protocol === 'https:') return new HttpTransport(target);
    if (url.protocol === 'grpc:' || url.protocol === 'grpcs:') return new GrpcTransport(target);
  }
  throw invalid('the URL of a server begins with http://, https://, grpc:// or grpcs://, and has a host');
}

/**
 * Calls a server as a generator is called. Made by {@link connect}.
 *
 * Calls for numbers that are made at the same time share a request. A call that failed is made again until its deadline where
 * the server's error is `retryable`, or where no server answered and that does no harm: with a message id, for looking, and for
 * ending takes. A number without a message id is not asked for again once it may have been issued.
 *
 * @example
 * ```ts
 * import { groupChat } from 'tidemark';
 * import { connect, TidemarkClient } from 'tidemark/client';
 * const tidemark = connect(process.env.TIDEMARK_URL!, { timeoutMs: 2_000 });
 * console.log(tidemark instanceof TidemarkClient, await tidemark.nextMany(groupChat('g1'), 3)); // true { first: 1, last: 3 }
 * tidemark.close();
 * ```
 */
export class TidemarkClient {
  readonly #pool: ServerPool;
  readonly #batches: Batches;
  readonly #timeoutMs: number;
  readonly #closing = new AbortController();

  /** @internal Use {@link connect}. */
  constructor(transports: readonly Transport[], { timeoutMs, maxCalls }: ClientOptions) {
    this.#timeoutMs = checkInteger('timeoutMs', timeoutMs ?? defaultTimeoutMs, 1, maxTimeoutMs);
    this.#pool = new ServerPool(transports);
    this.#batches = new Batches(
      this.#pool,
      checkInteger('maxCalls', maxCalls ?? defaultMaxCalls, 1, 1_000_000),
    );
    setMaxListeners(0, this.#closing.signal);
  }

  /**
   * The next number of a conversation; see `SequenceGenerator.next`.
   *
   * @throws TidemarkError what the server tells; `server_unavailable`, `overloaded`, `aborted`, `closed`
   */
  next(of: Conversation, options: MessageIdOptions): Promise<MessageNumber>;
  next(of: Conversation, options?: CallOptions): Promise<number>;
  async next(
    of: Conversation,
    options: CallOptions & Partial<MessageIdOptions> = {},
  ): Promise<number | MessageNumber> {
    const messageId = options.messageId === undefined ? undefined : checkMessageId(options.messageId);
    const { first, repeated } = await this.#next(of, 1, messageId, options);
    return messageId === undefined ? first : { number: first, repeated };
  }

  /** A contiguous range of 1 to 1,000 numbers. */
  async nextMany(of: Conversation, count: number, options: CallOptions = {}): Promise<SequenceRange> {
    checkInteger('count', count, 1, maxCountPerCall);
    const { first, last } = await this.#next(of, count, undefined, options);
    return { first, last };
  }

  /** Numbers that are open until they are settled or abandoned; see `SequenceGenerator.take`. */
  async take(
    of: Conversation,
    count = 1,
    options: CallOptions & Partial<MessageIdOptions> = {},
  ): Promise<TrackedTake> {
    const messageId = options.messageId === undefined ? undefined : checkMessageId(options.messageId);
    checkInteger('count', count, 1, messageId === undefined ? maxCountPerCall : 1);
    const taken = await this.#call('take', of, { count, messageId }, options, messageId !== undefined);
    return new TrackedTake(this, of, taken);
  }

  /** Ends a tracked take whose message is stored. */
  settle(of: Conversation, range: SequenceRange, options: CallOptions = {}): Promise<void> {
    return this.#call('settle', of, rangeOf(range), options, true);
  }

  /** Ends a tracked take whose message will never be stored. Not made again once it may have been done. */
  abandon(of: Conversation, range: SequenceRange, options: CallOptions = {}): Promise<void> {
    return this.#call('abandon', of, rangeOf(range), options, false);
  }

  /** Begins the lease of a tracked take anew. */
  renew(of: Conversation, range: SequenceRange, options: CallOptions = {}): Promise<void> {
    return this.#call('renew', of, rangeOf(range), options, true);
  }

  /** The last number issued, 0 for none. */
  current(of: Conversation, options: CallOptions = {}): Promise<number> {
    return this.#call('current', of, undefined, options, true);
  }

  /** The number up to which a reader may read. */
  completeUpTo(of: Conversation, options: CallOptions = {}): Promise<number> {
    return this.#call('completeUpTo', of, undefined, options, true);
  }

  /** The recorded gaps in a range of numbers. */
  gaps(
    of: Conversation,
    range: { readonly from?: number; readonly to?: number; readonly limit?: number } = {},
    options: CallOptions = {},
  ): Promise<readonly Gap[]> {
    const { from = 1, to = maxSequenceNumber, limit = 1_000 } = range;
    return this.#call('gaps', of, { from, to, limit }, options, true);
  }

  /** What became of one number. */
  explain(of: Conversation, number: number, options: CallOptions = {}): Promise<Explanation> {
    return this.#call('explain', of, number, options, true);
  }

  /** Ends connections. Calls under way fail with `closed`. */
  close(): void {
    this.#closing.abort();
    this.#batches.close();
    this.#pool.close();
  }

  #next(of: Conversation, count: number, messageId: string | undefined, { timeoutMs, signal }: CallOptions) {
    if (this.#closing.signal.aborted) throw closedError();
    const item = { conversation: of.key, count, messageId };
    return this.#batches.next(item, this.#timeoutOf(timeoutMs), signal);
  }

  async #call<M extends Method>(
    method: M,
    of: Conversation,
    ask: Calls[M]['ask'],
    { timeoutMs, signal: given }: CallOptions,
    isSafe: boolean,
  ): Promise<Calls[M]['answer']> {
    const closing = this.#closing.signal;
    const signal = given === undefined ? closing : AbortSignal.any([closing, given]);
    const deadlineMs = performance.now() + this.#timeoutOf(timeoutMs);
    try {
      if (signal.aborted) throw closedError();
      return await this.#pool.run(deadlineMs, signal, isSafe, (attempt) =>
        attempt.transport.call(method, of.key, ask, { timeoutMs: attempt.timeoutMs, signal }),
      );
    } catch (error) {
      if (closing.aborted) throw closedError();
      if (given?.aborted === true)
        throw new TidemarkError('aborted', 'the call was given up', {
          conversation: of.key,
          cause: given.reason,
        });
      throw error;
    }
  }

  #timeoutOf(timeoutMs: number | undefined): number {
    return timeoutMs === undefined ? this.#timeoutMs : checkInteger('timeoutMs', timeoutMs, 1, maxTimeoutMs);
  }
}

function rangeOf({ first, last }: SequenceRange): SequenceRange {
  return { first, last };
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', message);
}
