import { openKey, receiptKey } from '../../src/counters/redis/keys.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { startRedis } from '../support/servers.js';
import { run } from './counter-store.suite.js';

run({
  name: 'Redis',
  create: async () => {
    const server = await startRedis();
    const store = new RedisCounterStore({ url: server.url });
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
  skip: [{ test: 'drain removes words and returns them', reason: 'not offered yet' }],
});
