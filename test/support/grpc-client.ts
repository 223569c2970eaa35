/** A real grpc-js client of the contract, for tests of the gRPC door. */

import { create, type DescMessage, type DescService, type MessageInitShape } from '@bufbuild/protobuf';
import {
  type ChannelCredentials,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type ServiceError,
} from '@grpc/grpc-js';
import { serviceDefinition } from '../../src/contract/codec.js';
import {
  type NextStreamRequest,
  NextStreamRequestSchema,
  type NextStreamResponse,
  type NextStreamResult,
  Tidemark,
} from '../../src/contract/generated/tidemark_pb.js';

type Unary = (
  request: unknown,
  metadata: Metadata,
  options: object,
  done: (error: ServiceError | null, answer: never) => void,
) => { cancel(): void };

export function connect(
  address: string,
  service: DescService = Tidemark,
  secure: ChannelCredentials = credentials.createInsecure(),
): Client {
  return new (makeGenericClientConstructor(serviceDefinition(service), service.typeName))(address, secure);
}

export interface CallSettings {
  readonly token?: string;
  readonly deadline?: number;
  /** Is given the function that cancels the call. */
  readonly onCall?: (cancel: () => void) => void;
}

/** One call with one answer. */
export function ask<Name extends Exclude<keyof typeof Tidemark.method, 'nextStream'>>(
  client: Client,
  name: Name,
  request: MessageInitShape<(typeof Tidemark.method)[Name]['input']>,
  settings: CallSettings = {},
): Promise<Omit<MessageOf<Name>, '$typeName' | '$unknown'>> {
  const message = create(
    Tidemark.method[name].input as DescMessage,
    request as MessageInitShape<DescMessage>,
  );
  return askAny(client, name, message, settings) as never;
}

type MessageOf<Name extends keyof typeof Tidemark.method> = import('@bufbuild/protobuf').MessageShape<
  (typeof Tidemark.method)[Name]['output']
>;

export function askAny(client: Client, name: string, request: unknown, settings: CallSettings = {}) {
  const { token, deadline, onCall } = settings;
  return new Promise<unknown>((resolve, reject) => {
    const call = (client as unknown as Record<string, Unary>)[name]!.bind(client);
    const options = deadline === undefined ? {} : { deadline };
    const made = call(request, metadataOf(token), options, (error, answer) => {
      if (error === null) resolve(answer);
      else reject(error);
    });
    onCall?.(() => made.cancel());
  });
}

function metadataOf(token: string | undefined): Metadata {
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

/** The status, and what our metadata says of an error. */
export async function failureOf(promise: Promise<unknown>) {
  const error = await promise.then(
    () => undefined,
    (reason: ServiceError) => reason,
  );
  if (error === undefined) throw new Error('the call succeeded');
  const of = (name: string) => error.metadata.get(`tidemark-${name}`)[0];
  return {
    status: error.code,
    code: of('code'),
    retryable: of('retryable'),
    conversation: of('conversation'),
  };
}

/** A call of which both sides may send much. */
export function openCall<Request, Answer>(client: Client, name: string, token?: string) {
  type Open = (metadata: Metadata) => ClientDuplexStream<Request, Answer>;
  return (client as unknown as Record<string, Open>)[name]!.call(client, metadataOf(token));
}

/** A call of which the server may send much. */
export function watchCall<Answer>(client: Client, name: string, request: unknown) {
  type Watch = (request: unknown) => ClientReadableStream<Answer>;
  return (client as unknown as Record<string, Watch>)[name]!.call(client, request);
}

/** A stream of numbers, with everything that came from it. */
export class Stream {
  readonly results: NextStreamResult[] = [];
  readonly messages: number[] = [];
  readonly call: ClientDuplexStream<NextStreamRequest, NextStreamResponse>;
  /** How it ended: undefined for well. */
  readonly ended: Promise<ServiceError | undefined>;

  constructor(client: Client, token?: string) {
    this.call = openCall(client, 'nextStream', token);
    this.call.on('data', ({ results }: NextStreamResponse) => {
      this.messages.push(results.length);
      this.results.push(...results);
    });
    this.ended = new Promise((resolve) => {
      this.call.on('error', (error: ServiceError) => resolve(error));
      this.call.on('end', () => setImmediate(() => resolve(undefined)));
    });
  }

  send(request: MessageInitShape<typeof NextStreamRequestSchema>): void {
    this.call.write(create(NextStreamRequestSchema, request));
  }

  /** Numbers by the id of their request. */
  get numbers(): Map<bigint, number> {
    return new Map(
      this.results.map(({ id, outcome }) => [
        id,
        outcome.case === 'numbers' ? Number(outcome.value.first) : -1,
      ]),
    );
  }
}
