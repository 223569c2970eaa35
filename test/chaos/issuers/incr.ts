/** Plain INCR: one counter for each conversation in Redis. How safe it is, Redis' own configuration says. */

import type { ClientOptions } from '../client-process.js';
import type { Issuer, IssuerNotices } from './issuer.js';
import { retried } from './patience.js';
import { counterKey, PeerRedis } from './peer-redis.js';

export async function openIncrIssuer(
  { stores }: ClientOptions,
  { replyTimeoutMs }: IssuerNotices,
): Promise<Issuer> {
  const redis = new PeerRedis(stores.redis!, replyTimeoutMs);
  return {
    nextMany: (of, count, options) =>
      retried(options, async () => {
        const last = await redis.ask((client) => client.incrBy(counterKey(of.key), count));
        return { first: last - count + 1, last };
      }),
    async close() {
      redis.close();
    },
  };
}
