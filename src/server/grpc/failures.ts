/** Errors as gRPC tells them. */

import { Metadata, type StatusObject } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { errorCodes, TidemarkError } from '../../errors.js';

/** The status of a call that failed, by the one table of codes. */
export function statusOf(error: unknown, log: Logger): StatusObject {
  const { code, message, retryable, conversation } = asTidemarkError(error, log);
  const metadata = new Metadata();
  metadata.set('tidemark-code', code);
  metadata.set('tidemark-retryable', String(retryable));
  // Metadata is ASCII; keys are any text.
  if (conversation !== undefined) metadata.set('tidemark-conversation', encodeURIComponent(conversation));
  // grpc-js encodes the text, and cannot do that with a lone surrogate.
  return { code: errorCodes[code].grpcStatus, details: message.toWellFormed(), metadata };
}

/** An error as a field of an answer in which others succeed. */
export function failureOf(error: unknown, log: Logger) {
  const { code, message, retryable, conversation } = asTidemarkError(error, log);
  return {
    code,
    message: message.toWellFormed(),
    retryable,
    ...(conversation !== undefined && { conversation }),
  };
}

/** Anything else is a fault of the server: it is logged, and the caller is told no more than that. */
function asTidemarkError(error: unknown, log: Logger): TidemarkError {
  if (error instanceof TidemarkError) return error;
  log.error({ error: String(error) }, 'a gRPC call failed for a reason that is not foreseen');
  return new TidemarkError('internal', 'the server failed; its log says more');
}
