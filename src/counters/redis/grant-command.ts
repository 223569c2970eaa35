import type { Epoch, Grant } from '../../core/counter-store.js';
import { wordKey } from './keys.js';

/**
 * What grant.lua is given, without the history.
 *
 * @param slotKeyOf - in a cluster: where the generations are noted that have words in the slot of a conversation
 */
export function grantArguments(
  grants: readonly Grant[],
  { generation }: Epoch,
  prefix: string,
  slotKeyOf: ((conversation: string) => string) | undefined,
): { readonly keys: readonly string[]; readonly args: readonly string[] } {
  const keys = grants.map(({ conversation }) => wordKey(prefix, conversation, generation));
  const args = [slotKeyOf === undefined ? '' : String(generation)];
  for (const { block, mode, expiresAtStoreTimeMs } of grants)
    args.push(mode, String(block.start), String(block.end), String(expiresAtStoreTimeMs));
  if (slotKeyOf !== undefined && grants[0] !== undefined) keys.push(slotKeyOf(grants[0].conversation));
  return { keys, args };
}
