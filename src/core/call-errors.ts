/** The errors of calls that never reach a store, or not in time. */

import { TidemarkError } from '../errors.js';
import type { Call } from './call.js';
import { Conversation } from './conversation.js';
import type { ConversationState } from './conversation-state.js';

/** Refuses everything that is not a {@link Conversation}. */
export function checkConversation(of: Conversation): Conversation {
  if (of instanceof Conversation) return of;
  throw new TidemarkError(
    'invalid_conversation',
    `expected a conversation, got ${of === null ? 'null' : typeof of}; make one with privateChat, groupChat or conversation`,
  );
}

/** The generator was closed before or during the call. */
export function closed(): TidemarkError {
  return new TidemarkError('closed', 'the generator is closed; open a new one');
}

/** The signal of the call aborted. */
export function aborted(signal: AbortSignal, key?: string): TidemarkError {
  const details = { cause: signal.reason as unknown, ...(key === undefined ? {} : { conversation: key }) };
  return new TidemarkError(
    'aborted',
    `the call${key === undefined ? '' : ` for ${key}`} was given up by its signal`,
    details,
  );
}

/** Too many calls wait already. */
export function overloaded(maxCalls: number, key: string): TidemarkError {
  return new TidemarkError(
    'overloaded',
    `${maxCalls} calls are waiting already, so ${key} gets no number now; slow down and try again, or raise maxCalls`,
    { conversation: key },
  );
}

/** The connection to the counter store was lost, and is not back yet. */
export function outOfReach(cause: unknown): TidemarkError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const message = `the counter store is out of reach (${why}); check that it runs and that address and network are right`;
  return new TidemarkError('counter_unavailable', message, { cause });
}

/** The deadline passed; `trouble` is what stood in the way, and gives the error its code. */
export function deadlineExceeded(
  call: Call,
  state: ConversationState,
  trouble: TidemarkError | undefined,
): TidemarkError {
  const what = call.count === 1 ? 'no number' : `no ${call.count} numbers`;
  if (trouble === undefined) {
    return new TidemarkError(
      'deadline_exceeded',
      `${what} for ${state.key} within the deadline; the stores are slow or the load is too high: try again`,
      { conversation: state.key },
    );
  }
  const reason = trouble.message.slice(trouble.code.length + 2);
  return new TidemarkError(trouble.code, `${what} for ${state.key} within the deadline: ${reason}`, {
    conversation: state.key,
    cause: trouble,
  });
}
