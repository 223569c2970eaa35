import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { findPrimaries } from '../../src/counters/redis/find-primaries.js';
import { resolveOptions } from '../../src/counters/redis/options.js';
import {
  RedisCounterStore,
  type RedisCounterStoreOptions,
} from '../../src/counters/redis/redis-counter-store.js';
import { type PrivateSentinels, startSentinels } from '../support/sentinels.js';
import { freePort } from '../support/servers.js';
import { waitUntil } from '../support/wait.js';
import { changesOf, epochOf, install, onceReachable, take, takeNumber } from './redis-support.js';

let watched: PrivateSentinels;
const stores: RedisCounterStore[] = [];

beforeAll(async () => {
  watched = await startSentinels();
}, 60_000);

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
});

afterAll(() => watched?.stop());

function open(options: RedisCounterStoreOptions): RedisCounterStore {
  const store = new RedisCounterStore(options);
  stores.push(store);
  return store;
}

function nodes(of = watched.sentinels): { host: string; port: number }[] {
  return of.map(({ port }) => ({ host: '127.0.0.1', port }));
}

describe('finding the primary', () => {
  it('by URL, by options, and by one sentinel that is there', async () => {
    const primary = await watched.primary();
    const id = /master_replid:(\w+)/.exec(String(await primary.command('INFO', 'replication')))?.[1];
    expect(await open({ url: watched.url }).history(0)).toEqual({ id });
    const dead = { host: '127.0.0.1', port: await freePort() };
    const one = { name: 'mymaster', nodes: [dead, ...nodes().slice(0, 1)] };
    expect(await open({ sentinel: one }).history(0)).toEqual({ id });
    const [found] = await findPrimaries(resolveOptions({ sentinel: one }));
    expect(found!.endpoint).toBe(primary.url);
    const mapped = {
      name: 'mymaster',
      nodes: nodes(),
      addressMap: (address: { host: string; port: number }) => ({ ...address, host: 'localhost' }),
    };
    expect(await open({ sentinel: mapped }).history(0)).toEqual({ id });
  });

  it('says what is wrong when nobody names it', async () => {
    const port = await freePort();
    const away = open({ sentinel: { name: 'mymaster', nodes: [{ host: '127.0.0.1', port }] } });
    await expect(away.history(0)).rejects.toMatchObject({
      code: 'counter_unavailable',
      message: expect.stringContaining(`redis+sentinel://127.0.0.1:${port}/mymaster`),
    });
    await expect(open({ sentinel: { name: 'other', nodes: nodes() } }).history(0)).rejects.toMatchObject({
      code: 'counter_unavailable',
      message: expect.stringContaining('no sentinel knows a primary by the name of other'),
    });
    const sentinel = watched.sentinels[0]!;
    await expect(open({ url: sentinel.url }).history(0)).rejects.toMatchObject({
      code: 'counter_unsupported',
      message: expect.stringContaining('give redis+sentinel://'),
    });
  });

  it('another database', async () => {
    const store = open({ url: `${watched.url}?db=3` });
    await install(store, await epochOf(store, 0), 'group:db3');
    expect(String(await (await watched.primary()).command('INFO', 'keyspace'))).toContain('db3:keys=');
  });
});

describe('a primary that is lost', () => {
  it('its successor is found, has another history, and takes go on', async () => {
    const store = open({ url: watched.url, replyTimeoutMs: 500 });
    const changes = changesOf(store);
    const epoch = await epochOf(store, 0);
    await install(store, epoch, 'group:failover');
    expect(await takeNumber(store, epoch, 'group:failover')).toBe(1);
    await watched.failOver();
    const reply = await onceReachable('the new primary', () => take(store, epoch, 'group:failover'));
    expect(reply.status).toBe('stale');
    const after = await epochOf(store, 0, 2);
    expect(after.history).not.toBe(epoch.history);
    expect(await take(store, after, 'group:failover')).toMatchObject({ results: [{ status: 'missing' }] });
    expect(changes.slice(0, 3)).toEqual(['up', 'down', 'up']);
  }, 40_000);

  it('one that is only hidden from the sentinels is left for its successor', async () => {
    const store = open({ url: watched.url });
    const changes = changesOf(store);
    const epoch = await epochOf(store, 0);
    await install(store, epoch, 'group:isolated');
    const old = await watched.primary();
    const promoted = await watched.isolate();
    expect(promoted).not.toBe(old);
    await waitUntil('the store has left the old primary', async () => changes.includes('down'));
    const reply = await onceReachable('the new primary', () => take(store, epoch, 'group:isolated'));
    expect(reply.status).toBe('stale');
    await watched.reconnect(old);
    expect(changes).toEqual(['up', 'down', 'up']);
  }, 40_000);
});

it('sentinels die and come back: as long as one answers, nothing is noticed', async () => {
  const store = open({ url: watched.url });
  const changes = changesOf(store);
  const epoch = await epochOf(store, 0);
  await install(store, epoch, 'group:sentinels');
  const [first, second] = watched.sentinels;
  await first!.kill();
  await second!.kill();
  try {
    expect(await takeNumber(store, epoch, 'group:sentinels')).toBe(1);
    // A new connection is made with the help of the one that is left.
    const roles = await Promise.all(watched.servers.map((server) => server.command('ROLE')));
    const primary = watched.servers[roles.findIndex((role) => String(role).startsWith('master'))]!;
    await primary.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    await waitUntil('the store is connected again', async () => changes.length === 3);
    expect(await takeNumber(store, epoch, 'group:sentinels')).toBe(2);
  } finally {
    await first!.start();
    await second!.start();
  }
});
