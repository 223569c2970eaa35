/**
 * The one error class of Tidemark and its closed set of codes.
 *
 * The table below is the single place that says what each code means to a caller: whether a retry may succeed, the exit
 * status of the CLI, and the status of the server's answers. `docs/errors.md` repeats it; a test fails when the two disagree.
 */

/** What a code means to a caller. */
export interface ErrorCodeInfo {
  /** True when the same call may succeed later without any change. */
  readonly retryable: boolean;
  /** Exit status of the `tidemark` command when a call ends with this code. */
  readonly exitStatus: number;
  /** Status of the server's HTTP answer. */
  readonly httpStatus: number;
  /** Status code of the server's gRPC answer. */
  readonly grpcStatus: number;
}

/**
 * Every error code with its meaning. The set is closed: a code is added here, and nowhere else.
 *
 * @example
 * ```ts
 * import { errorCodes } from 'tidemark';
 * console.log(errorCodes.overloaded.retryable); // true
 * ```
 */
export const errorCodes = {
  invalid_conversation: { retryable: false, exitStatus: 2, httpStatus: 400, grpcStatus: 3 },
  invalid_argument: { retryable: false, exitStatus: 2, httpStatus: 400, grpcStatus: 3 },
  counter_unavailable: { retryable: true, exitStatus: 3, httpStatus: 503, grpcStatus: 14 },
  ledger_unavailable: { retryable: true, exitStatus: 3, httpStatus: 503, grpcStatus: 14 },
  counter_unsupported: { retryable: false, exitStatus: 4, httpStatus: 500, grpcStatus: 9 },
  counter_corrupt: { retryable: false, exitStatus: 5, httpStatus: 500, grpcStatus: 15 },
  ledger_corrupt: { retryable: false, exitStatus: 5, httpStatus: 500, grpcStatus: 15 },
  ledger_in_use: { retryable: false, exitStatus: 4, httpStatus: 500, grpcStatus: 9 },
  ledger_full: { retryable: true, exitStatus: 3, httpStatus: 503, grpcStatus: 14 },
  schema_too_new: { retryable: false, exitStatus: 4, httpStatus: 500, grpcStatus: 9 },
  schema_missing: { retryable: false, exitStatus: 4, httpStatus: 500, grpcStatus: 9 },
  fenced: { retryable: true, exitStatus: 3, httpStatus: 503, grpcStatus: 14 },
  overloaded: { retryable: true, exitStatus: 3, httpStatus: 503, grpcStatus: 8 },
  deadline_exceeded: { retryable: true, exitStatus: 3, httpStatus: 504, grpcStatus: 4 },
  aborted: { retryable: false, exitStatus: 130, httpStatus: 499, grpcStatus: 1 },
  lease_expired: { retryable: false, exitStatus: 5, httpStatus: 409, grpcStatus: 10 },
  exhausted: { retryable: false, exitStatus: 5, httpStatus: 409, grpcStatus: 11 },
  server_unavailable: { retryable: true, exitStatus: 3, httpStatus: 503, grpcStatus: 14 },
  unauthenticated: { retryable: false, exitStatus: 4, httpStatus: 401, grpcStatus: 16 },
  permission_denied: { retryable: false, exitStatus: 4, httpStatus: 403, grpcStatus: 7 },
  rate_limited: { retryable: true, exitStatus: 3, httpStatus: 429, grpcStatus: 8 },
  closed: { retryable: false, exitStatus: 4, httpStatus: 503, grpcStatus: 14 },
  internal: { retryable: false, exitStatus: 70, httpStatus: 500, grpcStatus: 13 },
} as const satisfies Record<string, ErrorCodeInfo>;

/** One of the closed set of error codes. */
export type ErrorCode = keyof typeof errorCodes;

/**
 * The only error that Tidemark throws.
 *
 * The message starts with the code, then says what happened, to which conversation, and what to do.
 *
 * @example
 * ```ts
 * import { groupChat, TidemarkError } from 'tidemark';
 * try {
 *   groupChat('');
 * } catch (error) {
 *   if (error instanceof TidemarkError) console.log(error.code, error.retryable); // invalid_conversation false
 * }
 * ```
 */
export class TidemarkError extends Error {
  override readonly name = 'TidemarkError';
  /** The closed code; see {@link errorCodes}. */
  readonly code: ErrorCode;
  /** The conversation that the error is about, as `group:g1`; undefined when it is about none or many. */
  readonly conversation: string | undefined;

  /**
   * @param code - one of {@link errorCodes}
   * @param message - what happened and what to do, without the code
   * @param details - the conversation that it happened to, and the error that caused it
   */
  constructor(code: ErrorCode, message: string, details: { conversation?: string; cause?: unknown } = {}) {
    super(`${code}: ${message}`, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.conversation = details.conversation;
  }

  /** True when the same call may succeed later without any change. */
  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }
}
