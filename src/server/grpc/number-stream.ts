/**
 * A stream of requests for numbers: many requests in one message, and their answers gathered in the same way, so that the
 * costs of a message are shared.
 *
 * It is reading until as many requests wait as may, and paused until answers are on their way; it ends when the client has
 * closed its side, when the server stops, or with an error of the whole stream, each after what was read is answered.
 */

import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { Undecodable } from '../../contract/codec.js';
import {
  type NextStreamItem,
  type NextStreamRequest,
  type NextStreamResponse,
  NextStreamResponseSchema,
  type NextStreamResultSchema,
} from '../../contract/generated/tidemark_pb.js';
import { checkTimeout } from '../../core/options.js';
import { TidemarkError } from '../../errors.js';
import type { Client } from '../access.js';
import type { DoorContext } from '../door.js';
import type { Caller } from '../service.js';
import { clientOf, makeCaller, sharedController, timeLeftMs } from './callers.js';
import { notAMessage } from './calls.js';
import { failureOf, statusOf } from './failures.js';
import { nextOptions, numbersMessage } from './messages.js';

/** Most requests, and answers, of one message. */
const maxItems = 1_000;
/** Requests that share a signal: a signal looks through its listeners with each that comes, so they are kept few. */
const itemsPerSignal = 64;

type Result = MessageInitShape<typeof NextStreamResultSchema>;
export type NumbersCall = ServerDuplexStream<NextStreamRequest, NextStreamResponse>;

export class NumberStream {
  readonly #call: NumbersCall;
  readonly #context: DoorContext;
  readonly #client: Client;
  /** Of the requests that wait; each with how many of them. */
  readonly #signals = new Map<AbortController, number>();
  readonly #results: Result[] = [];
  /** Requests that were read and whose answers are not written. */
  #unanswered = 0;
  #isFlushPlanned = false;
  /** The client does not take answers as fast as they come. */
  #isBlocked = false;
  /** Nothing is read any more; the error that the stream then ends with, if any. */
  #ending: { readonly error: TidemarkError | undefined } | undefined;
  #isOver = false;

  /** @throws TidemarkError `unauthenticated`, `deadline_exceeded` */
  constructor(call: NumbersCall, context: DoorContext) {
    this.#call = call;
    this.#context = context;
    this.#client = clientOf(call, context.access);
    timeLeftMs(call);
    call.on('data', (request: NextStreamRequest) => this.#read(request));
    call.on('end', () => this.#end(undefined));
    call.on('drain', () => {
      this.#isBlocked = false;
      this.#flush();
    });
    call.once('cancelled', () => this.#cancel());
  }

  /** The server stops: what was read is answered, and nothing more is read. */
  stop(): void {
    this.#end(
      new TidemarkError(
        'closed',
        'the server stops; no number was issued for requests without an answer, so send those to another server',
      ),
    );
  }

  #read(request: NextStreamRequest): void {
    if (this.#ending !== undefined) return;
    let timeoutMs: number | undefined;
    try {
      timeoutMs = this.#check(request);
    } catch (error) {
      this.#end(error as TidemarkError);
      return;
    }
    const { items } = request;
    this.#unanswered += items.length;
    for (let start = 0; start < items.length; start += itemsPerSignal) {
      const together = items.slice(start, start + itemsPerSignal);
      const controller = sharedController();
      this.#signals.set(controller, together.length);
      const caller = makeCaller(this.#client, controller.signal, timeoutMs);
      for (const item of together) void this.#answer(item, caller, controller);
    }
    this.#pace();
  }

  /** The time that each request of a message has. */
  #check(request: NextStreamRequest): number | undefined {
    if (request instanceof Undecodable) throw notAMessage();
    const { items, timeoutMs } = request;
    if (items.length > maxItems) {
      const message = `a message of a stream has at most ${maxItems} requests, got ${items.length}; split it`;
      throw new TidemarkError('invalid_argument', message);
    }
    const leftMs = timeLeftMs(this.#call);
    if (timeoutMs === undefined) return leftMs;
    return Math.min(checkTimeout(timeoutMs), leftMs ?? timeoutMs);
  }

  async #answer(item: NextStreamItem, caller: Caller, controller: AbortController): Promise<void> {
    let result: Result;
    try {
      const issued = await this.#context.service.next(caller, item.conversation, nextOptions(item));
      result = { id: item.id, outcome: { case: 'numbers', value: numbersMessage(issued) } };
    } catch (error) {
      result = { id: item.id, outcome: { case: 'failure', value: failureOf(error, this.#context.log) } };
    }
    const waiting = this.#signals.get(controller) ?? 0;
    if (waiting > 1) this.#signals.set(controller, waiting - 1);
    else this.#signals.delete(controller);
    if (this.#isOver) return;
    this.#results.push(result);
    if (this.#isFlushPlanned || this.#isBlocked) return;
    this.#isFlushPlanned = true;
    // Whatever else is answered in this turn goes into the same message.
    setImmediate(() => {
      this.#isFlushPlanned = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (!this.#isOver && !this.#isBlocked && this.#results.length > 0) {
      const results = this.#results.splice(0, maxItems);
      this.#unanswered -= results.length;
      this.#isBlocked = !this.#call.write(create(NextStreamResponseSchema, { results }));
    }
    this.#pace();
    this.#finish();
  }

  #pace(): void {
    const isFull = this.#unanswered >= this.#context.limits.maxPipelined;
    if (isFull || this.#ending !== undefined) this.#call.pause();
    else this.#call.resume();
  }

  #end(error: TidemarkError | undefined): void {
    this.#ending ??= { error };
    this.#call.pause();
    this.#finish();
  }

  #finish(): void {
    if (this.#isOver || this.#ending === undefined || this.#unanswered > 0) return;
    this.#isOver = true;
    const { error } = this.#ending;
    // grpc-js ends a stream with the status that it hears of as an error, after what was written.
    if (error === undefined) this.#call.end();
    else this.#call.emit('error', statusOf(error, this.#context.log));
  }

  #cancel(): void {
    this.#isOver = true;
    const reason = new Error('the client gave the stream up');
    for (const controller of this.#signals.keys()) controller.abort(reason);
    this.#signals.clear();
    this.#results.length = 0;
  }
}
