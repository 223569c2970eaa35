/** What machines ask that look after the server: is it alive, is it ready, what does it count, what can it do. */

import type { FastifyInstance, FastifySchema } from 'fastify';
import type { DoorContext } from '../door.js';
import { authenticate } from './caller.js';
import { named } from './schemas.js';

export function addOperationRoutes(
  app: FastifyInstance,
  { access, health, metrics }: Pick<DoorContext, 'access' | 'health' | 'metrics'>,
): void {
  app.get('/healthz', schema('healthz', 'Whether the process is alive', named('Alive')), async () => ({
    alive: true,
  }));
  const ready = schema('readyz', 'Whether the server can issue numbers', named('Readiness'), {
    503: { description: 'It cannot', ...named('Readiness') },
  });
  app.get('/readyz', ready, async (_request, reply) => {
    const { readiness } = health;
    return reply.code(readiness.ready ? 200 : 503).send(readiness);
  });
  const text = { content: { 'text/plain': { schema: { type: 'string' } } } };
  app.get(
    '/metrics',
    schema('metrics', 'What the server counts, for Prometheus; needs the right `read`', text, {}, true),
    async (request, reply) => {
      // Types of conversations and rates are nobody's business who may not read.
      authenticate(access, request).check('read', undefined);
      const { contentType, text } = await metrics.text();
      return reply.type(contentType).send(text);
    },
  );
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
}

function schema(
  operationId: string,
  summary: string,
  result: object,
  more: object = {},
  needsToken = false,
): { schema: FastifySchema } {
  const response = { 200: { description: summary, ...result }, ...more };
  return {
    schema: { operationId, summary, tags: ['operation'], response, ...(!needsToken && { security: [] }) },
  };
}
