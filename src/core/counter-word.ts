/**
 * The counter word: one integer per conversation, `remaining × 10^12 + last`. Pure functions.
 *
 * Taking n numbers adds `n − n·10^12`. The sum of `last` and `remaining`, the ceiling, does not change by it (I2),
 * and a result of zero or less means that the block cannot give n numbers (I1); zero itself is what the step makes of
 * the very last word, 10^12 − 1 with nothing left. Every value and step stays below 2^53,
 * because Lua and JavaScript turn integers into doubles (I3).
 */

/** One number of the remaining block in a word. */
export const wordUnit = 1_000_000_000_000;
/** The last number that a conversation can ever issue: 10^12 − 1. */
export const maxSequenceNumber = wordUnit - 1;
/** Most numbers that a word may hold in reserve; 9,007 × 10^12 is the largest word below 2^53. */
export const maxRemaining = 9_000;
/** The largest legal word. */
export const maxWord = maxRemaining * wordUnit + maxSequenceNumber;

/** A counter word, decoded. */
export interface CounterWord {
  /** The last number issued, 0 to 10^12 − 1. */
  readonly last: number;
  /** How many numbers of the block are left, 0 to 9,000. */
  readonly remaining: number;
}

/** The integer that is stored for a word. */
export function packWord(word: CounterWord): number {
  return word.remaining * wordUnit + word.last;
}

/** The word that a stored integer means; undefined when the integer is not a legal word. */
export function unpackWord(packed: number): CounterWord | undefined {
  if (!isWord(packed)) return undefined;
  return { last: lastOf(packed), remaining: remainingOf(packed) };
}

/** True for the integers that {@link packWord} can return. */
export function isWord(packed: number): boolean {
  return Number.isInteger(packed) && packed >= 0 && packed <= maxWord;
}

/** The last number of a packed word. */
export function lastOf(packed: number): number {
  return packed % wordUnit;
}

/** What is left of the block of a packed word. */
export function remainingOf(packed: number): number {
  return Math.floor(packed / wordUnit);
}

/** What is added to a packed word to take n numbers. */
export function takeStep(count: number): number {
  return count - count * wordUnit;
}

/** The packed word after taking n numbers; undefined when its block cannot give them. */
export function takeFrom(packed: number, count: number): number | undefined {
  const after = packed + takeStep(count);
  return after > 0 ? after : undefined;
}

/** The highest number that the word's block reaches. */
export function ceilingOf(word: CounterWord): number {
  return word.last + word.remaining;
}
