/** How the gRPC door opens and closes, and what it has beside its calls. */

import { readFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { create, fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { type Client, credentials, type ServiceError, status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import {
  Health,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from '../../src/contract/generated/health_pb.js';
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from '../../src/contract/generated/reflection_pb.js';
import { lastOf } from '../../src/core/counter-word.js';
import type { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { ask, askAny, failureOf, openCall, Stream, watchCall } from '../support/grpc-client.js';
import { waitUntil } from '../support/wait.js';
import { atEnd, clientOf, hold, items, limits, start } from './grpc-support.js';

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
  atEnd(() => authority.remove());
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

/** The last number that the counter store gave to anybody. */
function lastIssued(counters: MemoryCounterStore): () => number {
  const take = counters.take.bind(counters);
  const takeNow = counters.takeNow.bind(counters);
  let last = 0;
  counters.takeNow = (...parts) => {
    const word = takeNow(...parts);
    if (word !== undefined) last = Math.max(last, lastOf(word));
    return word;
  };
  counters.take = async (epoch, requests) => {
    const reply = await take(epoch, requests);
    if (reply.status === 'done')
      for (const result of reply.results)
        if (result.status === 'taken') last = Math.max(last, result.word.last);
    return reply;
  };
  return () => last;
}
