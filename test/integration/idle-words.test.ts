/** Conversations that nobody uses take no memory in Redis, and go on as if nothing had been. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { type Conversation, groupChat } from '../../src/core/conversation.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { openTidemark, type TuningOptions } from '../../src/open.js';
import type { SequenceGenerator } from '../../src/sequence-generator.js';
import { type CallRecord, judge } from '../support/judge.js';
import { nowUs } from '../support/load-log.js';
import { type MariaDbServer, type RedisServer, startMariaDb, startRedis } from '../support/servers.js';
import { waitUntil } from '../support/wait.js';
import { sql } from './mysql-support.js';

const fixed = { reservation: { kind: 'fixed', size: 64 } } as const;

let maria: MariaDbServer;
let mysql: string;
let redis: RedisServer;
let opened: SequenceGenerator[] = [];

beforeAll(async () => {
  maria = await startMariaDb();
});
afterAll(() => maria.stop());
beforeEach(async () => {
  [redis, mysql] = await Promise.all([startRedis(), maria.createDatabase()]);
});
afterEach(async () => {
  await Promise.all(opened.map((sequences) => sequences.close()));
  opened = [];
  await redis.stop();
});

function open(tuning: TuningOptions): SequenceGenerator {
  const sequences = openTidemark({ redis: redis.url, mysql, timeoutMs: 60_000, ...fixed, ...tuning });
  opened.push(sequences);
  return sequences;
}

function chats(count: number, name = 'c'): Conversation[] {
  return Array.from({ length: count }, (_, index) => groupChat(`${name}${index}`));
}

/** The number of words, and all memory that Redis uses, in MiB. */
async function memory(): Promise<{ words: number; mib: number }> {
  const words = await wordsLeft();
  const info = String(await redis.command('INFO', 'memory'));
  return { words, mib: Number(/used_memory:(\d+)/.exec(info)![1]) / 2 ** 20 };
}

/** Of the other keys there are a few only: lanes. */
async function wordsLeft(): Promise<number> {
  return Number(await redis.command('DBSIZE'));
}

async function recordedGaps(): Promise<number> {
  const [row] = await sql(mysql, 'SELECT COUNT(*) AS n FROM tidemark_gaps');
  return Number(row!['n']);
}

it('100,000 conversations idle out: the memory is free, and each goes on behind its last number', async () => {
  const count = 100_000;
  const writer = open({});
  const before = await memory();
  const of = chats(count);
  const startedAtMs = performance.now();
  const portion = 5_000;
  for (let from = 0; from < count; from += portion)
    await Promise.all(of.slice(from, from + portion).map((one) => writer.nextMany(one, 3)));
  const peak = await memory();
  const madeAtMs = performance.now();

  const times: number[] = [];
  let drained = 0;
  const keeper = open({
    idleAfterMs: 2_000,
    onEvent: (event) => {
      if (event.type !== 'drained') return;
      drained += event.conversations;
      times.push(performance.now());
    },
  });
  // It looks when it has met the store.
  await keeper.current(of[0]!);
  await waitUntil('all are drained', async () => drained >= count);
  const after = await memory();
  const lastedMs = times.at(-1)! - times[0]!;
  console.log(
    `made in ${Math.round(madeAtMs - startedAtMs)} ms; drained in ${Math.round(lastedMs)} ms`,
    `(${Math.round(drained / (lastedMs / 1_000))} per second), all gone ${Math.round(times.at(-1)! - madeAtMs)} ms after;`,
    `before ${JSON.stringify(before)}, peak ${JSON.stringify(peak)}, after ${JSON.stringify(after)}`,
  );
  expect(after.words).toBeLessThan(64);
  expect(peak.mib - before.mib).toBeGreaterThan(5);
  expect(after.mib - before.mib).toBeLessThan((peak.mib - before.mib) / 5);

  const sample = of.filter((_, index) => index % 50 === 0);
  const next = await Promise.all(sample.map((one, index) => (index % 2 ? writer : keeper).next(one)));
  expect(next).toEqual(sample.map(() => 4));
  expect(await recordedGaps()).toBe(0);
});

it('one generator drains what is idle, while it and others go on with what is not', async () => {
  let drained = 0;
  const tuning: TuningOptions = {
    idleAfterMs: 1_000,
    onEvent: (event) => {
      if (event.type === 'drained') drained += event.conversations;
    },
  };
  const all = [open(tuning), open(tuning), open({})];
  const idle = chats(2_000, 'idle');
  const busy = chats(20, 'busy');
  await Promise.all(idle.map((one) => all[0]!.next(one)));

  const calls: CallRecord[] = [];
  let isOver = false;
  const work = all.map(async (sequences, offset) => {
    for (let turn = offset; !isOver; turn += 1) {
      const of = busy[turn % busy.length]!;
      const start = nowUs();
      const number = await sequences.next(of);
      const numbers = { first: number, last: number };
      calls.push({ conversation: of.key, start, end: nowUs(), numbers, count: 1 });
      // Some are used all the time, some just so seldom that they are on the brink of being idle.
      if (turn % busy.length === 0) await sleep(turn % 3 === 0 ? 1_000 : 5);
    }
  });
  await waitUntil('the idle ones are drained', async () => drained >= idle.length);
  const rounds = calls.length;
  await waitUntil('numbers flow on', async () => calls.length > rounds + 200);
  isOver = true;
  await Promise.all(work);
  const { duplicates, regressions, missing } = judge(calls, []);
  console.log(`${calls.length} numbers meanwhile, ${drained} conversations drained`);
  expect({ duplicates, regressions, missing }).toEqual({ duplicates: [], regressions: [], missing: 0 });
  expect(await Promise.all(idle.map((one) => all[1]!.next(one)))).toEqual(idle.map(() => 2));
  expect(await recordedGaps()).toBe(0);
});

it('a server that evicts by LFU cannot tell what is idle: numbers go on, and words stay', async () => {
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lfu');
  const counters = new RedisCounterStore({ url: redis.url });
  const epoch = { history: (await counters.history(0)).id, generation: 1 };
  const events: TidemarkEvent[] = [];
  const sequences = open({ idleAfterMs: 1_000, onEvent: (event) => events.push(event) });
  const g1 = groupChat('g1');
  expect(await sequences.next(g1)).toBe(1);
  const look = async () => {
    for await (const idle of counters.idle(0, epoch, 1_000, AbortSignal.timeout(5_000))) return idle;
    return [];
  };
  await expect(look()).rejects.toMatchObject({
    code: 'counter_unsupported',
    message: expect.stringContaining('set a maxmemory-policy that is not LFU'),
  });
  // Long enough for two looks of the generator.
  await sleep(2_200);
  expect(await sequences.next(g1)).toBe(2);
  expect(events.filter(({ type }) => type === 'drained')).toEqual([]);

  // It looks on, so that it works as soon as the policy is another one.
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
  await waitUntil('it is drained', async () => events.some(({ type }) => type === 'drained'));
  expect(await sequences.next(g1)).toBe(3);
  await counters.close();
});
