import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { findPrimaries } from '../../src/counters/redis/find-primaries.js';
import { openKey, receiptKey, wordKey } from '../../src/counters/redis/keys.js';
import { resolveOptions } from '../../src/counters/redis/options.js';
import type {
  RedisCounterStore,
  RedisCounterStoreOptions,
} from '../../src/counters/redis/redis-counter-store.js';
import type * as ScriptsModule from '../../src/counters/redis/scripts.js';
import type { ClusterNode, PrivateCluster } from '../support/cluster.js';
import { startProxy } from '../support/proxy.js';
import { randomised, runs, seed } from '../support/runs.js';
import { freePort, startRedis } from '../support/servers.js';
import { waitUntil } from '../support/wait.js';
import { ClusterStores, startMovableCluster } from './redis-cluster-support.js';
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
let stores: ClusterStores;

beforeAll(async () => {
  cluster = await startMovableCluster();
  stores = new ClusterStores(cluster, 'cluster');
}, 60_000);

afterEach(() => stores?.close());

afterAll(() => cluster?.stop());

function open(options?: RedisCounterStoreOptions): RedisCounterStore {
  return stores.open(options);
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
      const { name, slot } = await stores.place(store);
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
    const { name, slot } = await stores.place(store);
    await install(store, await epochOf(store, slot), name);
    const abort = new AbortController();
    const idle = store.idle(slot, await epochOf(store, slot), 1, abort.signal);
    await expect(idle[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'counter_unsupported',
      message: expect.stringContaining('+object|idletime'),
    });
  });
});

describe('a primary that is lost', () => {
  it('its replica is found, calls to the others go on, and what was under way is lost', async () => {
    const store = open({ url: cluster.url, replyTimeoutMs: 500 });
    const changes = changesOf(store);
    const [lost, kept] = [await stores.place(store), await stores.place(store)];
    while (kept.node === lost.node) Object.assign(kept, await stores.place(store));
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
      const { name, slot } = await stores.place(store);
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
    const { name, slot, node } = await stores.place(witness);
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
    // Of three primaries two do not answer: nobody has more than half.
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
