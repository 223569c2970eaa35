import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { Claim, Epoch, TakeRequest } from '../../src/core/counter-store.js';
import { receiptKey } from '../../src/counters/redis/keys.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { Random } from '../support/random.js';
import { seed } from '../support/runs.js';
import { type RedisServer, startRedis } from '../support/servers.js';

const longMs = 600_000;
const generation = 1;
const receipt = (messageId: string, offset: number): Claim => ({
  offset,
  count: 1,
  messageId,
  tracked: false,
});
const tracked = (offset: number, count = 1): Claim => ({
  offset,
  count,
  messageId: undefined,
  tracked: true,
});
const both = (messageId: string, offset: number): Claim => ({ ...receipt(messageId, offset), tracked: true });

let server: RedisServer;
let proxy: TcpProxy;
let store: RedisCounterStore;
let epoch: Epoch;

beforeAll(async () => {
  server = await startRedis();
});

afterAll(() => server?.stop());

beforeEach(async () => {
  proxy = await startProxy(server.port);
  store = proxiedStore();
  epoch = { history: (await store.history(0)).id, generation };
});

afterEach(async () => {
  await store?.close();
  await proxy?.stop();
});

it('a lost reply is recalled with the very same results of all claims', async () => {
  const control = await prepare('control');
  const expected = await store.take(epoch, control);
  expect(expected).toMatchObject({
    status: 'done',
    results: [
      {
        status: 'taken',
        word: { last: 15, remaining: 85 },
        claims: [
          { status: 'repeated', number: 1 },
          { status: 'fresh' },
          { status: 'corrupt', found: 'hello' },
          { status: 'repeated', number: 2, open: true },
          { status: 'repeated', number: 3, open: false },
          { status: 'fresh' },
          { status: 'fresh' },
        ],
      },
      { status: 'taken', word: { last: 7 } },
      { status: 'repeated', claims: [{ status: 'repeated', number: 9 }] },
      { status: 'missing', claims: [{ status: 'repeated', number: 9 }, { status: 'fresh' }] },
      { status: 'untracked' },
      { status: 'short', claims: [{ status: 'fresh' }] },
    ],
  });
  for (const repliesLost of [1, 2, 3]) {
    const requests = await prepare(`lost-${repliesLost}`);
    const dropped = Array.from({ length: repliesLost }, () => proxy.cutAfterNextReplyDropped());
    const recalled = await store.take(epoch, requests);
    await Promise.all(dropped);
    if (expected.status !== 'done' || recalled.status !== 'done') throw new Error(JSON.stringify(recalled));
    expect(recalled.results).toEqual(expected.results);
    expect(recalled.storeTimeMs).toBeGreaterThan(0);
    // It ran once: what it took and kept is there, and what it did not take is not.
    const conversations = requests.map(({ conversation }) => conversation);
    const controls = control.map(({ conversation }) => conversation);
    const state = async (names: readonly string[]) => {
      const [words, open] = [await store.read(epoch, names), await store.readOpen(epoch, names)];
      if (words.status !== 'done' || open.status !== 'done') throw new Error(words.status);
      return [words.results, open.results];
    };
    expect(await state(conversations)).toEqual(await state(controls));
  }
});

it('a take that never arrived keeps no claim until it is sent again', async () => {
  const conversation = 'group:never-arrived';
  await word(conversation, 0, 10);
  const request = { conversation, count: 1, claims: claims([receipt('m', 0)]) };
  proxy.hold(true);
  const pending = store.take(epoch, [request]);
  await sleep(20);
  proxy.cutAll();
  proxy.hold(false);
  const fresh = { status: 'taken', word: { last: 1, remaining: 9 }, claims: [{ status: 'fresh' }] };
  expect(await pending).toMatchObject({ results: [fresh] });
  expect(await store.take(epoch, [request])).toMatchObject({ results: [{ status: 'repeated' }] });
});

it('1,000 messages while replies are lost: each has one number, whoever sends it again, and none is left out', async () => {
  console.log(`redis-claims: seed ${seed}`);
  const random = new Random(seed);
  const ledger = new MemoryLedger();
  const group = groupChat('lossy');
  const sender = new SequenceGenerator({ counters: proxiedStore(), ledger, timeoutMs: 30_000 });
  const retrier = new SequenceGenerator({
    counters: new RedisCounterStore({ url: server.url }),
    ledger,
    timeoutMs: 30_000,
  });
  const drops = new Drops(proxy);
  const numbers = new Map<string, number>();
  const send = async (messageId: string): Promise<void> => {
    const first = sender.next(group, { messageId });
    // Some are sent again before the first answer.
    const isLater = random.next() < 0.8;
    if (isLater) await first;
    const [one, other] = await Promise.all([first, retrier.next(group, { messageId })]);
    expect(other.number, messageId).toBe(one.number);
    if (isLater) expect(other.repeated, messageId).toBe(true);
    numbers.set(messageId, one.number);
  };
  try {
    // A connection that is up, so that what is lost is an answer of a script.
    await send('m0');
    for (let next = 1; next < 1_000; ) {
      const size = Math.min(1 + Math.floor(random.next() * 12), 1_000 - next);
      if (random.next() < 0.5) drops.arm();
      await Promise.all(Array.from({ length: size }, (_, index) => send(`m${next + index}`)));
      next += size;
    }
    expect([...numbers.values()].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 1_000 }, (_, i) => i + 1),
    );
    expect(await retrier.gaps(group)).toEqual([]);
    expect(await retrier.current(group)).toBe(1_000);
    console.log(`redis-claims: ${drops.count} replies lost`);
    expect(drops.count).toBeGreaterThanOrEqual(20);
  } finally {
    await sender.close();
    await retrier.close();
  }
});

it('a message that finds no place in a take behind a plain call is in the next one', async () => {
  const sequences = new SequenceGenerator({ counters: proxiedStore(), ledger: new MemoryLedger() });
  const [many, few] = [groupChat('many'), groupChat('few')];
  try {
    await Promise.all([sequences.next(many), sequences.next(few)]);
    // Those of one conversation are as many as one take may have.
    const ids = Array.from({ length: 500 }, (_, index) => ({ messageId: `m${index}` }));
    const sent = ids.map((options) => sequences.next(many, options));
    const behind = [sequences.next(few), sequences.next(few, { messageId: 'm' })] as const;
    expect((await Promise.all(sent)).map(({ number }) => number)).toEqual(ids.map((_, index) => index + 2));
    expect(await Promise.all(behind)).toEqual([2, { number: 3, repeated: false }]);
  } finally {
    await sequences.close();
  }
});

it('tracked takes while replies are lost: each is open until it is settled, and none stays open', async () => {
  const random = new Random(seed + 1);
  const group = groupChat('lossy-tracked');
  const sequences = new SequenceGenerator({
    counters: proxiedStore(),
    ledger: new MemoryLedger(),
    timeoutMs: 30_000,
  });
  const drops = new Drops(proxy);
  try {
    await (await sequences.take(group)).settle();
    let last = 1;
    for (let round = 0; round < 60; round += 1) {
      if (random.next() < 0.6) drops.arm();
      const sending = [1, 2, 3].map((n) => sequences.take(group, 1, { messageId: `m${round}-${n}` }));
      const takes = await Promise.all([...sending, sequences.take(group, 4)]);
      const lowest = Math.min(...takes.map(({ first }) => first));
      expect(lowest).toBe(last + 1);
      last = Math.max(...takes.map((take) => take.last));
      expect(last - lowest).toBe(6);
      expect(await sequences.completeUpTo(group)).toBe(lowest - 1);
      if (random.next() < 0.6) drops.arm();
      await Promise.all(takes.map((take) => take.settle()));
      expect(await sequences.completeUpTo(group)).toBe(last);
    }
    expect(await sequences.gaps(group)).toEqual([]);
    expect(drops.count).toBeGreaterThanOrEqual(20);
  } finally {
    await sequences.close();
  }
});

/** Loses replies, at most one at a time. */
class Drops {
  count = 0;
  #armed = false;

  constructor(readonly through: TcpProxy) {}

  /** The next reply is lost. */
  arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    void this.through.cutAfterNextReplyDropped().then(() => {
      this.count += 1;
      this.#armed = false;
    });
  }
}

function proxiedStore(): RedisCounterStore {
  return new RedisCounterStore({ url: `redis://127.0.0.1:${proxy.port}` });
}

function claims(calls: readonly Claim[]) {
  return { receiptTtlMs: longMs, leaseMs: longMs, calls };
}

async function word(conversation: string, start: number, end: number): Promise<void> {
  const granted = await store.grant(epoch, [
    { conversation, block: { start, end }, mode: 'install', expiresAtStoreTimeMs: 1e15 },
  ]);
  expect(granted).toEqual({ status: 'done', results: ['granted'] });
}

/** Six conversations, and a take of them in which every kind of result occurs. */
async function prepare(name: string): Promise<readonly TakeRequest[]> {
  const [mixed, plain, known, missing, untracked, short] = ['a', 'b', 'c', 'd', 'e', 'f'].map(
    (suffix) => `group:${name}-${suffix}`,
  ) as [string, string, string, string, string, string];
  for (const conversation of [mixed, plain, known, untracked]) await word(conversation, 0, 100);
  await word(short, 0, 1);
  await store.track(epoch, [{ conversation: mixed, completeUpTo: 0 }], longMs);
  const before = claims([receipt('a', 0), both('open', 1), both('settled', 2)]);
  await store.take(epoch, [{ conversation: mixed, count: 3, claims: before }]);
  await store.settle(epoch, [{ conversation: mixed, first: 3 }]);
  await server.command('SET', receiptKey('seq', mixed, 'bad'), 'hello');
  await store.restoreReceipts(
    epoch,
    [known, missing].map((conversation) => ({ conversation, messageId: 'm', number: 9, ttlMs: longMs })),
  );
  const calls = [receipt('a', 2), receipt('new', 3), receipt('bad', 4), both('open', 5), both('settled', 6)];
  return [
    // 4 and 5 plain, 6 new, 7 to 9 tracked, 10 newer, 11 to 15 plain.
    { conversation: mixed, count: 16, claims: claims([...calls, tracked(7, 3), both('newer', 10)]) },
    { conversation: plain, count: 7 },
    { conversation: known, count: 1, claims: claims([receipt('m', 0)]) },
    { conversation: missing, count: 2, claims: claims([receipt('m', 0), receipt('n', 1)]) },
    { conversation: untracked, count: 1, claims: claims([tracked(0)]) },
    { conversation: short, count: 2, claims: claims([receipt('m', 0)]) },
  ];
}
