/** Order of two strings by their UTF-8 bytes: the order of user ids in a private chat, and of keys in every ledger. */
export function compareUtf8(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}
