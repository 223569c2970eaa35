/**
 * examples/reader.mjs on real servers: writers store messages slowly and out of order. A reader that goes by completeUpTo
 * misses none of them; one that asks for everything after the last message that it saw does.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { Gap } from '../../src/core/ledger.js';
import { openTidemark } from '../../src/open.js';
import { type MariaDbServer, type RedisServer, startMariaDb, startRedis } from '../support/servers.js';
import { type RunningExample, startExample, stopExamples, until } from './examples-support.js';

interface Row {
  readonly number: number;
  readonly text: string;
}

/** As in the example. */
const leaseMs = 2_000;

let maria: MariaDbServer;
let redis: RedisServer;
let environment: { REDIS_URL: string; MYSQL_URL: string };
let db: Connection;
let reader: RunningExample;

beforeAll(async () => {
  [maria, redis] = await Promise.all([startMariaDb(), startRedis()]);
});
afterAll(() => Promise.all([maria.stop(), redis.stop()]));
beforeEach(async () => {
  await redis.command('FLUSHALL');
  environment = { REDIS_URL: redis.url, MYSQL_URL: await maria.createDatabase() };
  db = await createConnection(environment.MYSQL_URL);
  reader = startExample('reader.mjs', ['read', 'g1'], environment);
  await until(
    () =>
      rows().then(
        () => true,
        () => false,
      ),
    'the table',
  );
});
afterEach(async () => {
  await stopExamples();
  await db.end();
});

async function rows(after = 0): Promise<Row[]> {
  const [found] = await db.query('SELECT number, text FROM chat WHERE number > ? ORDER BY number', [after]);
  return found as Row[];
}

function startWriter(name: string, count: number): RunningExample {
  return startExample('reader.mjs', ['write', 'g1', name, String(count)], environment);
}

/** Everything after the last message that it saw: what a reader does who trusts numbers to arrive in order. */
function startNaiveReader(): { stop(): Promise<Row[]> } {
  const seen: Row[] = [];
  let isOver = false;
  const reading = (async () => {
    for (; !isOver; await sleep(100)) seen.push(...(await rows(seen.at(-1)?.number)));
  })();
  return {
    async stop() {
      isOver = true;
      await reading;
      return seen;
    },
  };
}

async function recordedGaps(): Promise<readonly Gap[]> {
  const sequences = openTidemark({ redis: environment.REDIS_URL, mysql: environment.MYSQL_URL, leaseMs });
  try {
    return await sequences.gaps(groupChat('g1'));
  } finally {
    await sequences.close();
  }
}

function textsOf(lines: readonly string[]): string[] {
  return lines.map((line) => line.slice(line.indexOf(' ') + 1));
}

/** All rows are printed, each once, in order. */
async function expectAllRead(): Promise<void> {
  const expected = (await rows()).map(({ number, text }) => `${number} ${text}`);
  await until(
    () => reader.lines.length >= expected.length,
    `${reader.lines.length} of ${expected.length} lines`,
  );
  expect(reader.lines).toEqual(expected);
  expect(reader.stderr()).toBe('');
  reader.child.kill('SIGTERM');
  expect(await reader.ended).toBe(0);
}

test('the reader misses nothing, and a reader of everything after the last one it saw does', async () => {
  const naive = startNaiveReader();
  const writers = ['ann', 'bob', 'cem'].map((name) => startWriter(name, 25));
  expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual([0, 0, 0]);
  await expectAllRead();
  await sleep(200);
  const seen = new Set((await naive.stop()).map(({ text }) => text));
  const missed = (await rows()).filter(({ text }) => !seen.has(text));
  console.log(`75 messages; everything after the last one seen has missed ${missed.length}`);
  expect(await rows()).toHaveLength(75);
  expect(missed.length).toBeGreaterThan(0);
});

test('a writer that dies holds the reader up for a lease, and its numbers are a recorded gap', async () => {
  const dying = startWriter('dying', 40);
  const sequences = openTidemark({ redis: environment.REDIS_URL, mysql: environment.MYSQL_URL, leaseMs });
  await until(
    async () => (await sequences.current(groupChat('g1'))) - (await rows()).length >= 3,
    'numbers whose messages are on the way',
  );
  dying.child.kill('SIGKILL');
  await sequences.close();
  const living = startWriter('living', 20);
  expect(await living.ended).toBe(0);
  await sleep(leaseMs);
  await expectAllRead();
  const gaps = await recordedGaps();
  const stored = new Set((await rows()).map(({ number }) => number));
  const missing = Array.from({ length: Math.max(...stored) }, (_, index) => index + 1).filter(
    (number) => !stored.has(number),
  );
  expect(missing.length).toBeGreaterThan(0);
  for (const number of missing) {
    const gap = gaps.find(({ first, last }) => first <= number && number <= last);
    expect(gap?.reason, `${number}`).toBe('lease_expired');
  }
});

test('the database hangs for longer than the lease: late messages are stored again, behind the reader', async () => {
  const writers = ['ann', 'bob'].map((name) => startWriter(name, 20));
  await until(async () => (await rows()).length > 5, 'the first messages');
  // Rows can be read, and none can be inserted.
  await db.query('LOCK TABLES chat READ');
  await sleep(leaseMs + 1_000);
  await db.query('UNLOCK TABLES');
  expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual([0, 0]);
  const stored = await rows();
  expect(new Set(stored.map(({ text }) => text)).size).toBe(40);
  await until(() => new Set(textsOf(reader.lines)).size === 40, 'every message is read');

  // The late ones have left their numbers. One that was settled in the last moment has kept its own.
  const expired = (await recordedGaps()).filter(({ reason }) => reason === 'lease_expired');
  const numbers = new Set(stored.map(({ number }) => number));
  const left = expired.flatMap(({ first, last }) =>
    Array.from({ length: last - first + 1 }, (_, index) => first + index).filter(
      (number) => !numbers.has(number),
    ),
  );
  expect(left.length).toBeGreaterThan(0);
});

test('Redis loses everything while takes are open: the reader stands still for a lease, and misses nothing', async () => {
  const writers = ['ann', 'bob', 'cem'].map((name) => startWriter(name, 25));
  await until(async () => (await rows()).length > 15, 'the first messages');
  await redis.kill();
  await redis.start();
  expect(await Promise.all(writers.map(({ ended }) => ended))).toEqual([0, 0, 0]);
  expect(await rows()).toHaveLength(75);
  await expectAllRead();
});
