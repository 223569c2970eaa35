/** Spans of calls, seen by a tracer of our own: no SDK is needed, and none is used. */

import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  type SpanOptions,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { traced } from '../../src/server/tracing.js';
import { type HttpServer, startHttpServer } from '../support/http-server.js';

interface Seen {
  readonly name: string;
  readonly parent: string | undefined;
  readonly attributes: Record<string, unknown>;
  status: number | undefined;
  ended: boolean;
}

const spans: Seen[] = [];
const remote: SpanContext = {
  traceId: 'a'.repeat(32),
  spanId: 'b'.repeat(16),
  traceFlags: 1,
  isRemote: true,
};
let http: HttpServer;

const tracer = {
  startActiveSpan(name: string, options: SpanOptions, work: (span: Span) => unknown) {
    const parent = trace.getSpanContext(context.active())?.spanId;
    const seen: Seen = {
      name,
      parent,
      attributes: { ...options.attributes },
      status: undefined,
      ended: false,
    };
    spans.push(seen);
    const span = {
      spanContext: () => remote,
      setAttribute: (key: string, value: unknown) => {
        seen.attributes[key] = value;
      },
      setStatus: ({ code }: { code: number }) => {
        seen.status = code;
      },
      end: () => {
        seen.ended = true;
      },
    } as unknown as Span;
    return work(span);
  },
} as unknown as Tracer;

beforeAll(async () => {
  const storage = new AsyncLocalStorage<Context>();
  context.setGlobalContextManager({
    active: () => storage.getStore() ?? ROOT_CONTEXT,
    with: (of, work, self, ...args) => storage.run(of, () => work.apply(self, args)),
    bind: (_of, target) => target,
    enable() {
      return this;
    },
    disable() {
      return this;
    },
  });
  propagation.setGlobalPropagator({
    inject: () => undefined,
    fields: () => ['traceparent'],
    extract: (of, carrier: Record<string, string>) => {
      const [, traceId = '', spanId = ''] = carrier['traceparent']?.split('-') ?? [];
      return spanId === '' ? of : trace.setSpanContext(of, { ...remote, traceId, spanId });
    },
  });
  trace.setGlobalTracerProvider({ getTracer: () => tracer });
  http = await startHttpServer();
});
beforeEach(() => {
  spans.length = 0;
});
afterAll(async () => {
  await http.server.stop(5_000);
  for (const api of [trace, context, propagation]) api.disable();
});

it('a call is one span, below that of its caller, with a type and without an id', async () => {
  const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`;
  await http.ask('POST', '/v1/conversations/group:secret/next', {}, { traceparent });
  expect(spans).toEqual([
    {
      name: 'tidemark.next',
      parent: '2'.repeat(16),
      attributes: {
        'tidemark.door': 'http',
        'tidemark.conversation_type': 'group',
        'tidemark.code': 'ok',
      },
      status: undefined,
      ended: true,
    },
  ]);
  expect(JSON.stringify(spans)).not.toContain('secret');
});

it('a call that fails says so; what the client did wrong is no error of the server', async () => {
  await http.ask('POST', '/v1/conversations/nonsense/next');
  await http.ask('POST', '/v1/next', { items: [{ conversation: 'group:a' }] });
  expect(
    spans.map(({ name, parent, attributes, status, ended }) => [
      name,
      parent,
      attributes['tidemark.code'],
      status,
      ended,
    ]),
  ).toEqual([
    ['tidemark.next', undefined, 'invalid_conversation', undefined, true],
    ['tidemark.next_batch', undefined, 'ok', undefined, true],
  ]);
});

it('a fault of the server is an error', async () => {
  await expect(traced('grpc', 'next', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await traced('resp', 'next', async () => 1)).toBe(1);
  expect(spans).toMatchObject([
    { status: SpanStatusCode.ERROR, attributes: { 'tidemark.code': 'internal' } },
  ]);
});
