/**
 * What the server does, whichever door a call came through: who asks is checked, then the generator is called. Doors only
 * translate.
 */

import type { SequenceRange } from '../core/call.js';
import { type Conversation, parseConversation } from '../core/conversation.js';
import type { Explanation } from '../core/explanations.js';
import type { Gap } from '../core/ledger.js';
import type { Inspection } from '../core/lookups.js';
import { type CallOptions, maxCountPerCall } from '../core/options.js';
import { TidemarkError } from '../errors.js';
import type { SequenceGenerator } from '../sequence-generator.js';
import type { Client, Right } from './access.js';
import type { CallMeter } from './call-meter.js';
import type { Door, ServerMetrics } from './metrics.js';
import { traced } from './tracing.js';

/** Most conversations that one batch may name. */
export const maxBatchConversations = 1_000;

/** Who calls, and for how long. */
export interface Caller extends CallOptions {
  readonly client: Client;
  readonly door: Door;
}

/** Numbers that were issued. */
export interface Issued extends SequenceRange {
  /** True when an earlier call with the same message id took it. */
  readonly repeated: boolean;
}

/** Numbers of a tracked take. */
export interface Taken extends Issued {
  /** False for a repeated take that was settled or abandoned before. */
  readonly open: boolean;
}

export interface NextOptions {
  /** 1 to 1,000; 1 by default, and with a message id. */
  readonly count?: number | undefined;
  readonly messageId?: string | undefined;
}

export interface BatchItem extends NextOptions {
  readonly conversation: string;
}

/** The calls of the server. Conversations are named by their keys, as `group:g1`. */
export class Service {
  readonly #sequences: SequenceGenerator;
  readonly #metrics: ServerMetrics;
  readonly #issueMeters: Readonly<Record<Door, CallMeter>>;

  constructor(sequences: SequenceGenerator, metrics: ServerMetrics) {
    this.#sequences = sequences;
    this.#metrics = metrics;
    const meterOf = (door: Door) => metrics.meter(door, 'next');
    this.#issueMeters = { resp: meterOf('resp'), http: meterOf('http'), grpc: meterOf('grpc') };
  }

  /** Issues one number, or a contiguous range. */
  next(caller: Caller, conversation: string, options: NextOptions = {}): Promise<Issued> {
    return this.#call(caller, 'next', 'issue', conversation, (of) => this.#issue(caller, of, options));
  }

  /**
   * One number of a conversation that is made already, before this returns: the most frequent call.
   *
   * @returns the number; undefined when nothing was issued, and {@link issueLater} has to be called
   * @throws TidemarkError for a call that cannot begin
   */
  issueNow(caller: Caller, of: Conversation): number | undefined {
    const { client, door } = caller;
    const meter = this.#issueMeters[door];
    try {
      client.check('issue', of);
      client.limits.pass(1);
      const number = this.#sequences.direct.now(of, 1, caller);
      if (number === undefined) return undefined;
      this.#metrics.issued(of.type, 1);
      meter.endAtOnce('ok');
      return number;
    } catch (error) {
      meter.endAtOnce(codeOf(error));
      throw error;
    }
  }

  /** The same for what {@link issueNow} has let pass; calls back once. */
  issueLater(
    caller: Caller,
    of: Conversation,
    deliver: (number: number) => void,
    fail: (error: unknown) => void,
  ): void {
    const { client, door } = caller;
    const meter = this.#issueMeters[door];
    const startedAtMs = meter.begin();
    client.limits.hold(1);
    const end = (code: string) => {
      client.limits.end(1);
      meter.end(startedAtMs, code);
    };
    this.#sequences.direct.issue(
      of,
      (number) => {
        end('ok');
        this.#metrics.issued(of.type, 1);
        deliver(number);
      },
      (error) => {
        end(codeOf(error));
        fail(error);
      },
      caller,
    );
  }

  /**
   * Issues numbers of many conversations. Each succeeds or fails by itself, as it would alone.
   *
   * @throws TidemarkError `invalid_argument` for none, or more than 1,000
   */
  async nextBatch(caller: Caller, items: readonly BatchItem[]): Promise<(Issued | TidemarkError)[]> {
    if (items.length === 0 || items.length > maxBatchConversations) {
      throw new TidemarkError(
        'invalid_argument',
        `a batch has 1 to ${maxBatchConversations} conversations, got ${items.length}; split it`,
      );
    }
    return this.#measured(caller, 'next_batch', items.length, () =>
      Promise.all(
        items.map(async ({ conversation, ...options }) => {
          try {
            const of = parseConversation(conversation);
            caller.client.check('issue', of);
            return await this.#issue(caller, of, options);
          } catch (error) {
            if (error instanceof TidemarkError) return error;
            throw error;
          }
        }),
      ),
    );
  }

  current(caller: Caller, conversation: string): Promise<number> {
    return this.#call(caller, 'current', 'read', conversation, (of) => this.#sequences.current(of, caller));
  }

  /** The same for a conversation that is made already. */
  currentOf(caller: Caller, of: Conversation): Promise<number> {
    return this.#measured(caller, 'current', 1, async (ofType) => {
      ofType(of.type);
      caller.client.check('read', of);
      return this.#sequences.current(of, caller);
    });
  }

  gaps(
    caller: Caller,
    conversation: string,
    range: { readonly from?: number; readonly to?: number; readonly limit?: number } = {},
  ): Promise<readonly Gap[]> {
    return this.#call(caller, 'gaps', 'read', conversation, (of) => this.#sequences.gaps(of, range, caller));
  }

  explain(caller: Caller, conversation: string, number: number): Promise<Explanation> {
    return this.#call(caller, 'explain', 'read', conversation, (of) =>
      this.#sequences.explain(of, number, caller),
    );
  }

  take(caller: Caller, conversation: string, options: NextOptions = {}): Promise<Taken> {
    return this.#call(caller, 'take', 'issue', conversation, async (of) => {
      const { count = 1, messageId } = options;
      const taken = await this.#sequences.take(of, count, {
        ...caller,
        ...(messageId !== undefined && { messageId }),
      });
      const { first, last, repeated, open } = taken;
      if (!repeated) this.#metrics.issued(of.type, last - first + 1);
      return { first, last, repeated, open };
    });
  }

  settle(caller: Caller, conversation: string, range: SequenceRange): Promise<void> {
    return this.#call(caller, 'settle', 'issue', conversation, (of) =>
      this.#sequences.settle(of, range, caller),
    );
  }

  abandon(caller: Caller, conversation: string, range: SequenceRange): Promise<void> {
    return this.#call(caller, 'abandon', 'issue', conversation, (of) =>
      this.#sequences.abandon(of, range, caller),
    );
  }

  renew(caller: Caller, conversation: string, range: SequenceRange): Promise<void> {
    return this.#call(caller, 'renew', 'issue', conversation, (of) =>
      this.#sequences.renew(of, range, caller),
    );
  }

  completeUpTo(caller: Caller, conversation: string): Promise<number> {
    return this.#call(caller, 'complete_up_to', 'read', conversation, (of) =>
      this.#sequences.completeUpTo(of, caller),
    );
  }

  inspect(caller: Caller, conversation: string): Promise<Inspection> {
    return this.#call(caller, 'inspect', 'admin', conversation, (of) => this.#sequences.inspect(of, caller));
  }

  async #issue(caller: Caller, of: Conversation, { count, messageId }: NextOptions): Promise<Issued> {
    if (messageId === undefined) {
      const range = await this.#sequences.nextMany(of, count ?? 1, caller);
      this.#metrics.issued(of.type, range.last - range.first + 1);
      return { ...range, repeated: false };
    }
    if ((count ?? 1) !== 1) {
      throw new TidemarkError(
        'invalid_argument',
        `a message id is for one number, got ${count} of ${maxCountPerCall}; give each message an id of its own`,
        { conversation: of.key },
      );
    }
    const { number, repeated } = await this.#sequences.next(of, { ...caller, messageId });
    if (!repeated) this.#metrics.issued(of.type, 1);
    return { first: number, last: number, repeated };
  }

  #call<T>(
    caller: Caller,
    method: string,
    right: Right,
    conversation: string,
    work: (of: Conversation) => Promise<T>,
  ): Promise<T> {
    return this.#measured(caller, method, 1, async (ofType) => {
      const of = parseConversation(conversation);
      ofType(of.type);
      caller.client.check(right, of);
      return work(of);
    });
  }

  /** A span, metrics and limits around a call. */
  #measured<T>(
    caller: Caller,
    method: string,
    calls: number,
    work: (ofType: (type: string) => void) => Promise<T>,
  ): Promise<T> {
    return traced(caller.door, method, (ofType) => this.#counted(caller, method, calls, () => work(ofType)));
  }

  async #counted<T>(caller: Caller, method: string, calls: number, work: () => Promise<T>): Promise<T> {
    const meter = this.#metrics.meter(caller.door, method);
    const startedAtMs = meter.begin();
    let code = 'ok';
    try {
      caller.client.limits.begin(calls);
      try {
        return await work();
      } finally {
        caller.client.limits.end(calls);
      }
    } catch (error) {
      code = codeOf(error);
      throw error;
    } finally {
      meter.end(startedAtMs, code);
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof TidemarkError ? error.code : 'internal';
}
