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
  const slotKey = grants[0] === undefined ? undefined : slotKeyOf?.(grants[0].conversation);
  const args = [slotKey === undefined ? '' : String(generation)];
  for (const { block, mode, expiresAtStoreTimeMs } of grants)
    args.push(mode, String(block.start), String(block.end), String(expiresAtStoreTimeMs));
  if (slotKey !== undefined) keys.push(slotKey);
  return { keys, args };
}
