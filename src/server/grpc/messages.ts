/** Values of the service as messages of the contract, and back. */

import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type ExplainResponseSchema,
  GapReason,
  type GapSchema,
  NumberStatus,
} from '../../contract/generated/tidemark_pb.js';
import type { Explanation } from '../../core/explanations.js';
import type { Gap } from '../../core/ledger.js';
import type { Issued, NextOptions } from '../service.js';

export function numbersMessage({ first, last, repeated }: Issued) {
  return { first: BigInt(first), last: BigInt(last), repeated };
}

/** What an item asks for; the rest of the message stays behind. */
export function nextOptions(item: {
  readonly count?: number | undefined;
  readonly messageId?: string | undefined;
}): NextOptions {
  return { count: item.count, messageId: item.messageId };
}

/** Numbers above 2^53 become inexact here, and are then refused like all that are out of bounds. */
export function rangeOf({ first, last }: { readonly first: bigint; readonly last: bigint }) {
  return { first: Number(first), last: Number(last) };
}

export function gapMessage(gap: Gap): MessageInitShape<typeof GapSchema> {
  return {
    first: BigInt(gap.first),
    last: BigInt(gap.last),
    reason: GapReason[gap.reason.toUpperCase() as Uppercase<Gap['reason']>],
    certain: gap.certain,
    generation: gap.generation,
    recordedAtMs: BigInt(Math.trunc(gap.recordedAtMs)),
  };
}

export function explanationMessage(of: Explanation): MessageInitShape<typeof ExplainResponseSchema> {
  return {
    number: BigInt(of.number),
    status: NumberStatus[of.status.toUpperCase() as Uppercase<Explanation['status']>],
    ...(of.status === 'issued' && { complete: of.complete }),
    ...('gap' in of && of.gap !== undefined && { gap: gapMessage(of.gap) }),
  };
}
