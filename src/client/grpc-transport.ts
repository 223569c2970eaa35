/** Calls over gRPC, one connection to a server. */

import { create, type DescMethodUnary, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import {
  Client,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { methodDefinition } from '../contract/codec.js';
import {
  type ExplainResponse,
  GapReason,
  NumberStatus,
  Tidemark,
  type Gap as WireGap,
} from '../contract/generated/tidemark_pb.js';
import type { Explanation } from '../core/explanations.js';
import type { Gap, GapReason as ReasonName } from '../core/ledger.js';
import { TidemarkError } from '../errors.js';
import {
  type Calls,
  type Effort,
  type Issued,
  type Method,
  type NextItem,
  NoAnswer,
  type Target,
  type Transport,
  toldError,
} from './transport.js';

const maxAnswerBytes = 16_777_216;

type Wire = typeof Tidemark.method;

export class GrpcTransport implements Transport {
  readonly #target: Target;
  readonly #client: Client;
  readonly #metadata = new Metadata();

  constructor(target: Target) {
    this.#target = target;
    const { url, token, tls } = target;
    const [ca, key, cert] = [tls.ca, tls.key, tls.cert].map((pem) =>
      pem === undefined ? null : Buffer.from(pem),
    );
    const secure = url.protocol === 'grpcs:';
    this.#client = new Client(
      url.host,
      secure ? credentials.createSsl(ca, key, cert) : credentials.createInsecure(),
      // The client retries by itself, and by its own rules.
      { 'grpc.enable_retries': 0, 'grpc.max_receive_message_length': maxAnswerBytes },
    );
    if (token !== undefined) this.#metadata.set('authorization', `Bearer ${token}`);
  }

  async next(items: readonly NextItem[], effort: Effort): Promise<readonly (Issued | TidemarkError)[]> {
    const { results } = await this.#unary(Tidemark.method.nextBatch, { items: items.map(askOf) }, effort);
    return results.map(({ outcome }) => {
      if (outcome.case === 'numbers') return issuedOf(outcome.value);
      const { code = 'internal', message = 'the server gave no outcome', conversation } = outcome.value ?? {};
      return toldError(code, message, conversation);
    });
  }

  call<M extends Method>(
    method: M,
    conversation: string,
    ask: Calls[M]['ask'],
    effort: Effort,
  ): Promise<Calls[M]['answer']> {
    const send = <Name extends keyof Wire>(name: Name, request: MessageInitShape<Wire[Name]['input']>) =>
      this.#unary(Tidemark.method[name] as DescMethodUnary, request, effort) as Promise<
        MessageShape<Wire[Name]['output']>
      >;
    return (ways[method] as Way<M>)(send, conversation, ask);
  }

  close(): void {
    this.#client.close();
  }

  #unary<I extends DescMethodUnary['input'], O extends DescMethodUnary['output']>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { timeoutMs, signal }: Effort,
  ): Promise<MessageShape<O>> {
    const { path, requestSerialize, responseDeserialize } = methodDefinition(method);
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + timeoutMs;
      const call: ClientUnaryCall = this.#client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        create(method.input, request),
        this.#metadata,
        { deadline },
        (error, answer) => {
          signal.removeEventListener('abort', cancel);
          if (error === null) resolve(answer as MessageShape<O>);
          else reject(this.#errorOf(error));
        },
      );
      const cancel = () => call.cancel();
      signal.addEventListener('abort', cancel, { once: true });
      if (signal.aborted) cancel();
    });
  }

  #errorOf({ code, details, metadata }: ServiceError): TidemarkError {
    const [name] = metadata.get('tidemark-code');
    if (name === undefined) {
      if (code === status.DEADLINE_EXCEEDED)
        return new TidemarkError(
          'deadline_exceeded',
          'the server did not answer in time; give it more, or retry',
        );
      if (code === status.RESOURCE_EXHAUSTED) return new TidemarkError('invalid_argument', details);
      // A connection that was never made carried nothing.
      const wasSent = !/No connection established|ECONNREFUSED|Name resolution/.test(details);
      return new NoAnswer(this.#target.url, status[code], wasSent);
    }
    const [conversation] = metadata.get('tidemark-conversation');
    const key = conversation === undefined ? undefined : decodeURIComponent(String(conversation));
    return toldError(String(name), details, key);
  }
}

type Send = <Name extends keyof Wire>(
  name: Name,
  request: MessageInitShape<Wire[Name]['input']>,
) => Promise<MessageShape<Wire[Name]['output']>>;
type Way<M extends Method> = (
  send: Send,
  conversation: string,
  ask: Calls[M]['ask'],
) => Promise<Calls[M]['answer']>;

const ways: { readonly [M in Method]: Way<M> } = {
  async take(send, conversation, ask) {
    const answer = await send('take', askOf({ conversation, ...ask }));
    return { ...issuedOf(answer), open: answer.open };
  },
  async settle(send, conversation, range) {
    await send('settle', { conversation, ...rangeOf(range) });
  },
  async abandon(send, conversation, range) {
    await send('abandon', { conversation, ...rangeOf(range) });
  },
  async renew(send, conversation, range) {
    await send('renew', { conversation, ...rangeOf(range) });
  },
  async current(send, conversation) {
    return Number((await send('current', { conversation })).number);
  },
  async completeUpTo(send, conversation) {
    return Number((await send('completeUpTo', { conversation })).number);
  },
  async gaps(send, conversation, { from, to, limit }) {
    const { gaps } = await send('gaps', { conversation, from: BigInt(from), to: BigInt(to), limit });
    return gaps.map((gap) => gapOf(conversation, gap));
  },
  async explain(send, conversation, number) {
    return explanationOf(conversation, await send('explain', { conversation, number: BigInt(number) }));
  },
};

function askOf({ conversation, count, messageId }: NextItem) {
  return { conversation, count, ...(messageId !== undefined && { messageId }) };
}

function rangeOf({ first, last }: { first: number; last: number }) {
  return { first: BigInt(first), last: BigInt(last) };
}

function issuedOf({ first, last, repeated }: { first: bigint; last: bigint; repeated: boolean }): Issued {
  return { first: Number(first), last: Number(last), repeated };
}

function gapOf(conversation: string, gap: WireGap): Gap {
  return {
    conversation,
    first: Number(gap.first),
    last: Number(gap.last),
    reason: GapReason[gap.reason].toLowerCase() as ReasonName,
    certain: gap.certain,
    generation: gap.generation,
    recordedAtMs: Number(gap.recordedAtMs),
  };
}

function explanationOf(conversation: string, answer: ExplainResponse): Explanation {
  const number = Number(answer.number);
  const gap = answer.gap === undefined ? undefined : gapOf(conversation, answer.gap);
  if (answer.status === NumberStatus.ISSUED)
    return { number, status: 'issued', complete: answer.complete === true };
  if (answer.status === NumberStatus.NEVER_ISSUED) return { number, status: 'never_issued', gap: gap! };
  if (answer.status === NumberStatus.UNCERTAIN)
    return { number, status: 'uncertain', gap, sinceMs: gap?.recordedAtMs };
  if (answer.status === NumberStatus.NOT_ISSUED_YET) return { number, status: 'not_issued_yet' };
  throw new TidemarkError(
    'internal',
    `status ${answer.status} of ${number} is not known; upgrade this client`,
  );
}
