/** Routes, schemas and errors put together. It knows nothing of sockets. */

import swagger from '@fastify/swagger';
import { type FastifyInstance, type FastifyServerOptions, fastify, type HTTPMethods } from 'fastify';
import { TidemarkError } from '../../errors.js';
import type { DoorContext } from '../door.js';
import { addCallRoutes } from './call-routes.js';
import { openApiOptions } from './openapi.js';
import { addOperationRoutes } from './operation-routes.js';
import { errorHandler, RefusedRequest, sendProblem } from './problems.js';
import { namedSchemas } from './schemas.js';
import { textOf, validatorCompiler } from './validation.js';

/** Longer than the path of any conversation; what is too long is told by the conversation itself. */
const maxParamLength = 16_384;
const methods: readonly HTTPMethods[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

/** @param serverFactory - makes the server that the requests come from */
export async function createApplication(
  context: DoorContext,
  serverFactory: FastifyServerOptions['serverFactory'],
): Promise<FastifyInstance> {
  const handleError = errorHandler(context.log);
  const app = fastify({
    logger: false,
    bodyLimit: context.limits.maxRequestBytes,
    routerOptions: { maxParamLength },
    frameworkErrors: (error, request, reply) => {
      reply.header('Cache-Control', 'no-store');
      handleError(error, request, reply);
    },
    ...(serverFactory && { serverFactory }),
  });
  app.setErrorHandler(handleError);
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(() => JSON.stringify);
  app.addHook('onRequest', async (_request, reply) => {
    reply.header('Cache-Control', 'no-store');
  });
  app.setNotFoundHandler((_request, reply) =>
    sendProblem(
      reply,
      new RefusedRequest(404, 'there is nothing at this path; /openapi.json lists what there is'),
    ),
  );
  takeJsonOnly(app);
  for (const [name, schema] of Object.entries(namedSchemas)) app.addSchema({ ...schema, $id: name });
  await app.register(swagger, openApiOptions(context.version));
  const known = knownMethods(app);
  addOperationRoutes(app, context);
  await app.register(async (v1) => addCallRoutes(v1, context), { prefix: '/v1' });
  refuseOtherMethods(app, known);
  await app.ready();
  return app;
}

function takeJsonOnly(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    // Many clients name the type of a body that they do not send.
    if (body.length === 0) return done(null, undefined);
    let text: string;
    try {
      text = textOf(body);
    } catch (error) {
      return done(error as TidemarkError);
    }
    return parse(request, text, done);
  });
  app.addHook('preValidation', async (request) => {
    if (request.method === 'POST' && request.body === undefined) request.body = {};
  });
}

/** Methods of each path, from now on. */
function knownMethods(app: FastifyInstance): ReadonlyMap<string, Set<HTTPMethods>> {
  const known = new Map<string, Set<HTTPMethods>>();
  app.addHook('onRoute', ({ url, method }) => {
    const of = known.get(url) ?? new Set();
    known.set(url, of);
    for (const name of [method].flat()) of.add(name);
  });
  return known;
}

function refuseOtherMethods(app: FastifyInstance, known: ReadonlyMap<string, Set<HTTPMethods>>): void {
  for (const [url, allowed] of [...known]) {
    const allow = [...allowed].sort().join(', ');
    app.route({
      url,
      method: methods.filter((method) => !allowed.has(method)),
      schema: { hide: true },
      // Before a body is read, whatever it is.
      onRequest: async (_request, reply) =>
        sendProblem(reply.header('Allow', allow), new RefusedRequest(405, `this path takes ${allow} only`)),
      handler: () => {
        throw new TidemarkError('internal', 'a refused method was handled');
      },
    });
  }
}
