import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { openTidemark } from '../../src/open.js';
import { type MariaDbServer, type RedisServer, startMariaDb, startRedis } from '../support/servers.js';

const keys = 1_500;
let redis: RedisServer;
let maria: MariaDbServer;

beforeAll(async () => {
  // A millisecond for each key, and answers in between.
  const slowly = ['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024'];
  [redis, maria] = await Promise.all([startRedis({ args: slowly }), startMariaDb()]);
});
afterAll(() => Promise.all([redis.stop(), maria.stop()]));

it('a server that is loading its data is waited for, and said to be', async () => {
  const sequences = openTidemark({ redis: redis.url, mysql: maria.url });
  const g1 = groupChat('g1');
  expect(await sequences.next(g1)).toBe(1);
  await redis.command(
    'MSET',
    ...Array.from({ length: keys }, (_, n) => [`other:${n}`, 'x'.repeat(100)]).flat(),
  );
  await redis.command('SAVE');
  await redis.kill();
  await redis.start();
  expect(String(await redis.command('INFO', 'persistence'))).toContain('loading:1');
  const looking = new RedisCounterStore({ url: redis.url });
  await expect(looking.history(0)).rejects.toMatchObject({
    code: 'counter_unavailable',
    message: expect.stringContaining('LOADING'),
  });
  await expect(sequences.next(g1, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'counter_unavailable' });
  const waiting = sequences.next(g1, { timeoutMs: 20_000 });
  await sleep(100);
  expect(String(await redis.command('INFO', 'persistence'))).toContain('loading:1');
  // The word is back from disk, but another history may have lost what came after it: its block is left behind.
  expect(await waiting).toBe(65);
  await Promise.all([sequences.close(), looking.close()]);
}, 60_000);
