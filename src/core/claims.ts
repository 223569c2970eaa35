import { TidemarkError } from '../errors.js';
import type { Call } from './call.js';
import type { ConversationState } from './conversation-state.js';
import type { Claim, ClaimResult, Claims } from './counter-store.js';
import { printable } from './quote.js';

/** The claims of the calls of one conversation's take, in order of arrival. */
export class ClaimList implements Claims {
  readonly receiptTtlMs: number;
  readonly leaseMs: number;
  readonly calls: Claim[];
  /** Made with the second message id: most takes of a conversation have one. */
  #messageIds: Set<string> | undefined;

  /** With the claim of one call; `offset` numbers are for calls before it. */
  constructor(call: Call, offset: number, receiptTtlMs: number, leaseMs: number) {
    this.receiptTtlMs = receiptTtlMs;
    this.leaseMs = leaseMs;
    this.calls = [claimOf(call, offset)];
  }

  /** False when the call has to wait for the next take: this one has the same message id already. */
  add(call: Call, offset: number): boolean {
    const claim = claimOf(call, offset);
    const { messageId } = claim;
    if (messageId !== undefined) {
      this.#messageIds ??= new Set(this.calls.flatMap((other) => other.messageId ?? []));
      if (this.#messageIds.has(messageId)) return false;
      this.#messageIds.add(messageId);
    }
    this.calls.push(claim);
    return true;
  }
}

function claimOf({ claim, count }: Call, offset: number): Claim {
  return { offset, count, messageId: claim!.messageId, tracked: claim!.tracked };
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
    `the receipt of a message id in ${conversation} is not one (${printable(found)}); it was left as it is: find out who wrote it, then delete the key`,
    { conversation },
  );
}
