import { closeSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Held } from './held.js';

describe('growth', () => {
  function growthOf(values: readonly number[]): { memoryMiB: number; descriptors: number } {
    const held = new Held();
    held.samples.push(
      ...values.map((value, index) => ({ atMs: index, memoryMiB: value, descriptors: 10 * value })),
    );
    return { memoryMiB: held.growth('memoryMiB'), descriptors: held.growth('descriptors') };
  }
  const quarters = (...values: number[]) => values.flatMap((value) => Array.from({ length: 8 }, () => value));

  it('is that from the second quarter to the last; what is before and between does not count', () => {
    expect(growthOf(quarters(1, 100, 500, 150))).toEqual({ memoryMiB: 0.5, descriptors: 0.5 });
    expect(growthOf(quarters(900, 100, 100, 100)).memoryMiB).toBe(0);
    expect(growthOf(quarters(100, 200, 200, 150)).memoryMiB).toBe(-0.25);
  });

  it('is not that of one moment', () => {
    const values = quarters(100, 100, 100, 100);
    values[31] = 10_000;
    values[12] = 1;
    expect(growthOf(values).memoryMiB).toBe(0);
  });

  it('shows a leak that is as steady as it is slow', () => {
    const values = Array.from({ length: 400 }, (_, index) => 100 + index / 10);
    expect(growthOf(values).memoryMiB).toBeGreaterThan(0.15);
  });

  it('is none where there is nothing to compare', () => {
    for (const values of [[], [1], [1, 2], [1, 2, 3]]) expect(growthOf(values).memoryMiB).toBe(0);
  });
});

describe('a sample', () => {
  it('has the memory and the descriptors of all processes together', () => {
    const held = new Held();
    const one = held.take([process.pid])!;
    const two = held.take([process.pid, process.pid])!;
    const ownMiB = process.memoryUsage.rss() / (1 << 20);
    expect(one.memoryMiB).toBeGreaterThan(ownMiB / 2);
    expect(one.memoryMiB).toBeLessThan(ownMiB * 2);
    expect(two.memoryMiB).toBeGreaterThan(one.memoryMiB * 1.5);
    expect(held.samples).toEqual([one, two]);
    const files = Array.from({ length: 20 }, () => openSync('/dev/null', 'r'));
    expect(held.take([process.pid])!.descriptors).toBe(one.descriptors + 20);
    for (const file of files) closeSync(file);
  });

  it('is none when a process has gone', () => {
    const held = new Held();
    // Above the largest that Linux gives.
    expect(held.take([process.pid, 2 ** 22 + 1])).toBeUndefined();
    expect(held.samples).toEqual([]);
  });
});
