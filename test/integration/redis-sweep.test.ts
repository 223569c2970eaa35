import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { type RedisServer, startRedis } from '../support/servers.js';

const staleWords = 10_000;
const never = new AbortController().signal;

let server: RedisServer;
let store: RedisCounterStore;

beforeAll(async () => {
  server = await startRedis();
});

afterAll(() => server?.stop());

beforeEach(async () => {
  await server.command('FLUSHALL');
  store = new RedisCounterStore({ url: server.url });
});

afterEach(() => store?.close());

/** Keys that a sweep before generation 12 must leave, with something in each. */
const others = [
  'seq:{group:now}:12',
  'seq:{group:later}:13',
  'seq:{group:later}:120',
  'seq:{group:a}:3}:12',
  'seq:{group:a}:notes',
  'seq:{group:a}:07',
  'seq:{group:a}:-3',
  'seq:{group:a}:3:old',
  'seq:{group:a}:',
  'seq:{foo}:3',
  'seq:{}:3',
  'seq:group:a:3',
  'seq2:{group:a}:3',
  'other:seq:{group:a}:3',
  'seqs:{group:a}:3',
];

it('removes the words of earlier generations and nothing else', async () => {
  await fill(staleWords);
  const odd = ['seq:{group:a}:12}:3', 'seq:{group:{x}}:2', 'seq:{private:ä€🎉:b}:11'];
  for (const key of [...others, ...odd]) await server.command('SET', key, '1000000000001');
  await server.command('RPUSH', 'seq:{group:list}:3', 'x');
  await store.history(0);
  const lanes = (await server.command('KEYS', 'seq:lane:*')) as string[];
  expect(lanes).toHaveLength(8);

  expect(await store.sweep(0, () => 12, never)).toBe(staleWords + odd.length);

  const left = (await server.command('KEYS', '*')) as string[];
  expect(left.sort()).toEqual([...others, 'seq:{group:list}:3', ...lanes].sort());
  expect(await store.sweep(0, () => 12, never)).toBe(0);
});

it('leaves Redis its time', async () => {
  await fill(staleWords);
  await store.history(0);
  const before = await cpuSeconds();
  const startedAtMs = performance.now();
  await store.sweep(0, () => 12, never);
  const tookMs = performance.now() - startedAtMs;
  // 10,000 keys in steps of about 500, each followed by 20 ms.
  expect(tookMs).toBeGreaterThan(15 * 20);
  expect(((await cpuSeconds()) - before) / (tookMs / 1_000)).toBeLessThan(0.25);
});

it('ends early when it is told to, and says how far it came', async () => {
  await fill(staleWords);
  const abort = new AbortController();
  const swept = store.sweep(0, () => 12, abort.signal);
  await sleep(100);
  abort.abort();
  const removed = await swept;
  expect(removed).toBeGreaterThan(0);
  expect(removed).toBeLessThan(staleWords);
  expect(await store.sweep(0, () => 12, never)).toBe(staleWords - removed);
});

it('a sweep is cut off by close', async () => {
  await fill(staleWords);
  await store.history(0);
  const swept = store.sweep(0, () => 12, never).catch((error: unknown) => error);
  await sleep(50);
  await store.close();
  expect(await swept).toMatchObject({ code: 'closed' });
});

/** Words of generations 1 to 11. */
async function fill(count: number): Promise<void> {
  const lua = `for i = 1, ${count} do redis.call('SET', 'seq:{group:stale' .. i .. '}:' .. (i % 11 + 1), '5000000000007') end`;
  await server.command('EVAL', lua, '0');
}

async function cpuSeconds(): Promise<number> {
  const info = String(await server.command('INFO', 'cpu'));
  const field = (name: string) => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]);
  return field('used_cpu_user') + field('used_cpu_sys');
}
