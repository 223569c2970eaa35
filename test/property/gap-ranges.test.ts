/** Merged gaps against a model that asks for each number by itself which record counts. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { gapAround, gapRanges } from '../../src/core/gap-ranges.js';
import { type Gap, type GapReason, gapReasons } from '../../src/core/ledger.js';
import { randomised, seed } from '../support/runs.js';

const conversation = 'group:g';
const largest = 60;
const reasons = Object.keys(gapReasons) as GapReason[];

const record: fc.Arbitrary<Gap> = fc
  .record({
    first: fc.integer({ min: 1, max: largest }),
    length: fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: 1, max: 4 }) },
      fc.integer({ min: 1, max: largest }),
    ),
    reason: fc.constantFrom(...reasons),
    generation: fc.integer({ min: 1, max: 3 }),
    recordedAtMs: fc.integer({ min: 0, max: 5 }),
  })
  .map(({ first, length, ...rest }) => {
    const { certain } = gapReasons[rest.reason];
    return { conversation, first, last: Math.min(largest, first + length - 1), certain, ...rest };
  });

/** A ledger keeps one record for each range. */
const records = fc.uniqueArray(record, {
  maxLength: 40,
  size: 'max',
  selector: (gap) => `${gap.first}-${gap.last}`,
});

const range = fc
  .tuple(fc.integer({ min: 1, max: largest + 5 }), fc.integer({ min: 1, max: largest + 5 }))
  .map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));

/** What the port says of `gaps`, and how often it was asked. */
class Records {
  reads = 0;
  readonly #ordered: readonly Gap[];

  constructor(all: readonly Gap[]) {
    this.#ordered = [...all].sort((a, b) => a.first - b.first || a.last - b.last);
  }

  async gaps(_: string, asked: { from: number; to: number; limit: number }): Promise<readonly Gap[]> {
    this.reads += 1;
    if (this.reads > 10_000) throw new Error('it reads without end');
    return this.#ordered
      .filter((gap) => gap.last >= asked.from && gap.first <= asked.to)
      .slice(0, asked.limit);
  }
}

/** The record that counts for a number, in the words of the documentation. */
function countsAt(all: readonly Gap[], number: number): Gap | undefined {
  const covering = all.filter((gap) => gap.first <= number && number <= gap.last);
  const certain = covering.filter((gap) => gap.certain);
  let left = certain.length > 0 ? certain : covering;
  for (const rank of [
    (gap: Gap) => gap.recordedAtMs,
    (gap: Gap) => gap.generation,
    (gap: Gap) => reasons.indexOf(gap.reason),
  ]) {
    const best = Math.min(...left.map(rank));
    left = left.filter((gap) => rank(gap) === best);
  }
  return left[0];
}

function model(all: readonly Gap[], from: number, to: number): Gap[] {
  const ranges: Gap[] = [];
  for (let number = from; number <= to; number += 1) {
    const counts = countsAt(all, number);
    if (counts === undefined) continue;
    const before = ranges.at(-1);
    const { reason, generation } = counts;
    if (before?.last === number - 1 && before.reason === reason && before.generation === generation) {
      const recordedAtMs = Math.max(before.recordedAtMs, counts.recordedAtMs);
      ranges[ranges.length - 1] = { ...before, last: number, recordedAtMs };
    } else {
      ranges.push({ ...counts, first: number, last: number });
    }
  }
  return ranges;
}

const sourceOf = (ledger: Records, pageSize: number) => ({
  ledger,
  conversation,
  isOver: () => false,
  pageSize,
});
const pageSizes = fc.integer({ min: 1, max: 8 });

describe(`merged gaps (seed ${seed})`, () => {
  it('are those of the model, whatever the size of a page', async () => {
    const property = fc.asyncProperty(records, range, pageSizes, async (all, { from, to }, pageSize) => {
      const found = await gapRanges(sourceOf(new Records(all), pageSize), { from, to, limit: 10_000 });
      expect(found).toEqual(model(all, from, to));
    });
    await fc.assert(property, randomised);
  });

  it('go on behind the last one without losing or splitting a range', async () => {
    const limits = fc.integer({ min: 1, max: 5 });
    const property = fc.asyncProperty(
      records,
      range,
      limits,
      pageSizes,
      async (all, { from, to }, limit, pageSize) => {
        const source = sourceOf(new Records(all), pageSize);
        const found: Gap[] = [];
        for (let start = from; start <= to; ) {
          const some = await gapRanges(source, { from: start, to, limit });
          expect(some.length).toBeLessThanOrEqual(limit);
          found.push(...some);
          if (some.length < limit) break;
          start = some.at(-1)!.last + 1;
        }
        expect(found).toEqual(model(all, from, to));
      },
    );
    await fc.assert(property, randomised);
  });

  it('the one around a number is that of the model, however far below it begins', async () => {
    const far = 10_000;
    const property = fc.asyncProperty(
      records,
      fc.integer({ min: 1, max: largest }),
      pageSizes,
      fc.boolean(),
      async (all, number, pageSize, isFar) => {
        // A range that begins far below what is read at first: single numbers side by side, and one record over all.
        const low: Gap[] = [
          {
            conversation,
            first: 1,
            last: far,
            certain: false,
            reason: 'word_lost',
            generation: 1,
            recordedAtMs: 0,
          },
        ];
        const moved = all.map((gap) => ({ ...gap, first: gap.first + far, last: gap.last + far }));
        const placed = isFar ? [...low, ...moved] : all;
        const at = isFar ? number + far : number;
        const found = await gapAround(sourceOf(new Records(placed), pageSize), at, 999_999_999_999);
        const expected = model(placed, 1, far + largest).find((gap) => gap.first <= at && at <= gap.last);
        expect(found).toEqual(expected);
      },
    );
    await fc.assert(property, { ...randomised, numRuns: Math.ceil(randomised.numRuns / 10) });
  });
});
