import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { ConnectionChange, Epoch, TakeReply } from '../../src/core/counter-store.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { TidemarkError } from '../../src/errors.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { Random } from '../support/random.js';
import { seed } from '../support/runs.js';
import { freePort, type RedisServer, startRedis } from '../support/servers.js';

let server: RedisServer;
let proxy: TcpProxy;
let store: RedisCounterStore;
let epoch: Epoch;
let changes: ConnectionChange['status'][];
let names = 0;

beforeAll(async () => {
  server = await startRedis();
});

afterAll(() => server?.stop());

beforeEach(async () => {
  proxy = await startProxy(server.port);
  changes = [];
  store = new RedisCounterStore({ url: `redis://127.0.0.1:${proxy.port}`, replyTimeoutMs: 1_000 });
  store.onConnection(({ status }) => changes.push(status));
  epoch = { history: (await store.history(0)).id, generation: 1 };
});

afterEach(async () => {
  await store?.close();
  await proxy?.stop();
});

it('a lost reply is recalled: the very same numbers, dense, whatever was lost', async () => {
  console.log(`redis-lost-replies: seed ${seed}`);
  const faultsFrom = new Random(seed);
  const random = () => faultsFrom.next();
  const conversations = [await word(9_000), await word(9_000), await word(9_000)];
  const numbers = conversations.map(() => [] as number[]);
  let faults = 0;
  for (let message = 0; message < 200; message += 1) {
    const fault = random();
    if (fault < 0.15) void proxy.cutAfterNextReplyDropped();
    else if (fault < 0.2) setTimeout(() => proxy.cutAll(), random() * 3);
    if (fault < 0.2) faults += 1;
    const counts = conversations.map(() => (random() < 0.7 ? 1 : 1 + Math.floor(random() * 20)));
    const reply = await takeOnceReachable(
      conversations.map((conversation, i) => ({ conversation, count: counts[i]! })),
    );
    for (const [index, result] of reply.results.entries()) {
      if (result.status !== 'taken') throw new Error(`message ${message}: ${result.status}`);
      const count = counts[index]!;
      for (let n = result.word.last - count + 1; n <= result.word.last; n += 1) numbers[index]!.push(n);
    }
  }
  for (const list of numbers) expect(list).toEqual(list.map((_, index) => index + 1));
  expect(faults).toBeGreaterThan(15);
  expect(changes.filter((status) => status === 'down').length).toBeGreaterThan(10);
});

it('parallel takes in many lanes survive cuts, dense', async () => {
  const conversation = await word(9_000);
  const seen: number[] = [];
  const worker = async (): Promise<void> => {
    for (let round = 0; round < 30; round += 1) {
      const { results } = await takeOnceReachable([{ conversation, count: 2 }]);
      const result = results[0]!;
      if (result.status !== 'taken') throw new Error(result.status);
      seen.push(result.word.last - 1, result.word.last);
    }
  };
  let working = true;
  const cutting = (async () => {
    for (; working; await sleep(15)) proxy.cutAll();
  })();
  await Promise.all(Array.from({ length: 12 }, worker));
  working = false;
  await cutting;
  seen.sort((a, b) => a - b);
  expect(seen).toEqual(Array.from({ length: 720 }, (_, index) => index + 1));
  expect(changes.filter((status) => status === 'down').length).toBeGreaterThan(1);
});

it('a take that never arrived is sent again and counts once', async () => {
  const conversation = await word(100);
  for (let round = 1; round <= 5; round += 1) {
    proxy.hold(true);
    const pending = take(conversation);
    await sleep(20);
    proxy.cutAll();
    proxy.hold(false);
    expect(await pending).toMatchObject({ results: [{ status: 'taken', word: { last: round } }] });
  }
});

it('a server that forgot its scripts gets them again', async () => {
  const conversation = await word(100);
  for (let round = 1; round <= 3; round += 1) {
    await server.command('SCRIPT', 'FLUSH');
    expect(await take(conversation)).toMatchObject({ results: [{ status: 'taken', word: { last: round } }] });
    await server.command('SCRIPT', 'FLUSH');
    expect(await store.read(epoch, [conversation])).toMatchObject({ results: [{ word: { last: round } }] });
  }
  // Also when the reply of the very first run is lost and the recall finds no script.
  const dropped = proxy.cutAfterNextReplyDropped();
  const pending = take(conversation);
  await dropped;
  await server.command('SCRIPT', 'FLUSH');
  expect(await pending).toMatchObject({ results: [{ status: 'taken', word: { last: 4 } }] });
});

it('a frozen server is given up after the reply timeout, and its takes are recalled', async () => {
  const conversation = await word(100);
  server.pause();
  const pending = [take(conversation), take(conversation), take(conversation)];
  const refused = store.read(epoch, [conversation]).catch((error: unknown) => error);
  try {
    await sleep(1_500);
    expect(changes).toEqual(['up', 'down']);
    expect(await refused).toMatchObject({ code: 'counter_unavailable' });
    const startedAtMs = performance.now();
    await expect(take(conversation)).rejects.toMatchObject({ code: 'counter_unavailable', retryable: true });
    expect(performance.now() - startedAtMs).toBeLessThan(500);
    await sleep(1_500);
  } finally {
    server.resume();
  }
  const lasts = (await Promise.all(pending)).map((reply) => {
    if (reply.status !== 'done' || reply.results[0]!.status !== 'taken')
      throw new Error(JSON.stringify(reply));
    return reply.results[0]!.word.last;
  });
  expect(lasts.sort()).toEqual([1, 2, 3]);
  // What the frozen server still finds in the old connection's buffer must not run behind the recall.
  await sleep(100);
  expect(await store.read(epoch, [conversation])).toMatchObject({
    results: [{ word: { last: 3, remaining: 97 } }],
  });
});

it('a server that restarts empty: what was under way is lost, and what follows is stale', async () => {
  const conversation = await word(100);
  proxy.hold(true);
  const pending = take(conversation);
  await sleep(20);
  await server.kill();
  proxy.cutAll();
  proxy.hold(false);
  await server.start();
  expect(await pending).toMatchObject({ status: 'lost' });
  const { id: history } = await store.history(0);
  expect(history).not.toBe(epoch.history);
  expect(await take(conversation)).toEqual({ status: 'stale', history });
  epoch = { history, generation: 2 };
  expect(await take(conversation)).toMatchObject({ results: [{ status: 'missing' }] });
});

it('FLUSHALL behind a take whose reply was lost: lost, never taken again', async () => {
  const conversation = await word(100);
  const behind = proxy.targetPort;
  const dropped = proxy.cutAfterNextReplyDropped();
  const pending = take(conversation);
  await dropped;
  proxy.targetPort = await freePort();
  await sleep(50);
  await server.command('FLUSHALL');
  proxy.targetPort = behind;
  expect(await pending).toMatchObject({ status: 'lost' });
  expect((await store.history(0)).id).toBe(epoch.history);
  expect(await take(conversation)).toMatchObject({ results: [{ status: 'missing' }] });
});

it('recalls answer the same each time, and keep the take from running late', async () => {
  const conversation = await word(100);
  const script = async (name: string) =>
    readFile(new URL(`../../src/counters/redis/scripts/${name}.lua`, import.meta.url), 'utf8');
  const [takeScript, recallScript] = [await script('take'), await script('recall')];
  const key = `seq:{${conversation}}:1`;
  const runTake = (lane: string, number: number, keys = [key]) =>
    server.command(
      'EVAL',
      takeScript,
      String(keys.length + 1),
      lane,
      ...keys,
      epoch.history,
      String(number),
      '60000',
      String(keys.length),
    );
  const recall = (lane: string, number: number, history = epoch.history) =>
    server.command('EVAL', recallScript, '1', lane, history, String(number), '60000');

  // No record: it may have run. The second recall finds the fence of the first, and must not call it "not run".
  expect(await recall('lane:none', 5)).toEqual(['LOST']);
  expect(await recall('lane:none', 5)).toEqual(['LOST']);
  expect(await runTake('lane:none', 5)).toEqual(['SUPERSEDED']);
  expect(await runTake('lane:none', 6)).toMatchObject(['DONE', 0, expect.any(Number)]);

  // An opened lane: it has not run and never will.
  await server.command('SET', 'lane:open', '4');
  expect(await recall('lane:open', 5)).toEqual(['NOT_RUN']);
  expect(await recall('lane:open', 5)).toEqual(['NOT_RUN']);
  expect(await runTake('lane:open', 5)).toEqual(['SUPERSEDED']);

  // It ran: the very same reply, missing and foreign words included.
  await server.command('SET', 'foreign', 'hello');
  const reply = await runTake('lane:ran', 7, [key, 'nothing', 'foreign', `seq:{${conversation}}:1`]);
  expect(reply).toMatchObject([
    'DONE',
    expect.any(Number),
    98e12 + 2,
    -1,
    expect.stringContaining('integer'),
    97e12 + 3,
  ]);
  expect(await recall('lane:ran', 7)).toEqual(reply);
  expect(await recall('lane:ran', 7)).toEqual(reply);
  expect(await runTake('lane:ran', 7)).toEqual(['SUPERSEDED']);
  // A later take has overwritten the record: nobody knows any more.
  expect(await recall('lane:ran', 6)).toEqual(['LOST']);
  expect(await recall('lane:ran', 7)).toEqual(reply);
  expect(await recall('lane:ran', 7, 'another')).toEqual(['STALE', epoch.history]);
  expect(await server.command('GET', key)).toBe(String(97e12 + 3));
});

it('close: takes under way on a dead connection end with closed, later calls too', async () => {
  const conversation = await word(100);
  proxy.hold(true);
  const pending = [take(conversation), take(conversation)].map((call) =>
    call.catch((error: unknown) => error),
  );
  await sleep(20);
  proxy.cutAll();
  await store.close();
  for (const error of await Promise.all(pending)) {
    expect(error).toBeInstanceOf(TidemarkError);
    expect((error as TidemarkError).code).toBe('closed');
  }
  await expect(take(conversation)).rejects.toMatchObject({ code: 'closed' });
});

it('close waits for the answers under way and removes the lanes', async () => {
  await server.command('FLUSHALL');
  const conversation = await word(100);
  proxy.delayMs = 30;
  const pending = [take(conversation), take(conversation), take(conversation)];
  await sleep(5);
  await store.close();
  for (const reply of await Promise.all(pending)) expect(reply.status).toBe('done');
  expect(await server.command('KEYS', 'seq:lane:*')).toEqual([]);
});

it('a take beyond the lanes waits for its turn', async () => {
  const narrow = new RedisCounterStore({ url: server.url, maxConcurrentTakes: 1 });
  const own = { history: (await narrow.history(0)).id, generation: 1 };
  const conversation = await word(100);
  const replies = await Promise.all(
    Array.from({ length: 20 }, () => narrow.take(own, [{ conversation, count: 1 }])),
  );
  expect(replies.map((reply) => reply.status === 'done' && reply.results[0])).toMatchObject(
    replies.map((_, index) => ({ status: 'taken', word: { last: index + 1 } })),
  );
  await narrow.close();
});

it('a full memory refuses takes without taking', async () => {
  const conversation = await word(100);
  await server.command('CONFIG', 'SET', 'maxmemory', '1');
  await expect(take(conversation)).rejects.toMatchObject({
    code: 'counter_unavailable',
    message: expect.stringContaining('raise maxmemory'),
  });
  await server.command('CONFIG', 'SET', 'maxmemory', '0');
  expect(await take(conversation)).toMatchObject({ results: [{ status: 'taken', word: { last: 1 } }] });
});

it('a script that failed in the middle is lost, not repeated', async () => {
  const conversation = await word(100);
  // The word of `nothing` is missing, and deleting what the step left of it fails behind the first word's step.
  const requests = [conversation, 'group:nothing'].map((name) => ({ conversation: name, count: 1 }));
  await server.command('ACL', 'SETUSER', 'default', '-unlink');
  try {
    expect(await store.take(epoch, requests)).toMatchObject({ status: 'lost' });
    expect(await store.read(epoch, [conversation])).toMatchObject({ results: [{ word: { last: 1 } }] });
  } finally {
    await server.command('ACL', 'SETUSER', 'default', '+@all');
  }
  expect(await take(conversation)).toMatchObject({ results: [{ status: 'taken', word: { last: 2 } }] });
});

it('a demoted primary is left, and used again once it is one', async () => {
  const other = await startRedis({ args: ['--repl-diskless-sync-delay', '0'] });
  try {
    const conversation = await word(100);
    await server.command('REPLICAOF', '127.0.0.1', String(other.port));
    await until(async () => String(await server.command('INFO', 'replication')).includes('link_status:up'));
    const reply = await take(conversation).catch((error: unknown) => error);
    expect(reply).toMatchObject({ status: 'stale' });
    const refused = await store.history(0).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      code: 'counter_unavailable',
      message: expect.stringContaining('replica'),
    });
    expect(changes).toEqual(['up', 'down']);
    await server.command('REPLICAOF', 'NO', 'ONE');
    await until(async () => changes.at(-1) === 'up');
    expect((await store.history(0)).id).not.toBe(epoch.history);
  } finally {
    await server.command('REPLICAOF', 'NO', 'ONE');
    await other.stop();
  }
});

/** A conversation of its own with the block (0, size]. */
async function word(size: number): Promise<string> {
  names += 1;
  const conversation = `group:lost-${names}`;
  const granted = await store.grant(epoch, [
    { conversation, block: { start: 0, end: size }, mode: 'install', expiresAtStoreTimeMs: 1e15 },
  ]);
  expect(granted).toEqual({ status: 'done', results: ['granted'] });
  return conversation;
}

function take(conversation: string): Promise<TakeReply> {
  return store.take(epoch, [{ conversation, count: 1 }]);
}

/** As the generator does: a take that certainly has not run is made again. */
async function takeOnceReachable(requests: { conversation: string; count: number }[]) {
  for (;;) {
    try {
      const reply = await store.take(epoch, requests);
      if (reply.status !== 'done') throw new Error(JSON.stringify(reply));
      return reply;
    } catch (error) {
      if (!(error instanceof TidemarkError) || error.code !== 'counter_unavailable') throw error;
      await sleep(2);
    }
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(5))
    if (await condition()) return;
  throw new Error('it did not happen within 10 s');
}
