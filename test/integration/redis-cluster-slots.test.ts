/** Conversations of many slots in one take, and slots that move. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Claim, Claims } from '../../src/core/counter-store.js';
import { openKey, receiptKey, wordKey } from '../../src/counters/redis/keys.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { redisExecutables } from '../support/redis-executables.js';
import { waitUntil } from '../support/wait.js';
import { ClusterStores, otherPrimary, startMovableCluster } from './redis-cluster-support.js';
import { epochOf, install, onceReachable, take, takeNumber } from './redis-support.js';

let cluster: PrivateCluster;
let stores: ClusterStores;

beforeAll(async () => {
  cluster = await startMovableCluster();
  stores = new ClusterStores(cluster, 'slots');
}, 60_000);

afterEach(() => stores?.close());

afterAll(() => cluster?.stop());

/** What a take says of a conversation whose slot is elsewhere. */
const movedReply = { status: 'done', results: [{ status: 'moved' }] };

for (const { name, executable } of redisExecutables()) {
  it(`${name}: a take for conversations of many slots puts each key where the server looks for it`, async () => {
    const single = await startCluster({ executable, primaries: 1, replicasPerPrimary: 0 });
    const store = new RedisCounterStore({ url: single.url });
    try {
      const [node] = single.nodes;
      const names = Array.from({ length: 200 }, (_, index) => `group:many-slots-${index}`);
      const epoch = await epochOf(store, 0);
      for (const conversation of names) await install(store, epoch, conversation);
      const call = { offset: 0, count: 1, messageId: 'm', tracked: false };
      const claims = { receiptTtlMs: 60_000, leaseMs: 60_000, calls: [call] };
      const reply = await store.take(
        epoch,
        names.map((conversation) => ({ conversation, count: 1, claims })),
      );
      expect(reply).toMatchObject({ results: names.map(() => ({ status: 'taken', word: { last: 1 } })) });
      for (const conversation of names) {
        const keys = [wordKey('seq', conversation, 1), receiptKey('seq', conversation, 'm')];
        expect(await node!.command('GET', keys[0]!)).toBe(String(999 * 1e12 + 1));
        expect(await node!.command('GET', keys[1]!)).toBe('1');
        const slot = String(store.slotOf(conversation));
        expect(await node!.command('CLUSTER', 'GETKEYSINSLOT', slot, '9')).toEqual(
          expect.arrayContaining(keys),
        );
      }
    } finally {
      await store.close();
      await single.stop();
    }
  });
}

describe('slots that move', () => {
  it('what ran at the old primary is stale, and the new one is asked from then on', async () => {
    const store = stores.open();
    const { name, slot, node } = await stores.place(store);
    const epoch = await epochOf(store, slot);
    await install(store, epoch, name);
    await takeNumber(store, epoch, name);
    const to = await otherPrimary(cluster, node);
    await cluster.moveSlots({ first: slot, last: slot }, node, to);
    expect(await take(store, epoch, name)).toMatchObject(movedReply);
    const after = await epochOf(store, slot, 2);
    expect(after.history).not.toBe(epoch.history);
    expect(await take(store, after, name)).toMatchObject({ results: [{ status: 'missing' }] });
    // The word has moved, too, but belongs to the history of the old primary: whoever believes in that is stale here.
    for (const reply of [
      await take(store, epoch, name),
      await store.read(epoch, [name]),
      await store.drain(epoch, [{ conversation: name, word: { last: 1, remaining: 999 } }]),
    ])
      expect(reply).toEqual({ status: 'stale', history: after.history });
    expect(await to.command('GET', wordKey('seq', name, 1))).toBe(String(999 * 1e12 + 1));
    await cluster.moveSlots({ first: slot, last: slot }, to, node);
    expect(await take(store, after, name)).toMatchObject(movedReply);
    expect(await takeNumber(store, await epochOf(store, slot), name)).toBe(2);
  });

  it('I6: a slot that comes back is not used as it was before others took numbers there', async () => {
    const store = stores.open();
    const { name, slot, node } = await stores.place(store);
    const untouched = `${name}}x`;
    const epoch = await epochOf(store, slot);
    await install(store, epoch, name);
    await install(store, epoch, untouched);
    expect(await takeNumber(store, epoch, name)).toBe(1);
    const to = await otherPrimary(cluster, node);
    await cluster.moveSlots({ first: slot, last: slot }, node, to);
    expect(await take(store, epoch, name)).toMatchObject(movedReply);
    const after = await epochOf(store, slot, 2);
    await install(store, after, name);
    expect(await takeNumber(store, after, name)).toBe(1);
    await cluster.moveSlots({ first: slot, last: slot }, to, node);
    expect(await take(store, after, name)).toMatchObject(movedReply);
    // Its word would give 2, and did not come back.
    expect(await take(store, epoch, name)).toMatchObject({ results: [{ status: 'missing' }] });
    const block = { start: 0, end: 9 };
    const late = { conversation: name, block, mode: 'install' as const, expiresAtStoreTimeMs: 1e15 };
    expect(await store.grant(epoch, [late])).toEqual({ status: 'fenced', newerGeneration: 2 });
    // Nobody has taken from the other one: it goes on, with what is left of its block.
    expect(await takeNumber(store, epoch, untouched)).toBe(1);
    expect(await store.grant(epoch, [{ ...late, conversation: untouched }])).toMatchObject({
      status: 'fenced',
    });
    // Above the fence it goes on.
    const above = await epochOf(store, slot, 3);
    await install(store, above, name);
    expect(await takeNumber(store, above, name)).toBe(1);
  });

  it('one of many slots moves: its conversations are told so, and the others have their numbers', async () => {
    const store = stores.open();
    const names = await stores.namesAt(store, 0, 20);
    const node = await cluster.primaryOf(0);
    const epoch = await epochOf(store, 0);
    for (const name of names) await install(store, epoch, name);
    const requests = names.map((conversation) => ({ conversation, count: 1 }));
    const statuses = async () => {
      const reply = await store.take(epoch, requests);
      return reply.status === 'done' ? reply.results.map(({ status }) => status) : reply.status;
    };
    const scriptCalls = async () => {
      const stats = String(await node.command('INFO', 'commandstats'));
      return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)![1]);
    };
    const before = await scriptCalls();
    expect(await statuses()).toEqual(names.map(() => 'taken'));
    expect((await scriptCalls()) - before).toBe(1);
    // The first one's slot has the lane.
    for (const moved of [0, 7]) {
      const slot = store.slotOf(names[moved]!);
      const to = await otherPrimary(cluster, node);
      const isMoved = (index: number) => index === moved;
      await cluster.moveSlots({ first: slot, last: slot }, node, to);
      const expected = names.map((_, index) => (isMoved(index) ? 'moved' : 'taken'));
      // Once, because the primary says so; and from then on, because the map of the cluster does.
      expect(await statuses()).toEqual(expected);
      expect(await statuses()).toEqual(expected);
      await cluster.moveSlots({ first: slot, last: slot }, to, node);
      await waitUntil('all are served', async () => {
        // Whoever asks where the map says finds out where it is now.
        const there = await onceReachable('where it was', () => epochOf(store, slot));
        await take(store, there, names[moved]!);
        return (await statuses())[moved] === 'taken';
      });
    }
  });

  it('while a slot moves, a word that is still there stays as it is when its claims are not', async () => {
    const store = stores.open();
    const { name, slot, node } = await stores.place(store);
    const other = (await stores.namesAt(store, slot, 1))[0]!;
    const epoch = await epochOf(store, slot);
    for (const conversation of [name, other]) {
      await install(store, epoch, conversation);
      await store.track(epoch, [{ conversation, completeUpTo: 0 }], 60_000);
    }
    const to = await otherPrimary(cluster, node);
    await to.command('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', node.id);
    await node.command('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', to.id);
    const claimed = (...calls: Omit<Claim, 'offset'>[]): Claims => ({
      receiptTtlMs: 60_000,
      leaseMs: 60_000,
      calls: calls.map((call, offset) => ({ ...call, offset })),
    });
    const fresh = { count: 1, messageId: 'm', tracked: false };
    for (const claims of [
      claimed(fresh),
      claimed(fresh, { ...fresh, messageId: 'n' }),
      claimed({ ...fresh, tracked: true }),
    ]) {
      const count = claims.calls.length;
      const reply = await store.take(epoch, [
        { conversation: other, count: 1 },
        { conversation: name, count, claims },
      ]);
      expect(reply).toMatchObject({ results: [{ status: 'taken' }, { status: 'moved' }] });
    }
    // What needs nothing else is served to the end.
    expect(await takeNumber(store, epoch, name)).toBe(1);
    // What is tracked goes with the set of open takes.
    await node.command('DEL', openKey('seq', name));
    const tracked = claimed({ count: 1, messageId: undefined, tracked: true });
    expect(await store.take(epoch, [{ conversation: name, count: 1, claims: tracked }])).toMatchObject(
      movedReply,
    );
    expect(await store.read(epoch, [name])).toMatchObject({ results: [{ word: { last: 1 } }] });
    await cluster.moveSlots({ first: slot, last: slot }, node, to);
  });

  it('while a slot moves, what is not there any more is unavailable and no redirect is followed', async () => {
    const store = stores.open();
    const { name, slot, node } = await stores.place(store);
    const epoch = await epochOf(store, slot);
    await install(store, epoch, name);
    const to = await otherPrimary(cluster, node);
    await to.command('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', node.id);
    await node.command('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', to.id);
    // The word is there and the lane is not.
    expect(await take(store, epoch, name)).toMatchObject(movedReply);
    const asked = [
      // Nothing is there.
      store.read(epoch, [`${name}}x`]),
      store.read(epoch, [name, `${name}}x`]),
    ];
    for (const call of asked) {
      await expect(call).rejects.toMatchObject({
        code: 'counter_unavailable',
        message: expect.stringMatching(/"(ASK|TRYAGAIN) .*it answers again once that is done/),
      });
    }
    expect(await store.read(epoch, [name])).toMatchObject({ results: [{ word: { last: 0 } }] });
    await cluster.moveSlots({ first: slot, last: slot }, node, to);
    expect(await take(store, epoch, name)).toMatchObject(movedReply);
    const after = await epochOf(store, slot, 2);
    await install(store, after, name);
    expect(await takeNumber(store, after, name)).toBe(1);
  });

  it('a primary that is left without slots is left, and one that gets some is found', async () => {
    const added = await cluster.addNode();
    const store = stores.open();
    const { name, slot, node } = await stores.place(store);
    const epoch = await epochOf(store, slot);
    await install(store, epoch, name);
    await cluster.moveSlots({ first: slot, last: slot }, node, added);
    expect(await take(store, epoch, name)).toMatchObject(movedReply);
    await epochOf(store, slot);
    await cluster.moveSlots({ first: slot, last: slot }, added, node);
    expect((await take(store, epoch, name)).status).toBe('stale');
    expect(await takeNumber(store, epoch, name)).toBe(1);
    await waitUntil('the store has left the node without slots', async () => {
      const list = String(await added.command('CLIENT', 'LIST', 'TYPE', 'normal'));
      // Others are this connection, and one that the other node keeps for a while after it has moved the slot.
      return list.split('\n').every((client) => !/cmd=(evalsha|info|time|cluster)/.test(client));
    });
  });
});
