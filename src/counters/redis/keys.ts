/**
 * Keys in Redis. The braces keep a conversation in one cluster slot.
 *
 * | key | holds |
 * |---|---|
 * | `seq:{group:g1}:7` | the counter word of generation 7 |
 * | `seq:{group:g1}:receipt:m1` | the number of the message id `m1`, in whichever generation |
 * | `seq:{group:g1}:open` | open takes, in whichever generation |
 * | `seq:lane:<process>:<n>` | a lane; `seq:lane:<process>:{<tag>}:<n>` in a cluster, where the tag leads to a slot of the primary |
 * | `seq:slot:{<tag>}` | in a cluster, the generations that have words in the slot of the tag |
 *
 * What follows the last `}` tells the kind: a message id has `}` as `%7D` there, and `%` as `%25`.
 */

import { TidemarkError } from '../../errors.js';

const maxPrefixBytes = 64;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this pattern refuses.
const forbiddenInPrefix = /[{}*?[\]\\^\u0000-\u001f\u007f-\u009f]/;
/** `<type>:<id>`; anything else between the braces is somebody else's key. */
const conversationKey = /^[a-z][a-z0-9_-]{0,31}:./s;
const braceOrPercent = /[}%]/;
const braceOrPercentAll = /[}%]/g;
/** As Tidemark writes a generation: no sign, no leading zero, exact as a double. */
const canonicalGeneration = /^[1-9]\d{0,14}$/;

/** The key of a conversation's word. */
export function wordKey(prefix: string, conversation: string, generation: number): string {
  return `${prefix}:{${conversation}}:${generation}`;
}

/** The key of the receipt of a message id. */
export function receiptKey(prefix: string, conversation: string, messageId: string): string {
  const escaped = braceOrPercent.test(messageId)
    ? messageId.replace(braceOrPercentAll, (character) => (character === '}' ? '%7D' : '%25'))
    : messageId;
  return `${prefix}:{${conversation}}:receipt:${escaped}`;
}

/** The key of a conversation's open takes. */
export function openKey(prefix: string, conversation: string): string {
  return `${prefix}:{${conversation}}:open`;
}

/** The pattern of SCAN that every word's key matches; {@link readWordKey} decides. */
export function wordPattern(prefix: string): string {
  return `${prefix}:{*}:[1-9]*`;
}

/** What a word's key says; undefined for any other key. An id may hold `}:`, so the last one counts. */
export function readWordKey(
  prefix: string,
  key: string,
): { readonly conversation: string; readonly generation: number } | undefined {
  const start = prefix.length + 2;
  const end = key.lastIndexOf('}:');
  if (end < start || !key.startsWith(`${prefix}:{`)) return undefined;
  const generation = key.slice(end + 2);
  const conversation = key.slice(start, end);
  if (!canonicalGeneration.test(generation) || !conversationKey.test(conversation)) return undefined;
  return { conversation, generation: Number(generation) };
}

/**
 * The key of a lane of one store instance. `name` is its number, or `probe`; `tag`, in a cluster, is a text whose slot the
 * lane shares.
 */
export function laneKey(
  prefix: string,
  processId: string,
  name: number | 'probe',
  tag: string | undefined,
): string {
  return tag === undefined
    ? `${prefix}:lane:${processId}:${name}`
    : `${prefix}:lane:${processId}:{${tag}}:${name}`;
}

/** The key of what is noted of a cluster's slot; `tag` is a text that leads to the slot. */
export function slotKey(prefix: string, tag: string): string {
  return `${prefix}:slot:{${tag}}`;
}

/** @throws TidemarkError `invalid_argument` */
export function checkPrefix(prefix: string): void {
  const fits =
    typeof prefix === 'string' &&
    prefix !== '' &&
    Buffer.byteLength(prefix) <= maxPrefixBytes &&
    prefix.isWellFormed() &&
    !forbiddenInPrefix.test(prefix);
  if (fits) return;
  throw new TidemarkError(
    'invalid_argument',
    `RedisCounterStore: the key prefix must be 1 to ${maxPrefixBytes} bytes without { } * ? [ ] \\ ^ and control characters`,
  );
}
