/**
 * examples/takeover.mjs on real servers: Redis is restarted without data while a client follows a conversation. The client
 * goes on over the gap after its grace, has every message in order, and asks a bounded number of times. Beside it, two
 * clients that know no gaps: one fetches what is missing until it is there, one goes on at once.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { openTidemark } from '../../src/open.js';
import { type MariaDbServer, type RedisServer, startMariaDb, startRedis } from '../support/servers.js';
import {
  hasEnded,
  postSurely,
  type StoredMessage,
  startExample,
  startMessageTable,
  stopExamples,
  until,
} from './examples-support.js';

let maria: MariaDbServer;
let redis: RedisServer;
let environment: { REDIS_URL: string; MYSQL_URL: string };
let db: Connection;
let server: string;

beforeAll(async () => {
  [maria, redis] = await Promise.all([startMariaDb(), startRedis()]);
});
afterAll(() => Promise.all([maria.stop(), redis.stop()]));
beforeEach(async () => {
  environment = { REDIS_URL: redis.url, MYSQL_URL: await maria.createDatabase() };
  db = await createConnection(environment.MYSQL_URL);
  server = `${(await startMessageTable(environment)).url}/g1`;
});
afterEach(async () => {
  await stopExamples();
  await db.end();
});

async function fetchAfter(position: number): Promise<StoredMessage[]> {
  const response = await fetch(`${server}/messages?from=${position + 1}&to=${position + 200}`);
  return response.ok ? ((await response.json()) as StoredMessage[]) : [];
}

/** Fetches what comes next until it is there. */
function startStubbornClient() {
  const seen: string[] = [];
  let position = 0;
  let fetches = 0;
  let isOver = false;
  const working = (async () => {
    for (; !isOver; await sleep(20)) {
      fetches += 1;
      for (const { number, text } of await fetchAfter(position)) {
        if (number !== position + 1) break;
        position = number;
        seen.push(text);
      }
    }
  })();
  return {
    seen,
    fetches: () => fetches,
    async stop() {
      isOver = true;
      await working;
    },
  };
}

/** Shows whatever is there, and never looks back. */
function startHastyClient() {
  const seen: string[] = [];
  let position = 0;
  let isOver = false;
  const working = (async () => {
    for (; !isOver; await sleep(20)) {
      for (const { number, text } of await fetchAfter(position)) {
        position = number;
        seen.push(text);
      }
    }
  })();
  return {
    seen,
    async stop() {
      isOver = true;
      await working;
    },
  };
}

test('a client goes on over the gap of a takeover, in order, and asks a bounded number of times', async () => {
  const client = startExample('takeover.mjs', [server]);
  const stubborn = startStubbornClient();
  const hasty = startHastyClient();
  for (let number = 1; number <= 10; number += 1) await postSurely(server, `m${number}`, `before ${number}`);
  await until(() => client.lines.includes('10 before 10'), 'the messages before');

  // A process takes a number, and is slow to store its message.
  const slow = openTidemark({ redis: environment.REDIS_URL, mysql: environment.MYSQL_URL });
  const { number } = await slow.next(groupChat('g1'), { messageId: 'slow' });
  expect(number).toBe(11);
  await slow.close();
  await redis.kill();
  await redis.start();
  const after = await postSurely(server, 'a1', 'after 1');
  expect(after.number).toBeGreaterThan(11);
  await postSurely(server, 'a2', 'after 2');
  await until(() => hasty.seen.includes('after 2'), 'the client without patience has gone on');
  await sleep(1_000);
  await db.query('INSERT INTO messages VALUES (?, ?, ?, ?)', ['group:g1', 11, 'slow', 'the slow one']);
  await postSurely(server, 'a3', 'bye');

  await until(() => hasEnded(client), `the client: ${client.lines.join(', ')}`);
  expect([await client.ended, client.stderr()]).toEqual([0, '']);
  await Promise.all([stubborn.stop(), hasty.stop()]);

  const shown = client.lines
    .filter((line) => /^\d/.test(line))
    .map((line) => line.slice(line.indexOf(' ') + 1));
  const before = Array.from({ length: 10 }, (_, index) => `before ${index + 1}`);
  expect(shown).toEqual([...before, 'the slow one', 'after 1', 'after 2', 'bye']);
  expect(client.lines).toContain(`skipped 12-${after.number - 1} uncertain`);

  const fetches = Number(client.lines.at(-1)!.replace('fetches ', ''));
  console.log(`${fetches} fetches; a client that fetches until it is there: ${stubborn.fetches()}`);
  // At most one for each message, and a few while the gap is waited for.
  expect(fetches).toBeLessThanOrEqual(14 + 8);
  expect(stubborn.fetches()).toBeGreaterThan(2 * fetches);
  expect(stubborn.seen).toEqual([...before, 'the slow one']);
  expect(hasty.seen).not.toContain('the slow one');
});
