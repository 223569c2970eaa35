/**
 * INCR, then WAIT for one replica. A number counts only when a replica has it; otherwise the caller takes another one.
 *
 * WAIT is about the connection that it comes on, and holds that connection up. So every call under way has a connection of its
 * own, and sends both commands in one piece: a reconnect between them would make WAIT say yes about nothing.
 */

import type { SequenceRange } from '../../../src/core/call.js';
import type { ClientOptions } from '../client-process.js';
import type { Issuer, IssuerNotices } from './issuer.js';
import { retried } from './patience.js';
import { counterKey, PeerRedis } from './peer-redis.js';

const replicas = 1;
const waitMs = 500;

export async function openIncrWaitIssuer(
  { stores }: ClientOptions,
  { replyTimeoutMs }: IssuerNotices,
): Promise<Issuer> {
  const all: PeerRedis[] = [];
  const free: PeerRedis[] = [];
  const open = () => {
    const redis = new PeerRedis(stores.redis!, replyTimeoutMs);
    all.push(redis);
    return redis;
  };
  const take = async (redis: PeerRedis, key: string, count: number): Promise<SequenceRange> => {
    const [last, have] = await redis.ask(
      (client) => Promise.all([client.incrBy(key, count), client.wait(replicas, waitMs)]),
      waitMs,
    );
    if (have < replicas) throw new Error('no replica has the number');
    return { first: last - count + 1, last };
  };
  return {
    nextMany: (of, count, options) =>
      retried(options, async () => {
        const redis = free.pop() ?? open();
        try {
          return await take(redis, counterKey(of.key), count);
        } finally {
          free.push(redis);
        }
      }),
    async close() {
      for (const redis of all) redis.close();
    },
  };
}
