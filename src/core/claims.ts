import { TidemarkError } from '../errors.js';
import type { Call } from './call.js';
import type { ConversationState } from './conversation-state.js';
import type { Claim, ClaimResult, Claims } from './counter-store.js';

/** The claims of the calls of one conversation's take, in order of arrival. */
export class ClaimList implements Claims {
  readonly receiptTtlMs: number;
  readonly leaseMs: number;
  readonly calls: Claim[] = [];
  readonly #most: number;
  /** Made with the second message id: most takes of a conversation have one. */
  #messageIds: Set<string> | undefined;

  constructor(most: number, receiptTtlMs: number, leaseMs: number) {
    this.#most = most;
    this.receiptTtlMs = receiptTtlMs;
    this.leaseMs = leaseMs;
  }

  /** False when the call has to wait for the next take: this one is full, or has the same message id already. */
  add({ claim, count }: Call, offset: number): boolean {
    const { messageId, tracked } = claim!;
    if (this.calls.length >= this.#most) return false;
    if (messageId !== undefined && this.calls.length > 0) {
      this.#messageIds ??= new Set(this.calls.flatMap((claim) => claim.messageId ?? []));
      if (this.#messageIds.has(messageId)) return false;
      this.#messageIds.add(messageId);
    }
    this.calls.push({ offset, count, messageId, tracked });
    return true;
  }
}

/**
 * Answers the calls of the take under way whose message id has its number already, or a receipt that makes no sense.
 *
 * @returns the other calls, in order of arrival
 */
export function deliverKnown(state: ConversationState, claims: readonly ClaimResult[]): readonly Call[] {
  let next = 0;
  return state.served.filter((call) => {
    if (call.claim === undefined) return true;
    const result = claims[next]!;
    next += 1;
    if (result.status === 'fresh') return true;
    // Whether it is open is not known before the rest of the take has succeeded.
    if (result.status === 'repeated' && call.claim.tracked && result.open === undefined) return true;
    if (call.ended) return false;
    if (result.status === 'repeated') call.deliver(result.number, true, result.open);
    else call.fail(corruptReceipt(state.key, result.found));
    return false;
  });
}

function corruptReceipt(conversation: string, found: string): TidemarkError {
  return new TidemarkError(
    'counter_corrupt',
    `the receipt of a message id in ${conversation} is not one (${found}); it was left as it is: find out who wrote it, then delete the key`,
    { conversation },
  );
}
