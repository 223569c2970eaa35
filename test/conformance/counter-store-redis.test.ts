import { openKey, receiptKey } from '../../src/counters/redis/keys.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { startCluster } from '../support/cluster.js';
import { redisExecutables } from '../support/redis-executables.js';
import { type RedisServer, startRedis } from '../support/servers.js';
import { run } from './counter-store.suite.js';
import type { CounterStoreFixture } from './counter-store.suite.run.js';

/** How tests reach into a server, and what the store has to do with it. */
function fixtureOf(
  server: RedisServer,
  store: RedisCounterStore,
): Omit<CounterStoreFixture, 'lose' | 'stop'> {
  const key = (conversation: string, generation: number) => `seq:{${conversation}}:${generation}`;
  return {
    store,
    nowMs: async () => {
      const [seconds, micros] = (await server.command('TIME')) as [string, string];
      return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
    },
    write: async (conversation, generation, text) => {
      await server.command('SET', key(conversation, generation), text);
    },
    writeList: async (conversation, generation) => {
      await server.command('RPUSH', key(conversation, generation), 'x');
    },
    writeReceipt: async (conversation, messageId, text) => {
      const of = receiptKey('seq', conversation, messageId);
      await (text === undefined ? server.command('RPUSH', of, 'x') : server.command('SET', of, text));
    },
    writeOpen: async (conversation, text) => {
      await server.command('SET', openKey('seq', conversation), text);
    },
    kindOf: async (conversation, what) => {
      const of =
        what === 'open' ? openKey('seq', conversation) : receiptKey('seq', conversation, what.messageId);
      const kind = String(await server.command('TYPE', of));
      return kind === 'string' ? String(await server.command('GET', of)) : kind;
    },
  };
}

for (const { name, executable } of redisExecutables()) {
  run({
    name,
    create: async () => {
      const server = await startRedis({ executable });
      const store = new RedisCounterStore({ url: server.url });
      return {
        ...fixtureOf(server, store),
        lose: async () => {
          const reached = new Promise<void>((resolve) => {
            store.onConnection(({ status }) => status === 'up' && resolve());
          });
          await server.kill();
          await server.start();
          await reached;
        },
        stop: async () => {
          await store.close();
          await server.stop();
        },
      };
    },
  });
}

run({
  name: 'Redis cluster',
  create: async () => {
    const cluster = await startCluster({ primaries: 3, replicasPerPrimary: 0, nodeTimeoutMs: 5_000 });
    const store = new RedisCounterStore({ url: cluster.url });
    // What is before the first brace decides on the slot: it is on the first node, as is slot 0.
    let tag = 0;
    while (store.slotOf(`group:suite${tag}`) > 5_000) tag += 1;
    const [server] = cluster.nodes;
    return {
      ...fixtureOf(server!, store),
      namePrefix: `group:suite${tag}}-`,
      forgetGenerations: async () => {
        const keys = (await server!.command('KEYS', 'seq:slot:*')) as string[];
        for (const key of keys) await server!.command('DEL', key);
      },
      lose: async () => {
        const reached = new Promise<void>((resolve) => {
          store.onConnection(({ status }) => status === 'up' && resolve());
        });
        await server!.kill();
        await server!.start();
        await reached;
      },
      stop: async () => {
        await store.close();
        await cluster.stop();
      },
    };
  },
});
