/** I13: a history that has only got a new name is told as such, and any other change is not. */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Epoch, History } from '../../src/core/counter-store.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { replicate } from '../support/replicate.js';
import { type RedisServer, startRedis } from '../support/servers.js';
import { waitUntil } from '../support/wait.js';
import { epochOf, install, takeNumber } from './redis-support.js';

/** The least that is safe, see `maxProofAgeMs`: 1,500 ms. */
const args = ['--repl-backlog-ttl', '2', '--repl-diskless-sync-delay', '0'];
const conversation = 'group:renamed';

let replica: RedisServer;
let server: RedisServer;
let store: RedisCounterStore;
let epoch: Epoch;

beforeAll(async () => {
  replica = await startRedis({ args });
});

afterAll(() => replica?.stop());

beforeEach(async () => {
  server = await startRedis({ args });
  store = new RedisCounterStore({ url: server.url });
  epoch = await epochOf(store, 0);
  await install(store, epoch, conversation);
});

afterEach(async () => {
  await store?.close();
  await replica.command('REPLICAOF', 'NO', 'ONE');
  await server?.stop();
});

it('the first replica: the same history, by a new name, with all its words', async () => {
  expect(await takeNumber(store, epoch, conversation)).toBe(1);
  await replicate(replica, server);
  expect(await store.take(epoch, [{ conversation, count: 1 }])).toMatchObject({ status: 'stale' });
  const renamed = await store.history(0);
  expect(renamed).toEqual({ id: expect.stringMatching(/^[0-9a-f]{40}$/), renamedFrom: epoch.history });
  expect(renamed.id).not.toBe(epoch.history);
  expect(await store.history(0)).toEqual(renamed);
  const now = { ...epoch, history: renamed.id };
  expect(await takeNumber(store, now, conversation)).toBe(2);
  // Somebody has asked for its generation: it is no longer news.
  expect(await store.history(0)).toEqual({ id: renamed.id });
});

it('the last replica is away for long enough: likewise, and by the first name if nobody used the second', async () => {
  await replicate(replica, server);
  await store.history(0);
  await replica.command('REPLICAOF', 'NO', 'ONE');
  const second = await afterRename(epoch.history);
  expect(second.renamedFrom).toBe(epoch.history);
  const used: Epoch = { ...epoch, history: second.id };
  expect(await takeNumber(store, used, conversation)).toBe(1);
  await replicate(replica, server);
  const third = await store.history(0);
  expect(third).toEqual({ id: third.id, renamedFrom: second.id });
});

it('survives a connection that is lost meanwhile', async () => {
  const changes: string[] = [];
  store.onConnection(({ status }) => changes.push(status));
  await takeNumber(store, epoch, conversation);
  await replicate(replica, server);
  await server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  await waitUntil('the store is connected again', async () => changes.at(-1) === 'up');
  expect(await store.history(0)).toMatchObject({ renamedFrom: epoch.history });
});

it('the proof is too old: another history', async () => {
  await sleep(1_600);
  await replicate(replica, server);
  expect(await store.history(0)).toEqual({ id: expect.not.stringContaining(epoch.history) });
});

it('demoted and promoted again: another history', async () => {
  await takeNumber(store, epoch, conversation);
  await server.command('REPLICAOF', '127.0.0.1', '1');
  await server.command('REPLICAOF', 'NO', 'ONE');
  const history = await store.history(0).catch(() => store.history(0));
  expect(history).toEqual({ id: expect.not.stringContaining(epoch.history) });
  await replicate(replica, server);
  expect(await store.history(0)).not.toHaveProperty('renamedFrom', epoch.history);
});

it('a restart: another history', async () => {
  await server.kill();
  await server.start();
  await waitUntil('the store is connected again', () => store.history(0).then(() => true));
  expect(await store.history(0)).toEqual({ id: expect.not.stringContaining(epoch.history) });
});

/** Asks all the time, as takes do, until the name has changed twice: with the replica, and without it. */
async function afterRename(first: string): Promise<History> {
  const names = new Set([first]);
  let history = await store.history(0);
  await waitUntil('the last replica counts as gone', async () => {
    history = await store.history(0);
    names.add(history.id);
    await sleep(50);
    return names.size === 3;
  });
  return history;
}
