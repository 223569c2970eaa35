/** The calls of the gRPC door, asked by a real client over loopback. */

import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { status } from '@grpc/grpc-js';
import { expect, test } from 'vitest';
import { Health, HealthCheckRequestSchema } from '../../src/contract/generated/health_pb.js';
import { NumberStatus } from '../../src/contract/generated/tidemark_pb.js';
import type { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import type { ClientOptions } from '../../src/server/access.js';
import { ask, askAny, failureOf, Stream } from '../support/grpc-client.js';
import { waitUntil } from '../support/wait.js';
import { clientOf, hold, items, limits, start } from './grpc-support.js';

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
    const done = (error: Error | null) => (error === null ? resolve(0) : reject(error));
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

/** How many conversations were asked for so far. */
function countTakes(counters: MemoryCounterStore): () => number {
  const take = counters.take.bind(counters);
  let conversations = 0;
  counters.takeNow = () => undefined;
  counters.take = (epoch, requests) => {
    conversations += requests.length;
    return take(epoch, requests);
  };
  return () => conversations;
}
