/**
 * OpenTelemetry spans of calls. Only the API package is used: without an SDK in the process nothing happens. Spans carry the
 * type of a conversation and never an id. The Redis protocol carries no trace, so its calls have no spans.
 */

import { context, propagation, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { type ErrorCode, errorCodes, TidemarkError } from '../errors.js';
import type { Door } from './metrics.js';

/** Runs a call in a span. Its work says of which type the conversation is, once that is known. */
export function traced<T>(
  door: Door,
  method: string,
  work: (ofType: (type: string) => void) => Promise<T>,
): Promise<T> {
  if (door === 'resp') return work(ignored);
  const options = { kind: SpanKind.SERVER, attributes: { 'tidemark.door': door } };
  return trace.getTracer('tidemark').startActiveSpan(`tidemark.${method}`, options, async (span) => {
    let code: ErrorCode | 'ok' = 'ok';
    try {
      return await work((type) => span.setAttribute('tidemark.conversation_type', type));
    } catch (error) {
      code = error instanceof TidemarkError ? error.code : 'internal';
      throw error;
    } finally {
      end(span, code);
    }
  });
}

/** Runs a call in the trace that its caller's headers name, unless the process follows one already. */
export function inCallersTrace<T>(headers: object, work: () => T): T {
  const active = context.active();
  if (trace.getSpan(active) !== undefined) return work();
  return context.with(propagation.extract(active, headers), work);
}

function end(span: Span, code: ErrorCode | 'ok'): void {
  span.setAttribute('tidemark.code', code);
  // What the caller did wrong is no error of the server.
  if (code !== 'ok' && errorCodes[code].httpStatus >= 500) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

function ignored(): void {}
