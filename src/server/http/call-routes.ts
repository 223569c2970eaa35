/** The calls, under `/v1`. */

import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify';
import { parseConversation } from '../../core/conversation.js';
import type { Gap } from '../../core/ledger.js';
import { TidemarkError } from '../../errors.js';
import type { DoorContext } from '../door.js';
import type { Caller, Issued, Service } from '../service.js';
import { inCallersTrace } from '../tracing.js';
import { authenticate, callerOf } from './caller.js';
import { type Problem, problemOf } from './problems.js';
import {
  BatchBody,
  ConversationPath,
  GapsQuery,
  IdempotentHeaders,
  NextBody,
  NoQuery,
  NumberPath,
  named,
  RangeBody,
  TimeoutHeaders,
} from './schemas.js';
import { messageIdOf } from './validation.js';

type InConversation = FastifyRequest<{ Params: ConversationPath }>;

/** Everything that needs a token, where tokens are needed. */
export function addCallRoutes(app: FastifyInstance, { service, access }: DoorContext): void {
  app.addHook('onRequest', async (request) => {
    authenticate(access, request);
  });
  addNextRoutes(app, service);
  addTakeRoutes(app, service);
  addReadRoutes(app, service);
}

function addNextRoutes(app: FastifyInstance, service: Service): void {
  app.post<{ Params: ConversationPath; Body: NextBody }>(
    '/conversations/:conversation/next',
    schema('next', 'Issues one number, or a contiguous range', 'Issued', {
      params: ConversationPath,
      headers: IdempotentHeaders,
      body: NextBody,
    }),
    (request, reply) =>
      answer(request, reply, async (caller, of) => {
        const messageId = messageIdOf(request, request.body.messageId);
        return issuedAnswer(of, await service.next(caller, of, { ...request.body, messageId }));
      }),
  );
  app.post<{ Body: BatchBody }>(
    '/next',
    schema('nextBatch', 'Issues numbers of many conversations', 'BatchAnswer', {
      headers: TimeoutHeaders,
      body: BatchBody,
    }),
    (request, reply) =>
      inCallersTrace(request.headers, async () => {
        if (request.headers['idempotency-key'] !== undefined)
          throw new TidemarkError(
            'invalid_argument',
            'a batch has no Idempotency-Key; give each item a messageId',
          );
        const { items } = request.body;
        const results = await service.nextBatch(callerOf(request, reply), items);
        return { items: results.map((result, index) => batchAnswer(items[index]!.conversation, result)) };
      }),
  );
}

function addTakeRoutes(app: FastifyInstance, service: Service): void {
  app.post<{ Params: ConversationPath; Body: NextBody }>(
    '/conversations/:conversation/takes',
    schema('take', 'Takes numbers that stay open until they are settled or abandoned', 'Taken', {
      params: ConversationPath,
      headers: IdempotentHeaders,
      body: NextBody,
    }),
    (request, reply) =>
      answer(request, reply, async (caller, of) => {
        const messageId = messageIdOf(request, request.body.messageId);
        const taken = await service.take(caller, of, { ...request.body, messageId });
        return { ...issuedAnswer(of, taken), open: taken.open };
      }),
  );
  const ends = {
    settle: 'Says that the messages of a take are stored',
    renew: 'Begins the lease of a take anew',
    abandon: 'Says that no message has the numbers of a take, and none will',
  } as const;
  for (const [end, summary] of Object.entries(ends) as [keyof typeof ends, string][]) {
    app.post<{ Params: ConversationPath; Body: RangeBody }>(
      `/conversations/:conversation/takes/${end}`,
      schema(end, summary, 'TakeRange', {
        params: ConversationPath,
        headers: TimeoutHeaders,
        body: RangeBody,
      }),
      (request, reply) =>
        answer(request, reply, async (caller, of) => {
          await service[end](caller, of, request.body);
          return { conversation: keyOf(of), ...request.body };
        }),
    );
  }
}

function addReadRoutes(app: FastifyInstance, service: Service): void {
  const parts = { params: ConversationPath, headers: TimeoutHeaders };
  app.get<{ Params: ConversationPath }>(
    '/conversations/:conversation/current',
    schema('current', 'The last number issued', 'Current', { ...parts, querystring: NoQuery }),
    (request, reply) =>
      answer(request, reply, async (caller, of) => {
        return { conversation: keyOf(of), current: await service.current(caller, of) };
      }),
  );
  app.get<{ Params: ConversationPath; Querystring: GapsQuery }>(
    '/conversations/:conversation/gaps',
    schema('gaps', 'The recorded gaps, in order', 'Gaps', { ...parts, querystring: GapsQuery }),
    (request, reply) =>
      answer(request, reply, async (caller, of) => {
        const gaps = await service.gaps(caller, of, request.query);
        return { conversation: keyOf(of), gaps: gaps.map(gapAnswer) };
      }),
  );
  app.get<{ Params: NumberPath }>(
    '/conversations/:conversation/numbers/:number',
    schema('explain', 'What became of a number', 'Explanation', {
      ...parts,
      params: NumberPath,
      querystring: NoQuery,
    }),
    (request, reply) =>
      answer(request, reply, async (caller, of) => {
        const explanation = await service.explain(caller, of, request.params.number);
        const gap = 'gap' in explanation && explanation.gap !== undefined && gapAnswer(explanation.gap);
        return { conversation: keyOf(of), ...explanation, ...(gap && { gap }) };
      }),
  );
  app.get<{ Params: ConversationPath }>(
    '/conversations/:conversation/complete-up-to',
    schema('completeUpTo', 'Up to where readers may read', 'CompleteUpTo', {
      ...parts,
      querystring: NoQuery,
    }),
    (request, reply) =>
      answer(request, reply, async (caller, of) => {
        return { conversation: keyOf(of), completeUpTo: await service.completeUpTo(caller, of) };
      }),
  );
  app.get<{ Params: ConversationPath }>(
    '/conversations/:conversation/inspect',
    schema('inspect', 'What both stores know of a conversation; needs the right `admin`', 'Inspection', {
      ...parts,
      querystring: NoQuery,
    }),
    (request, reply) =>
      answer(request, reply, async (caller, of) => {
        const { history, generation, word, entry } = await service.inspect(caller, of);
        // The entry's own name of its conversation is left out: it is the same.
        const { conversation, ...known } = entry ?? { conversation: keyOf(of) };
        return { conversation, history, generation, word, ...(entry && { entry: known }) };
      }),
  );
}

/** Runs a call for its caller. */
function answer<Answer extends object>(
  request: InConversation,
  reply: FastifyReply,
  work: (caller: Caller, conversation: string) => Promise<Answer>,
): Promise<Answer> {
  return inCallersTrace(request.headers, () => work(callerOf(request, reply), request.params.conversation));
}

/** The one way to write a conversation, whichever way the client wrote it. */
function keyOf(conversation: string): string {
  return parseConversation(conversation).key;
}

function issuedAnswer(conversation: string, { first, last, repeated }: Issued) {
  return { conversation: keyOf(conversation), first, last, count: last - first + 1, repeated };
}

function batchAnswer(
  conversation: string,
  result: Issued | TidemarkError,
): { conversation: string; problem: Problem } | ReturnType<typeof issuedAnswer> {
  if (result instanceof TidemarkError) return { conversation, problem: problemOf(result) };
  return issuedAnswer(conversation, result);
}

function gapAnswer({ conversation: _, ...gap }: Gap): Omit<Gap, 'conversation'> {
  return gap;
}

/** What a route takes and answers. */
function schema(
  operationId: string,
  summary: string,
  result: Parameters<typeof named>[0],
  parts: Pick<FastifySchema, 'params' | 'headers' | 'body' | 'querystring'>,
): { schema: FastifySchema } {
  const problem = {
    description: 'A problem',
    content: { 'application/problem+json': { schema: named('Problem') } },
  };
  const response = { 200: { description: summary, ...named(result) }, default: problem };
  return { schema: { operationId, summary, tags: ['calls'], querystring: NoQuery, ...parts, response } };
}
