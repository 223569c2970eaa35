/** INCR as people use it, and nothing at all. */

import { Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import type { ClientSetup } from './messages.js';
import { named, plainKey } from './names.js';
import type { Peer } from './peers.js';

/**
 * No timer for each command, which would cost a factor of six. node-redis wants the key with nothing in it, which its
 * types do not allow under our compiler settings.
 */
const commandOptions = { timeout: undefined } as unknown as { timeout: number };

/** node-redis at its best: one client that pipelines by itself. */
export async function incr({ conversations, redisUrl }: ClientSetup): Promise<Peer> {
  const client = createClient({ url: redisUrl, commandOptions });
  client.on('error', () => undefined);
  await client.connect();
  const key = named(conversations, plainKey);
  return {
    next: (index) => client.incr(key(index)),
    nextMany: (index, count) => client.incrBy(key(index), count),
    close: async () => client.destroy(),
  };
}

/** The same, for a cluster. */
export async function clusterIncr({ conversations, redisUrl }: ClientSetup): Promise<Peer> {
  const addresses = redisUrl.replace('redis+cluster://', '').split(',');
  const rootNodes = addresses.map((address) => ({ url: `redis://${address}` }));
  const cluster = createCluster({ rootNodes, commandOptions });
  cluster.on('error', () => undefined);
  await cluster.connect();
  const key = named(conversations, plainKey);
  return {
    next: (index) => cluster.incr(key(index)),
    close: async () => cluster.destroy(),
  };
}

/** ioredis, which gathers what is asked for in one turn of the event loop. */
export async function ioredisIncr({ conversations, redisUrl }: ClientSetup): Promise<Peer> {
  const client = new Redis(redisUrl, { enableAutoPipelining: true });
  await client.ping();
  const key = named(conversations, plainKey);
  return {
    next: (index) => client.incr(key(index)),
    close: async () => client.disconnect(),
  };
}

/** Answers from memory, all calls of a turn at once: what the callers and the measuring cost, and one promise for each call. */
export async function harness(): Promise<Peer> {
  let number = 0;
  let waiting: ((number: number) => void)[] = [];
  const answerAll = () => {
    const answered = waiting;
    waiting = [];
    for (const answer of answered) answer(++number);
  };
  return {
    next: () =>
      new Promise((resolve) => {
        if (waiting.push(resolve) === 1) setImmediate(answerAll);
      }),
    close: async () => undefined,
  };
}
