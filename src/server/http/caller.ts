/** Who calls over HTTP, for how long, and until when: while the client is there. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import { TidemarkError } from '../../errors.js';
import type { Access, Client } from '../access.js';
import type { Caller } from '../service.js';

const clients = new WeakMap<FastifyRequest, Client>();

/**
 * Before anything else of a request is looked at.
 *
 * @throws TidemarkError `unauthenticated`, `permission_denied`
 */
export function authenticate(access: Access, request: FastifyRequest): Client {
  if (!access.needsToken) refuseWebPages(request);
  const client = access.clientOfHeader(request.headers.authorization);
  clients.set(request, client);
  return client;
}

/** A page that somebody visits must not take numbers of a server on their machine. Programs send neither header. */
function refuseWebPages({ headers }: FastifyRequest): void {
  const site = headers['sec-fetch-site'];
  if (headers.origin === undefined && (site === undefined || site === 'none')) return;
  throw new TidemarkError(
    'permission_denied',
    'a web page may not call a server that asks for no token; start it with a clients file',
  );
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
