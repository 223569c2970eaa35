import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ceilingOf,
  isWord,
  lastOf,
  maxRemaining,
  maxSequenceNumber,
  maxWord,
  packWord,
  remainingOf,
  takeFrom,
  takeStep,
  unpackWord,
} from '../../src/core/counter-word.js';
import { randomised, seed } from '../support/runs.js';

const edge = (max: number, ...others: number[]) =>
  fc.oneof(fc.constantFrom(0, 1, max, max - 1, ...others), fc.integer({ min: 0, max }));
/** Every legal word: the ceiling never exceeds the last number that there is. */
const word = fc
  .tuple(edge(maxRemaining), edge(maxSequenceNumber, 2 ** 31, 2 ** 32))
  .map(([remaining, last]) => ({ last: Math.min(last, maxSequenceNumber - remaining), remaining }));
const count = fc.integer({ min: 1, max: 1_000 });

describe(`the counter word, seed ${seed}`, () => {
  it('I3: packs and unpacks every legal word without loss', () => {
    fc.assert(
      fc.property(word, (of) => {
        const packed = packWord(of);
        expect(Number.isSafeInteger(packed)).toBe(true);
        expect(unpackWord(packed)).toEqual(of);
        expect([lastOf(packed), remainingOf(packed)]).toEqual([of.last, of.remaining]);
        // In redis-cli the last twelve digits are the last number.
        expect(Number(String(packed).slice(-12))).toBe(of.last);
      }),
      randomised,
    );
  });

  it('I1: a take succeeds exactly when the block can give the numbers', () => {
    fc.assert(
      fc.property(word, count, (of, n) => {
        // Computed with integers of any size, as Redis does.
        const exact =
          BigInt(of.remaining) * 10n ** 12n + BigInt(of.last) + BigInt(n) - BigInt(n) * 10n ** 12n;
        const after = takeFrom(packWord(of), n);
        expect(after !== undefined).toBe(of.remaining >= n);
        if (after !== undefined) expect(BigInt(after)).toBe(exact);
        expect(packWord(of) + takeStep(n) - takeStep(n)).toBe(packWord(of));
      }),
      randomised,
    );
  });

  it('I2: a take never changes the ceiling', () => {
    fc.assert(
      fc.property(word, count, (of, n) => {
        const after = takeFrom(packWord(of), n);
        if (after !== undefined) {
          expect(ceilingOf(unpackWord(after)!)).toBe(ceilingOf(of));
          expect(unpackWord(after)!.last).toBe(of.last + n);
        }
      }),
      randomised,
    );
  });

  it('the very last number is not taken twice: its step gives zero, not less', () => {
    const used = packWord({ last: maxSequenceNumber, remaining: 0 });
    expect(used + takeStep(1)).toBe(0);
    expect(takeFrom(used, 1)).toBeUndefined();
    expect(takeFrom(0, 1)).toBeUndefined();
  });

  it('knows what is no word', () => {
    for (const wrong of [-1, 0.5, maxWord + 1, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(isWord(wrong)).toBe(false);
      expect(unpackWord(wrong)).toBeUndefined();
    }
    expect(isWord(maxWord)).toBe(true);
  });
});
