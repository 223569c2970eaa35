/** Errors as `application/problem+json` (RFC 9457), with Tidemark's codes. */

import { STATUS_CODES } from 'node:http';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { type ErrorCode, errorCodes, TidemarkError } from '../../errors.js';

export const problemType = 'application/problem+json';

export interface Problem {
  readonly type: 'about:blank';
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly conversation?: string;
}

/** A request that HTTP itself refuses, with a status that no code has. */
export class RefusedRequest extends TidemarkError {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super('invalid_argument', message);
  }
}

export function problemOf(error: TidemarkError): Problem {
  const { code, retryable, conversation } = error;
  const status = error instanceof RefusedRequest ? error.status : errorCodes[code].httpStatus;
  return {
    type: 'about:blank',
    title: status === 499 ? 'Client Closed Request' : (STATUS_CODES[status] ?? 'Error'),
    status,
    // The code has a field of its own.
    detail: error.message.slice(`${code}: `.length),
    code,
    retryable,
    ...(conversation !== undefined && { conversation }),
  };
}

/** Answers with a problem. */
export function sendProblem(reply: FastifyReply, error: TidemarkError): FastifyReply {
  const problem = problemOf(error);
  if (problem.status === 401) reply.header('WWW-Authenticate', 'Bearer');
  if (problem.status === 429 || problem.status === 503) reply.header('Retry-After', '1');
  // As bytes, because Fastify would add a charset to text, and JSON has none.
  return reply
    .code(problem.status)
    .type(problemType)
    .send(Buffer.from(JSON.stringify(problem)));
}

/** For Fastify: whatever a request ended with. */
export function errorHandler(log: Logger) {
  return (error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply => {
    // Fastify closes the connection after a bad body, in case more of it comes. When all of it was read, nothing does, and
    // closing would cut the answers of requests that follow on the same connection.
    if (request.raw.complete) reply.removeHeader('connection');
    return sendProblem(reply, translated(error, log));
  };
}

function translated(error: FastifyError, log: Logger): TidemarkError {
  if (error instanceof TidemarkError) return error;
  const { code, statusCode = 500 } = error;
  if (statusCode >= 400 && statusCode < 500)
    return new RefusedRequest(statusCode, refusals[code] ?? 'the request cannot be read; correct it');
  // A message may repeat what the client sent, or a secret of a driver; where it happened does neither.
  const frames = String(error.stack)
    .split('\n')
    .filter((line) => line.startsWith('    at '));
  log.error({ name: error.name, code, frames }, 'a call failed for a fault of Tidemark');
  return new TidemarkError(
    'internal',
    'a fault of Tidemark; please report it with what the log of the server has of it',
  );
}

/** What Fastify refuses, by its own codes. */
const refusals: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'the body is larger than this server takes; split the request',
  FST_ERR_CTP_INVALID_JSON_BODY: 'the body is not JSON; correct it',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'a body must be JSON; send it as Content-Type: application/json',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'the body is not as long as Content-Length says; correct it',
  FST_ERR_BAD_URL: 'the path has a % that begins no UTF-8 character; write % as %25',
  FST_ERR_MAX_PARAM_LENGTH: 'a part of the path is too long',
};
