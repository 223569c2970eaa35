/** Slots of a cluster: CRC16 (XMODEM) of what is between the braces of a key, as Redis computes it. */

export const clusterSlots = 16_384;

/** Most tags that are tried for one slot: each hits with a chance of 1 in 16,384. */
const maxTagsTried = 1_000_000;

/** The CRC of every byte. Made when it is first needed, because nothing runs at import time. */
let table: Uint16Array | undefined;

/**
 * The slot of a conversation: that of all its keys. What counts of an id that holds a `}` ends there, because the braces of
 * a key do.
 */
export function slotOfConversation(conversation: string): number {
  table ??= crcTable();
  let crc = 0;
  for (let index = 0; index < conversation.length; index += 1) {
    const code = conversation.charCodeAt(index);
    if (code === 0x7d) break;
    if (code > 0x7f) return slotOfBytes(Buffer.from(conversation), table);
    crc = ((crc << 8) & 0xffff) ^ table[(crc >> 8) ^ code]!;
  }
  return crc % clusterSlots;
}

function slotOfBytes(bytes: Uint8Array, crcs: Uint16Array): number {
  let crc = 0;
  for (const byte of bytes) {
    if (byte === 0x7d) break;
    crc = ((crc << 8) & 0xffff) ^ crcs[(crc >> 8) ^ byte]!;
  }
  return crc % clusterSlots;
}

function crcTable(): Uint16Array {
  return Uint16Array.from({ length: 256 }, (_, byte) => {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
    return crc;
  });
}

/** Short texts, by the slot that they are in. Keys that belong to no conversation have one between their braces. */
export class SlotTags {
  readonly #tags = new Map<number, string>();
  #tried = 0;

  /** @param slot - 0 to 16,383 */
  of(slot: number): string {
    for (;;) {
      const known = this.#tags.get(slot);
      if (known !== undefined) return known;
      if (this.#tried === maxTagsTried) throw new RangeError(`there is no slot ${slot}`);
      const tag = this.#tried.toString(36);
      this.#tried += 1;
      const hit = slotOfConversation(tag);
      if (!this.#tags.has(hit)) this.#tags.set(hit, tag);
    }
  }
}
