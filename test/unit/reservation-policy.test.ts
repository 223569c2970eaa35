import { describe, expect, it } from 'vitest';
import { maxRemaining } from '../../src/core/counter-word.js';
import {
  defaultReservationPolicy as adaptive,
  maxBlockSize,
  nextBlockSize,
  type PreviousBlock,
} from '../../src/core/reservation-policy.js';

const minuteMs = 60_000;

function block(size: number, ageMs: number, usedUp = true): PreviousBlock {
  return { size, ageMs, usedUp };
}

describe('a fixed block size', () => {
  it('stays the same whatever happened to the block before', () => {
    const policy = { kind: 'fixed', size: 100 } as const;
    for (const previous of [undefined, block(7, 1), block(7, 100 * minuteMs), block(7, 1, false)]) {
      expect(nextBlockSize(policy, previous, 1)).toBe(100);
    }
  });

  it('gives way to what is needed', () => {
    expect(nextBlockSize({ kind: 'fixed', size: 100 }, undefined, 101)).toBe(101);
  });
});

describe('the adaptive block size', () => {
  it('starts with 64', () => {
    expect(nextBlockSize(adaptive, undefined, 1)).toBe(64);
    expect(nextBlockSize(adaptive, undefined, 1_000)).toBe(1_000);
  });

  it('doubles when a block lasted less than a minute', () => {
    expect(nextBlockSize(adaptive, block(64, 0), 1)).toBe(128);
    expect(nextBlockSize(adaptive, block(64, minuteMs - 1), 1)).toBe(128);
    expect(nextBlockSize(adaptive, block(64, minuteMs), 1)).toBe(64);
  });

  it('halves when a block lasted more than ten minutes', () => {
    expect(nextBlockSize(adaptive, block(512, 10 * minuteMs), 1)).toBe(512);
    expect(nextBlockSize(adaptive, block(512, 10 * minuteMs + 1), 1)).toBe(256);
    expect(nextBlockSize(adaptive, block(129, 11 * minuteMs), 1)).toBe(64);
  });

  it('does not grow after a block that was lost, but may shrink', () => {
    expect(nextBlockSize(adaptive, block(512, 1, false), 1)).toBe(512);
    expect(nextBlockSize(adaptive, block(512, 11 * minuteMs, false), 1)).toBe(256);
  });

  it('learns nothing from a clock that went back', () => {
    expect(nextBlockSize(adaptive, block(512, -1), 1)).toBe(512);
    expect(nextBlockSize(adaptive, block(512, -100 * minuteMs), 1)).toBe(512);
  });

  it('reaches 4,500 and no more, and 64 and no less', () => {
    let size = nextBlockSize(adaptive, undefined, 1);
    for (let n = 0; n < 20; n += 1) size = nextBlockSize(adaptive, block(size, 1_000), 1);
    expect(size).toBe(maxBlockSize);
    expect(2 * size).toBeLessThanOrEqual(maxRemaining);
    for (let n = 0; n < 20; n += 1) size = nextBlockSize(adaptive, block(size, 60 * minuteMs), 1);
    expect(size).toBe(64);
  });

  it('comes back into its bounds when they have changed, or a large need went before', () => {
    const small = { ...adaptive, initial: 8, max: 32 };
    expect(nextBlockSize(small, block(4_500, 5 * minuteMs), 1)).toBe(32);
    expect(nextBlockSize(adaptive, block(3, 5 * minuteMs), 1)).toBe(64);
  });
});
