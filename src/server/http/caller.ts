/** Who calls over HTTP, for how long, and until when: while the client is there. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Access, Client } from '../access.js';
import type { Caller } from '../service.js';

const clients = new WeakMap<FastifyRequest, Client>();

/** Before anything else of a request is looked at.
 *
 * @throws TidemarkError `unauthenticated`
 */
export function authenticate(access: Access, request: FastifyRequest): Client {
  const client = access.clientOfHeader(request.headers.authorization);
  clients.set(request, client);
  return client;
}

/** The caller of a request that was authenticated. Its call is given up when the client goes away. */
export function callerOf(request: FastifyRequest, reply: FastifyReply): Caller {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  // The schema of the headers has made a number of it.
  const timeoutMs = request.headers['tidemark-timeout-ms'] as number | undefined;
  return {
    client: clients.get(request)!,
    door: 'http',
    signal: gone.signal,
    ...(timeoutMs !== undefined && { timeoutMs }),
  };
}
