import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { findPrimaries } from '../../src/counters/redis/find-primaries.js';
import { openKey, receiptKey, wordKey } from '../../src/counters/redis/keys.js';
import { resolveOptions } from '../../src/counters/redis/options.js';
import {
  RedisCounterStore,
  type RedisCounterStoreOptions,
} from '../../src/counters/redis/redis-counter-store.js';
import type * as ScriptsModule from '../../src/counters/redis/scripts.js';
import { type ClusterNode, type PrivateCluster, startCluster } from '../support/cluster.js';
import { startProxy } from '../support/proxy.js';
import { randomised, runs, seed } from '../support/runs.js';
import { freePort, startRedis } from '../support/servers.js';
import { waitUntil } from '../support/wait.js';
import { changesOf, epochOf, install, onceReachable, take, takeNumber } from './redis-support.js';

/** Scripts as they are, or without the line that compares the history. */
const mutation = vi.hoisted(() => ({ withoutHistory: false }));
vi.mock('../../src/counters/redis/scripts.js', async (importOriginal) => {
  const real = await importOriginal<typeof ScriptsModule>();
  return {
    ...real,
    loadScripts: async () => {
      const scripts = await real.loadScripts();
      if (!mutation.withoutHistory) return scripts;
      const mutated = Object.entries(scripts).map(([name, script]) => {
        const text = script.text.replace("if history ~= ARGV[1] then return {'STALE', history} end", '');
        return [name, { text, sha: createHash('sha1').update(text).digest('hex') }];
      });
      return Object.fromEntries(mutated) as typeof scripts;
    },
  };
});

let cluster: PrivateCluster;
const stores: RedisCounterStore[] = [];
let names = 0;

beforeAll(async () => {
  // A primary that loses its last slot stays a primary, so that its slot can be moved back and forth.
  const args = ['--cluster-allow-replica-migration', 'no'];
  cluster = await startCluster({ primaries: 3, replicasPerPrimary: 1, nodeTimeoutMs: 1_000, args });
}, 60_000);

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
});

afterAll(() => cluster?.stop());

function open(options: RedisCounterStoreOptions = { url: cluster.url }): RedisCounterStore {
  const store = new RedisCounterStore(options);
  stores.push(store);
  return store;
}

/** A conversation of its own, and where it is. */
async function place(store: RedisCounterStore): Promise<{ name: string; slot: number; node: ClusterNode }> {
  names += 1;
  const name = `group:cluster-${seed}-${names}`;
  const slot = store.slotOf(name);
  return { name, slot, node: await cluster.primaryOf(slot) };
}

async function otherPrimary(than: ClusterNode): Promise<ClusterNode> {
  for (const slot of [0, 6_000, 16_000]) {
    const node = await cluster.primaryOf(slot);
    if (node !== than) return node;
  }
  throw new Error('there is only one primary');
}

describe('slots', () => {
  it('all keys of a conversation are in the slot that the store says, as Redis computes it', async () => {
    console.log(`redis-cluster: seed ${seed}`);
    const store = open();
    const id = fc.oneof(fc.string({ minLength: 1 }), fc.string({ minLength: 1, unit: 'grapheme' }));
    const brace = fc.constantFrom('', '{', '}', '{}', '}{', '}:1');
    const conversation = fc.tuple(brace, id, brace, id).map((parts) => `group:${parts.join('')}`);
    const node = cluster.nodes[0]!;
    const numRuns = Math.min(runs, 200);
    await fc.assert(
      fc.asyncProperty(
        conversation.filter((name) => name.isWellFormed()),
        async (name) => {
          const keys = [wordKey('seq', name, 7), receiptKey('seq', name, 'm}1'), openKey('seq', name)];
          const slots = await node.commands(keys.map((key) => ['CLUSTER', 'KEYSLOT', key]));
          expect(slots).toEqual(keys.map(() => store.slotOf(name)));
        },
      ),
      { ...randomised, numRuns },
    );
  });

  it('conversations all over the cluster are served, each by its primary', async () => {
    const store = open();
    const changes = changesOf(store);
    const histories = new Set<string>();
    for (let index = 0; index < 60; index += 1) {
      const { name, slot } = await place(store);
      const epoch = await epochOf(store, slot);
      histories.add(epoch.history);
      await install(store, epoch, name);
      expect(await takeNumber(store, epoch, name)).toBe(1);
    }
    expect(histories.size).toBe(3);
    expect(changes).toEqual(['up', 'up', 'up']);
    await store.close();
    for (const node of cluster.nodes) expect(await node.command('KEYS', 'seq:lane:*')).toEqual([]);
  });
});

describe('what is given', () => {
  it('one node that is there is enough', async () => {
    const nodes = [await freePort(), cluster.nodes[1]!.port].map((port) => ({ host: '127.0.0.1', port }));
    expect((await open({ cluster: { nodes } }).history(0)).id).toMatch(/^[0-9a-f]{40}$/);
    const primaries = await Promise.all([0, 6_000, 16_000].map((slot) => cluster.primaryOf(slot)));
    const found = await findPrimaries(resolveOptions({ cluster: { nodes } }));
    expect(found.map(({ endpoint }) => endpoint).sort()).toEqual(primaries.map(({ url }) => url).sort());
    expect((await open({ url: `redis+cluster://127.0.0.1:${nodes[1]!.port}` }).history(0)).id).toBeDefined();
  });

  it('says what is wrong with it', async () => {
    const node = open({ url: cluster.nodes[0]!.url });
    await expect(node.history(0)).rejects.toMatchObject({
      code: 'counter_unsupported',
      message: expect.stringContaining('it is a cluster node; give redis+cluster://'),
    });
    const port = await freePort();
    const nobody = open({ url: `redis+cluster://user:secret@127.0.0.1:${port}` });
    const refused = {
      code: 'counter_unavailable',
      message: expect.stringMatching(/^(?!.*secret).*ECONNREFUSED/),
    };
    await expect(nobody.history(0)).rejects.toMatchObject(refused);
    await expect(nobody.history(9)).rejects.toMatchObject(refused);
    const single = await startRedis();
    try {
      await expect(
        open({ url: `redis+cluster://127.0.0.1:${single.port}` }).history(0),
      ).rejects.toMatchObject({
        code: 'counter_unsupported',
        message: expect.stringContaining('belongs to no cluster'),
      });
    } finally {
      await single.stop();
    }
  });

  it('a user with few rights needs one more, and is told which', async () => {
    const rights = '+evalsha +script|load +info +time +get +set +incrby +unlink +scan +zadd +zrange +zrem';
    const rule = ['reset', 'on', '>pw', '~seq:*', ...rights.split(' '), '+zremrangebyscore'];
    for (const node of cluster.nodes) await node.command('ACL', 'SETUSER', 'few', ...rule);
    const url = cluster.url.replace('://', '://few:pw@');
    await expect(open({ url }).history(0)).rejects.toMatchObject({
      code: 'counter_unsupported',
      message: expect.stringContaining('+cluster|slots'),
    });
    for (const node of cluster.nodes) await node.command('ACL', 'SETUSER', 'few', '+cluster|slots');
    const store = open({ url });
    const { name, slot } = await place(store);
    await install(store, await epochOf(store, slot), name);
    const abort = new AbortController();
    const idle = store.idle(slot, await epochOf(store, slot), 1, abort.signal);
    await expect(idle[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'counter_unsupported',
      message: expect.stringContaining('+object|idletime'),
    });
  });
});

describe('slots that move', () => {
  it('what ran at the old primary is stale, and the new one is asked from then on', async () => {
    const store = open();
    const { name, slot, node } = await place(store);
    const epoch = await epochOf(store, slot);
    await install(store, epoch, name);
    await takeNumber(store, epoch, name);
    const to = await otherPrimary(node);
    await cluster.moveSlots({ first: slot, last: slot }, node, to);
    expect((await take(store, epoch, name)).status).toBe('stale');
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
    expect((await take(store, after, name)).status).toBe('stale');
    expect(await takeNumber(store, await epochOf(store, slot), name)).toBe(2);
  });

  it('I6: a slot that comes back is not used as it was before others took numbers there', async () => {
    const store = open();
    const { name, slot, node } = await place(store);
    const epoch = await epochOf(store, slot);
    await install(store, epoch, name);
    expect(await takeNumber(store, epoch, name)).toBe(1);
    const to = await otherPrimary(node);
    await cluster.moveSlots({ first: slot, last: slot }, node, to);
    expect((await take(store, epoch, name)).status).toBe('stale');
    const after = await epochOf(store, slot, 2);
    await install(store, after, name);
    expect(await takeNumber(store, after, name)).toBe(1);
    await cluster.moveSlots({ first: slot, last: slot }, to, node);
    expect((await take(store, after, name)).status).toBe('stale');
    // Its word is back, and would give 2.
    expect(await take(store, epoch, name)).toEqual({ status: 'fenced', newerGeneration: 2 });
    expect(await store.read(epoch, [name])).toMatchObject({ results: [{ word: { last: 1 } }] });
    // Above the fence it goes on.
    const above = await epochOf(store, slot, 3);
    await install(store, above, name);
    expect(await takeNumber(store, above, name)).toBe(1);
  });

  it('while a slot moves, what is not there any more is unavailable and no redirect is followed', async () => {
    const store = open();
    const { name, slot, node } = await place(store);
    const epoch = await epochOf(store, slot);
    await install(store, epoch, name);
    const to = await otherPrimary(node);
    await to.command('CLUSTER', 'SETSLOT', String(slot), 'IMPORTING', node.id);
    await node.command('CLUSTER', 'SETSLOT', String(slot), 'MIGRATING', to.id);
    const asked = [
      // The word is there and the lane is not.
      take(store, epoch, name),
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
    expect((await take(store, epoch, name)).status).toBe('stale');
    const after = await epochOf(store, slot, 2);
    await install(store, after, name);
    expect(await takeNumber(store, after, name)).toBe(1);
  });

  it('a primary that is left without slots is left, and one that gets some is found', async () => {
    const added = await cluster.addNode();
    const store = open();
    const { name, slot, node } = await place(store);
    const epoch = await epochOf(store, slot);
    await install(store, epoch, name);
    await cluster.moveSlots({ first: slot, last: slot }, node, added);
    expect((await take(store, epoch, name)).status).toBe('stale');
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

describe('a primary that is lost', () => {
  it('its replica is found, calls to the others go on, and what was under way is lost', async () => {
    const store = open({ url: cluster.url, replyTimeoutMs: 500 });
    const changes = changesOf(store);
    const [lost, kept] = [await place(store), await place(store)];
    while (kept.node === lost.node) Object.assign(kept, await place(store));
    const [epoch, keptEpoch] = [await epochOf(store, lost.slot), await epochOf(store, kept.slot)];
    await install(store, epoch, lost.name);
    await install(store, keptEpoch, kept.name);
    await takeNumber(store, epoch, lost.name);
    lost.node.pause();
    const underWay = take(store, epoch, lost.name);
    expect(await takeNumber(store, keptEpoch, kept.name)).toBe(1);
    await cluster.promotion(lost.node);
    expect(await underWay).toMatchObject({ status: 'lost' });
    expect(await onceReachable('the new primary', () => take(store, epoch, lost.name))).toMatchObject({
      status: 'stale',
    });
    expect((await epochOf(store, lost.slot)).history).not.toBe(epoch.history);
    expect(await takeNumber(store, keptEpoch, kept.name)).toBe(2);
    expect(changes).not.toContain('down');
    lost.node.resume();
    await waitUntil('the old primary is a replica', async () =>
      String(await lost.node.command('INFO', 'replication')).includes('master_link_status:up'),
    );
  }, 30_000);

  it('all are lost: down once, and up again when they are back', async () => {
    const proxies = new Map<number, Awaited<ReturnType<typeof startProxy>>>();
    for (const { port } of cluster.nodes) proxies.set(port, await startProxy(port));
    const addressMap = ({ host, port }: { host: string; port: number }) => {
      return { host, port: proxies.get(port)!.port };
    };
    const nodes = [...proxies.values()].map(({ port }) => ({ host: '127.0.0.1', port }));
    const store = open({ cluster: { nodes, addressMap } });
    const changes = changesOf(store);
    try {
      const { name, slot } = await place(store);
      const epoch = await epochOf(store, slot);
      await install(store, epoch, name);
      const targets = [...proxies.values()].map((proxy) => [proxy, proxy.targetPort] as const);
      const nowhere = await freePort();
      for (const [proxy] of targets) proxy.targetPort = nowhere;
      for (const [proxy] of targets) proxy.cutAll();
      await waitUntil('the store is down', async () => changes.at(-1) === 'down');
      await expect(take(store, epoch, name)).rejects.toMatchObject({ code: 'counter_unavailable' });
      for (const [proxy, port] of targets) proxy.targetPort = port;
      await waitUntil('the store is up', async () => changes.at(-1) === 'up');
      expect(changes.filter((change) => change === 'down')).toHaveLength(1);
      expect(await onceReachable('the slot', () => takeNumber(store, epoch, name))).toBe(1);
      // A reply that is lost on the way is recalled.
      const dropped = [...proxies.values()].map((proxy) => proxy.cutAfterNextReplyDropped());
      const recalled = takeNumber(store, epoch, name);
      await Promise.race(dropped);
      for (const proxy of proxies.values()) proxy.cutAll();
      expect(await recalled).toBe(2);
    } finally {
      await store.close();
      await Promise.all([...proxies.values()].map((proxy) => proxy.stop()));
    }
  }, 30_000);
});

// The last ones: they leave a split cluster behind.
describe('a primary that was cut off from the others', () => {
  let isolated: ClusterNode;

  it('I4: a redirect lets nothing run against words of another history', async () => {
    const witness = open();
    const { name, slot, node } = await place(witness);
    const epoch = await epochOf(witness, slot);
    await install(witness, epoch, name);
    const issued = [await takeNumber(witness, epoch, name)];
    await waitUntil('the replica has the word', async () => {
      const [replica] = await cluster.replicasOf(node);
      return String(await replica!.command('INFO', 'replication')).includes('master_link_status:up');
    });
    await cluster.isolate(node);
    isolated = node;
    // The old primary still serves whoever is connected to it.
    issued.push(await takeNumber(witness, epoch, name));
    const others = cluster.nodes.filter((other) => other !== node);
    const nodes = others.map(({ port }) => ({ host: '127.0.0.1', port }));
    const redirected = open({ cluster: { nodes } });
    expect((await take(redirected, epoch, name)).status).toBe('stale');

    // Without the line that compares the history, the promoted replica gives the same number once more.
    mutation.withoutHistory = true;
    try {
      const again = await takeNumber(open({ cluster: { nodes } }), epoch, name);
      expect(issued).toContain(again);
    } finally {
      mutation.withoutHistory = false;
    }
  });

  it('is not confirmed, and its successor is', async () => {
    const others = cluster.nodes.filter((node) => node !== isolated);
    const store = open({ cluster: { nodes: others.map(({ port }) => ({ host: '127.0.0.1', port })) } });
    const info = String(await isolated.command('INFO', 'replication'));
    const old = /master_replid:(\w+)/.exec(info)![1]!;
    const slots = (await isolated.command('CLUSTER', 'SLOTS')) as [number, number][];
    const slot = slots[0]![0];
    const { id } = await store.history(slot);
    expect(id).not.toBe(old);
    expect(await store.confirms!(slot, old)).toBe(false);
    expect(await store.confirms!(slot, id)).toBe(true);
    // Of four primaries (one was added) two do not answer: nobody has more than half.
    const away = await Promise.all([0, 6_000, 16_000].map((at) => cluster.primaryOf(at)));
    const silent = new Set(away.filter((node) => node !== isolated).slice(0, 2));
    for (const node of silent) node.pause();
    try {
      // Answers of the last tenth of a second are used again.
      await sleep(150);
      const promoted = await store.confirms!(slot, id);
      expect(promoted).toBe(false);
    } finally {
      for (const node of silent) node.resume();
    }
  });
});
