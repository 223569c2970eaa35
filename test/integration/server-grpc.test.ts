/** The gRPC door, asked by a real client over loopback. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { type Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import type { ClientOptions } from '../../src/server/access.js';
import {
  Health,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../src/server/grpc/generated/health_pb.js';
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from '../../src/server/grpc/generated/reflection_pb.js';
import { NumberStatus } from '../../src/server/grpc/generated/tidemark_pb.js';
import { Server, type ServerOptions } from '../../src/server/server.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { waitUntil } from '../support/wait.js';
import { ask, askAny, connect, failureOf, openCall, Stream, watchCall } from './grpc-client.js';

const limits = { maxConnections: 20, maxRequestBytes: 65_536, maxPipelined: 100, requestTimeoutMs: 500 };
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(options: Partial<ServerOptions> = {}) {
  const counters = new MemoryCounterStore();
  const server = await Server.start({
    ...{ counters, ledger: new MemoryLedger(), tuning: {}, clients: undefined, tls: undefined, limits },
    ...{ doors: { grpc: { host: '127.0.0.1', port: 0 } }, keyPrefix: 'seq', version: '1' },
    log: pino({ level: 'silent' }),
    ...options,
  });
  closing.push(() => server.stop(1_000));
  return { server, counters, address: server.doors[0]!.address };
}

function clientOf(...args: Parameters<typeof connect>): Client {
  const client = connect(...args);
  closing.push(() => client.close());
  return client;
}

/** Takes of the counter store wait until they are let go. */
function hold(counters: MemoryCounterStore): () => void {
  const take = counters.take.bind(counters);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  counters.take = async (...args) => {
    await held;
    return take(...args);
  };
  return release;
}

const items = (from: number, count: number, conversation = 'group:g') =>
  Array.from({ length: count }, (_, index) => ({ id: BigInt(from + index), conversation }));

test('every call answers', async () => {
  const client = clientOf((await start()).address);
  const conversation = 'group:g1';
  expect(await ask(client, 'next', { conversation })).toMatchObject({ number: 1n, repeated: false });
  expect(await ask(client, 'next', { conversation, messageId: 'm' })).toMatchObject({ number: 2n });
  expect(await ask(client, 'next', { conversation, messageId: 'm' })).toMatchObject({
    number: 2n,
    repeated: true,
  });
  expect(await ask(client, 'nextMany', { conversation, count: 3 })).toMatchObject({ first: 3n, last: 5n });
  expect(await ask(client, 'current', { conversation })).toMatchObject({ number: 5n });
  expect(await ask(client, 'take', { conversation, count: 4 })).toMatchObject({
    ...{ first: 6n, last: 9n, repeated: false, open: true },
  });
  expect(await ask(client, 'completeUpTo', { conversation })).toMatchObject({ number: 5n });
  await ask(client, 'renew', { conversation, first: 6n, last: 9n });
  await ask(client, 'settle', { conversation, first: 6n, last: 9n });
  expect(await ask(client, 'take', { conversation, messageId: 'm2' })).toMatchObject({ first: 10n });
  await ask(client, 'abandon', { conversation, first: 10n, last: 10n });
  const again = await ask(client, 'take', { conversation, messageId: 'm2' });
  expect(again).toMatchObject({ first: 10n, repeated: true, open: false });
  expect(await ask(client, 'completeUpTo', { conversation })).toMatchObject({ number: 10n });
  const { gaps } = await ask(client, 'gaps', { conversation, from: 2n, to: 100n, limit: 10 });
  expect(gaps).toMatchObject([{ first: 10n, last: 10n, reason: 4, certain: true }]);
  expect(Number(gaps[0]!.recordedAtMs)).toBeGreaterThan(1.6e12);
  const explain = (number: bigint) => ask(client, 'explain', { conversation, number });
  expect(await explain(1n)).toMatchObject({ status: NumberStatus.ISSUED, complete: true });
  expect(await explain(10n)).toMatchObject({ status: NumberStatus.NEVER_ISSUED, gap: { first: 10n } });
  expect(await explain(50n)).toMatchObject({ number: 50n, status: NumberStatus.NOT_ISSUED_YET });
});

test('each conversation of a batch succeeds or fails by itself', async () => {
  const client = clientOf((await start()).address);
  const { results } = await ask(client, 'nextBatch', {
    items: [
      { conversation: 'group:a', count: 2 },
      { conversation: 'nonsense' },
      { conversation: 'group:b', count: 2, messageId: 'm' },
      { conversation: 'group:a' },
    ],
  });
  expect(results.map(({ outcome }) => outcome)).toMatchObject([
    { case: 'numbers', value: { first: 1n, last: 2n } },
    { case: 'failure', value: { code: 'invalid_conversation', retryable: false } },
    { case: 'failure', value: { code: 'invalid_argument', conversation: 'group:b' } },
    { case: 'numbers', value: { first: 3n, last: 3n } },
  ]);
  expect(await failureOf(ask(client, 'nextBatch', {}))).toMatchObject({ code: 'invalid_argument' });
});

test('bad requests are told by status and metadata, and change nothing', async () => {
  const client = clientOf((await start()).address);
  const conversation = 'group:ü g';
  const invalid = { status: status.INVALID_ARGUMENT, code: 'invalid_argument', retryable: 'false' };
  expect(await failureOf(ask(client, 'next', { conversation: '' }))).toMatchObject({
    ...{ status: status.INVALID_ARGUMENT, code: 'invalid_conversation' },
  });
  for (const count of [0, 1_001])
    expect(await failureOf(ask(client, 'nextMany', { conversation, count }))).toMatchObject(invalid);
  for (const number of [0n, 10n ** 12n, 2n ** 64n - 1n])
    expect(await failureOf(ask(client, 'explain', { conversation, number }))).toMatchObject(invalid);
  const named = await failureOf(ask(client, 'take', { conversation, count: 2, messageId: 'm' }));
  expect(named).toMatchObject(invalid);
  expect(await ask(client, 'current', { conversation })).toMatchObject({ number: 0n });
  for (const range of [
    { first: 0n, last: 1n },
    { first: 2n, last: 1n },
    { first: 1n, last: 2n ** 63n },
  ])
    expect(await failureOf(ask(client, 'settle', { conversation, ...range }))).toMatchObject(invalid);
});

test('bytes that are no message are an invalid argument', async () => {
  const client = clientOf((await start()).address);
  const answer = new Promise((resolve, reject) => {
    const same = (bytes: Buffer) => bytes;
    const done = (error: unknown) => (error === null ? resolve(0) : reject(error as Error));
    client.makeUnaryRequest('/tidemark.v1.Tidemark/Next', same, same, Buffer.from([0x0a, 0xff]), done);
  });
  expect(await failureOf(answer)).toMatchObject({
    status: status.INVALID_ARGUMENT,
    code: 'invalid_argument',
  });
});

test('clients are known by their tokens', async () => {
  const hash = (token: string) => createHash('sha256').update(token).digest('hex');
  const clients: ClientOptions[] = [
    { name: 'chat', tokenSha256: hash('t1'), rights: ['issue'], conversations: ['group:'] },
  ];
  const { address } = await start({ clients });
  const client = clientOf(address);
  const conversation = 'group:g';
  expect(await ask(client, 'next', { conversation }, { token: 't1' })).toMatchObject({ number: 1n });
  const unknown = { status: status.UNAUTHENTICATED, code: 'unauthenticated' };
  expect(await failureOf(ask(client, 'next', { conversation }))).toMatchObject(unknown);
  expect(await failureOf(ask(client, 'next', { conversation }, { token: 't2' }))).toMatchObject(unknown);
  expect((await new Stream(client).ended)?.code).toBe(status.UNAUTHENTICATED);
  const denied = { status: status.PERMISSION_DENIED, code: 'permission_denied', retryable: 'false' };
  expect(await failureOf(ask(client, 'current', { conversation }, { token: 't1' }))).toMatchObject({
    ...denied,
    conversation: encodeURIComponent(conversation),
  });
  const other = 'private:a:b';
  expect(await failureOf(ask(client, 'next', { conversation: other }, { token: 't1' }))).toMatchObject(
    denied,
  );
  const stream = new Stream(client, 't1');
  stream.send({ items: [{ id: 7n, conversation: other }, ...items(8, 1)] });
  stream.call.end();
  expect(await stream.ended).toBeUndefined();
  const codes = stream.results.map(({ outcome }) => outcome.case === 'failure' && outcome.value.code);
  expect(codes.sort()).toEqual([false, 'permission_denied']);
  const health = clientOf(address, Health);
  expect(await askAny(health, 'check', create(HealthCheckRequestSchema))).toMatchObject({ status: 1 });
});

test('deadlines end calls, and cancelled calls are given up', async () => {
  const { counters, address } = await start();
  const client = clientOf(address);
  await ask(client, 'current', { conversation: 'group:g' });
  const release = hold(counters);
  const late = failureOf(ask(client, 'next', { conversation: 'group:g' }, { deadline: Date.now() + 100 }));
  expect((await late).status).toBe(status.DEADLINE_EXCEEDED);
  const stream = new Stream(client);
  stream.send({ items: items(0, 2), timeoutMs: 50 });
  await waitUntil('answers', async () => stream.results.length === 2);
  expect(stream.results.map(({ outcome }) => outcome.value)).toMatchObject([
    ...[{ code: 'deadline_exceeded', retryable: true }, { code: 'deadline_exceeded' }],
  ]);
  const cancelled = failureOf(
    ask(client, 'next', { conversation: 'group:g' }, { onCall: (cancel) => setTimeout(cancel, 50) }),
  );
  expect((await cancelled).status).toBe(status.CANCELLED);
  stream.send({ items: items(2, 70) });
  await sleep(100);
  stream.call.cancel();
  await sleep(100);
  release();
  // Calls that still waited for a take of theirs have taken nothing.
  expect(Number((await ask(client, 'next', { conversation: 'group:g' })).number)).toBeLessThan(10);
});

test('a stream answers all, densely and in order, and stops reading while too many wait', async () => {
  const { counters, address } = await start();
  const client = clientOf(address);
  const first = new Stream(client);
  for (let message = 0; message < 20; message += 1) first.send({ items: items(message * 100, 100) });
  first.call.end();
  expect(await first.ended).toBeUndefined();
  expect([...first.numbers].sort(([a], [b]) => Number(a - b)).map(([, number]) => number)).toEqual(
    Array.from({ length: 2_000 }, (_, index) => index + 1),
  );
  // Answers share messages, as requests do.
  expect(first.messages.length).toBeLessThan(1_000);

  const release = hold(counters);
  const asked = countTakes(counters);
  const slow = new Stream(client);
  const conversations = (message: number) =>
    Array.from({ length: 50 }, (_, index) => ({ id: 0n, conversation: `group:s${message}-${index}` }));
  for (let message = 0; message < 40; message += 1) slow.send({ items: conversations(message) });
  await sleep(300);
  expect(asked()).toBeLessThanOrEqual(limits.maxPipelined);
  release();
  slow.call.end();
  expect(await slow.ended).toBeUndefined();
  expect(slow.results.length).toBe(2_000);
});

test('a stream ends for what it cannot take, after what came before', async () => {
  const client = clientOf((await start()).address);
  for (const wrong of [{ items: items(9, 1_001) }, { items: items(9, 1), timeoutMs: 0 }]) {
    const stream = new Stream(client);
    stream.send({ items: items(0, 3) });
    stream.send(wrong);
    const error = await stream.ended;
    expect(error?.code).toBe(status.INVALID_ARGUMENT);
    expect(error?.metadata.get('tidemark-code')).toEqual(['invalid_argument']);
    expect(stream.results.length).toBe(3);
  }
});

test('messages that are too large are refused', async () => {
  const client = clientOf((await start()).address);
  const conversation = 'x'.repeat(limits.maxRequestBytes);
  const { status: of } = await failureOf(ask(client, 'next', { conversation }));
  expect(of).toBe(status.RESOURCE_EXHAUSTED);
  const stream = new Stream(client);
  stream.send({ items: [{ conversation }] });
  expect((await stream.ended)?.code).toBe(status.RESOURCE_EXHAUSTED);
});

test('a server that stops answers what it has read, once, and issues nothing else', async () => {
  const { address, server, counters } = await start();
  const client = clientOf(address);
  const stream = new Stream(client);
  const issued = lastIssued(counters);
  let sent = 0;
  const timer = setInterval(() => {
    if (stream.call.writable) stream.send({ items: items(sent, 20) });
    sent += 20;
  }, 1);
  const ending = stream.ended.then((error: ServiceError | undefined) => {
    clearInterval(timer);
    return error;
  });
  await waitUntil('a busy stream', async () => stream.results.length > 500);
  expect(await server.stop(10_000)).toBe(true);
  const error = await ending;
  expect(error?.code).toBe(status.UNAVAILABLE);
  expect(error?.metadata.get('tidemark-code')).toEqual(['closed']);
  const numbers = stream.results.map(
    ({ outcome }) => outcome.case === 'numbers' && Number(outcome.value.first),
  );
  expect(numbers.sort((a, b) => Number(a) - Number(b))).toEqual(numbers.map((_, index) => index + 1));
  expect(issued()).toBe(numbers.length);
  expect((await failureOf(ask(client, 'next', { conversation: 'group:g' }))).status).toBe(status.UNAVAILABLE);
});

test('calls with one answer are answered by a server that stops', async () => {
  const { address, server, counters } = await start();
  const client = clientOf(address);
  await ask(client, 'current', { conversation: 'group:g' });
  const release = hold(counters);
  const asked = ask(client, 'next', { conversation: 'group:g' });
  await sleep(100);
  const stopped = server.stop(10_000);
  await sleep(50);
  release();
  expect(await asked).toMatchObject({ number: 1n });
  expect(await stopped).toBe(true);
});

test('what is not answered by the deadline is cut', async () => {
  const { address, server, counters } = await start();
  const client = clientOf(address);
  await ask(client, 'current', { conversation: 'group:g' });
  const release = hold(counters);
  const asked = failureOf(ask(client, 'next', { conversation: 'group:g' }));
  await sleep(100);
  const stopping = server.stop(100);
  expect([status.UNAVAILABLE, status.CANCELLED]).toContain((await asked).status);
  release();
  expect(await stopping).toBe(false);
});

test('TLS, and certificates of clients where they are asked for', async () => {
  const authority = await createCertificateAuthority();
  closing.push(() => authority.remove());
  const [mine, theirs] = [await authority.issue(), await authority.issue()];
  const read = (file: string) => readFileSync(file);
  const [cert, key] = [read(mine.certFile).toString(), read(mine.keyFile).toString()];
  const anonymous = () => credentials.createSsl(read(authority.caFile));
  const known = credentials.createSsl(read(authority.caFile), read(theirs.keyFile), read(theirs.certFile));
  const next = (client: Client) => ask(client, 'next', { conversation: 'group:g' });
  const tls = await start({ tls: { cert, key } });
  expect(await next(clientOf(tls.address, undefined, anonymous()))).toMatchObject({ number: 1n });
  expect((await failureOf(next(clientOf(tls.address)))).status).toBe(status.UNAVAILABLE);
  const mutual = await start({ tls: { cert, key, clientCa: read(authority.caFile).toString() } });
  expect(await next(clientOf(mutual.address, undefined, known))).toMatchObject({ number: 1n });
  expect((await failureOf(next(clientOf(mutual.address, undefined, anonymous())))).status).toBe(
    status.UNAVAILABLE,
  );
});

test('health is told, and a change to those who watch', async () => {
  const { address, server } = await start();
  const client = clientOf(address, Health);
  const check = (service: string) => askAny(client, 'check', create(HealthCheckRequestSchema, { service }));
  for (const service of ['', 'tidemark.v1.Tidemark'])
    expect(await check(service)).toMatchObject({ status: ServingStatus.SERVING });
  expect((await failureOf(check('other'))).status).toBe(status.NOT_FOUND);
  const told: ServingStatus[] = [];
  const watch = watchCall<HealthCheckResponse>(client, 'watch', create(HealthCheckRequestSchema));
  watch.on('data', (answer: HealthCheckResponse) => told.push(answer.status));
  const ended = new Promise((resolve) => watch.on('end', resolve));
  await waitUntil('the first status', async () => told.length === 1);
  expect(await server.stop(5_000)).toBe(true);
  await ended;
  expect(told).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
});

test('reflection tells the services and their files', async () => {
  const client = clientOf((await start()).address, ServerReflection);
  const call = openCall<ServerReflectionRequest, ServerReflectionResponse>(client, 'serverReflectionInfo');
  const answers: ServerReflectionResponse['messageResponse'][] = [];
  call.on('data', ({ messageResponse }: ServerReflectionResponse) => answers.push(messageResponse));
  const asked: ServerReflectionRequest['messageRequest'][] = [
    { case: 'listServices', value: '' },
    { case: 'fileContainingSymbol', value: 'tidemark.v1.Tidemark.Next' },
    { case: 'fileByFilename', value: 'grpc/health/v1/health.proto' },
    { case: 'fileContainingSymbol', value: 'other' },
    { case: 'allExtensionNumbersOfType', value: 'tidemark.v1.Gap' },
  ];
  for (const messageRequest of asked) call.write(create(ServerReflectionRequestSchema, { messageRequest }));
  call.end();
  await new Promise((resolve) => call.on('end', resolve));
  const names = ['tidemark.v1.Tidemark', 'grpc.health.v1.Health', 'grpc.reflection.v1.ServerReflection'];
  expect(answers[0]).toMatchObject({ value: { service: names.map((name) => ({ name })) } });
  const files = answers.slice(1, 3).map((answer) => {
    if (answer.case !== 'fileDescriptorResponse') throw new Error(`got ${answer.case}`);
    return fromBinary(FileDescriptorProtoSchema, answer.value.fileDescriptorProto[0]!).name;
  });
  expect(files).toEqual(['tidemark/v1/tidemark.proto', 'grpc/health/v1/health.proto']);
  for (const answer of answers.slice(3))
    expect(answer).toMatchObject({ value: { errorCode: status.NOT_FOUND } });
});

test('connections are bounded, and those that say nothing are closed', async () => {
  const { address } = await start({ limits: { ...limits, maxConnections: 1, requestTimeoutMs: 100 } });
  const [host, port] = address.split(':');
  const open = () =>
    new Promise<number>((resolve) => {
      const startedAtMs = performance.now();
      const socket = connectSocket(Number(port), host).on('error', () => undefined);
      socket.resume().on('close', () => resolve(performance.now() - startedAtMs));
    });
  const silent = open();
  await sleep(20);
  await open();
  expect(await silent).toBeGreaterThan(90);
  expect(await ask(clientOf(address), 'next', { conversation: 'group:g' })).toMatchObject({ number: 1n });
});

test('a request that does not come ends its call', async () => {
  const client = clientOf((await start()).address);
  const same = (bytes: Buffer) => bytes;
  const call = client.makeClientStreamRequest('/tidemark.v1.Tidemark/Next', same, same, () => undefined);
  const error = await new Promise<ServiceError['code']>((resolve) =>
    call.on('status', ({ code }: ServiceError) => resolve(code)),
  );
  expect(error).toBe(status.DEADLINE_EXCEEDED);
});

/** How many conversations were asked for so far. */
function countTakes(counters: MemoryCounterStore): () => number {
  const take = counters.take.bind(counters);
  let conversations = 0;
  counters.take = (epoch, requests) => {
    conversations += requests.length;
    return take(epoch, requests);
  };
  return () => conversations;
}

/** The last number that the counter store gave to anybody. */
function lastIssued(counters: MemoryCounterStore): () => number {
  const take = counters.take.bind(counters);
  let last = 0;
  counters.take = async (epoch, requests) => {
    const reply = await take(epoch, requests);
    if (reply.status === 'done')
      for (const result of reply.results)
        if (result.status === 'taken') last = Math.max(last, result.word.last);
    return reply;
  };
  return () => last;
}
