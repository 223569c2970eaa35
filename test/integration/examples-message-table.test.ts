/** examples/message-table.mjs on real servers: one row and one number for each message, however often it is sent. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { openTidemark } from '../../src/open.js';
import { Random } from '../support/random.js';
import { seed } from '../support/runs.js';
import { type MariaDbServer, type RedisServer, startMariaDb, startRedis } from '../support/servers.js';
import {
  hasEnded,
  post,
  postSurely,
  type RunningExample,
  startMessageTable,
  stopExamples,
  until,
} from './examples-support.js';

let maria: MariaDbServer;
let redis: RedisServer;
let environment: { REDIS_URL: string; MYSQL_URL: string };
let db: Connection;
let tables: (RunningExample & { url: string })[];

beforeAll(async () => {
  [maria, redis] = await Promise.all([startMariaDb(), startRedis()]);
});
afterAll(() => Promise.all([maria.stop(), redis.stop()]));
beforeEach(async () => {
  await redis.command('FLUSHALL');
  environment = { REDIS_URL: redis.url, MYSQL_URL: await maria.createDatabase() };
  db = await createConnection(environment.MYSQL_URL);
  tables = await Promise.all(Array.from({ length: 3 }, () => startMessageTable(environment)));
});
afterEach(async () => {
  await stopExamples();
  await db.end();
});

async function rows(): Promise<{ number: number; id: string }[]> {
  const [found] = await db.query('SELECT number, message_id FROM messages ORDER BY number');
  return (found as { number: number; message_id: Buffer }[]).map(({ number, message_id }) => {
    return { number, id: String(message_id) };
  });
}

/** Sends one message again and again, to any process, until it was answered once. Returns all the numbers it was told. */
async function sendOften(id: string, random: Random): Promise<number[]> {
  const numbers: number[] = [];
  const sendOnce = async () => {
    const alive = tables.filter((table) => !hasEnded(table));
    const { url } = alive[random.below(alive.length)]!;
    // Some clients do not wait for the answer, so they have to send it again.
    const answer = await post(`${url}/g1`, id, {
      timeoutMs: random.chance(0.3) ? 1 + random.below(5) : 5_000,
    });
    if (answer !== undefined) numbers.push(answer.number);
  };
  do {
    await sleep(random.below(50));
    await Promise.all(Array.from({ length: 1 + random.below(4) }, sendOnce));
  } while (numbers.length === 0);
  return numbers;
}

test('requests are repeated at random and a process is killed: one row, one number, and none missing', async () => {
  const random = new Random(seed);
  const ids = Array.from({ length: 100 }, (_, index) => `m${index}`);
  const answers = new Map<string, number[]>();
  const sending = Promise.all(
    ids.map(async (id) => {
      await sleep(random.below(400));
      answers.set(id, await sendOften(id, random));
    }),
  );
  await until(() => answers.size > 10, 'the first messages');
  tables[0]!.child.kill('SIGKILL');
  await sending;

  const stored = await rows();
  const message = `seed ${seed}`;
  expect(
    stored.map(({ number }) => number),
    message,
  ).toEqual(ids.map((_, index) => index + 1));
  expect(stored.map(({ id }) => id).sort(), message).toEqual([...ids].sort());
  for (const { number, id } of stored) expect(new Set(answers.get(id)), message).toEqual(new Set([number]));
});

test('a process is killed between the number and the row: the repeated request gets that number', async () => {
  const [one, other] = tables.map(({ url }) => `${url}/g1`) as [string, string];
  expect(await postSurely(one, 'm1')).toMatchObject({ number: 1 });
  // Rows can be read, and none can be inserted.
  await db.query('LOCK TABLES messages READ');
  void post(one, 'm2');
  await until(async () => (await ask(other, 'current')).number === 2, 'the number is taken');
  tables[0]!.child.kill('SIGKILL');
  await tables[0]!.ended;
  await endWaitingInserts();
  await db.query('UNLOCK TABLES');
  expect(await rows()).toEqual([{ number: 1, id: 'm1' }]);

  expect(await postSurely(other, 'm2')).toMatchObject({ number: 2 });
  expect(await postSurely(other, 'm3')).toMatchObject({ number: 3 });
  expect(await ask(other, 'gaps')).toEqual([]);
});

test('after Redis has lost everything, each message keeps its number, and what is missing is in a recorded gap', async () => {
  const urls = tables.map(({ url }) => `${url}/g1`);
  const before = new Map<string, number>();
  for (let index = 0; index < 20; index += 1) {
    const { id, number } = await postSurely(urls[index % 3]!, `m${index}`);
    before.set(id, number);
  }
  await redis.kill();
  await redis.start();
  for (const [id, number] of before)
    expect(await postSurely(urls[number % 3]!, id)).toMatchObject({ number });
  for (let index = 20; index < 30; index += 1) await postSurely(urls[index % 3]!, `m${index}`);

  const stored = await rows();
  expect(stored).toHaveLength(30);
  const sequences = openTidemark({ redis: environment.REDIS_URL, mysql: environment.MYSQL_URL });
  const gaps = await sequences.gaps(groupChat('g1'));
  await sequences.close();
  const present = new Set(stored.map(({ number }) => number));
  const missing = Array.from({ length: stored.at(-1)!.number }, (_, index) => index + 1).filter(
    (number) => !present.has(number),
  );
  expect(missing.length).toBeGreaterThan(0);
  for (const number of missing) {
    const gap = gaps.find(({ first, last }) => first <= number && number <= last);
    expect(gap?.reason, `${number}`).toBe('history_lost');
  }
});

async function ask(url: string, what: string): Promise<{ number?: number }> {
  return (await (await fetch(`${url}/${what}`)).json()) as { number?: number };
}

/** The insert of a process that was killed must not run after all. */
async function endWaitingInserts(): Promise<void> {
  const admin = await createConnection(environment.MYSQL_URL);
  try {
    for (;;) {
      const [list] = await admin.query('SHOW PROCESSLIST');
      const inserts = (list as { Id: number; Info: string | null }[]).filter(({ Info }) =>
        Info?.startsWith('INSERT INTO messages'),
      );
      if (inserts.length === 0) return;
      for (const { Id } of inserts) await admin.query(`KILL ${Id}`).catch(() => undefined);
      await sleep(10);
    }
  } finally {
    await admin.end();
  }
}
