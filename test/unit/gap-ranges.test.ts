import { describe, expect, it } from 'vitest';
import { gapAround, gapRanges } from '../../src/core/gap-ranges.js';
import type { GapReason, NewGap } from '../../src/core/ledger.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';

const conversation = 'group:g';
const all = { from: 1, to: 999_999_999_999, limit: 1_000 };

/** A ledger that was told of gaps one after the other, a millisecond apart, and counts how often it is read. */
async function ledgerOf(
  ...gaps: readonly (readonly [first: number, last: number, reason: GapReason, generation?: number])[]
) {
  let nowMs = 0;
  const ledger = new MemoryLedger(() => nowMs);
  for (const [first, last, reason, generation = 1] of gaps) {
    nowMs += 1;
    const gap: NewGap = { conversation, first, last, reason, generation };
    await ledger.recordGaps([gap]);
  }
  const reads: { from: number; limit: number }[] = [];
  const counted = {
    gaps: (of: string, range: { from: number; to: number; limit: number }) => {
      reads.push({ from: range.from, limit: range.limit });
      return ledger.gaps(of, range);
    },
  };
  return { reads, source: { ledger: counted, conversation, isOver: () => false } };
}

const short = (gaps: readonly (NewGap & { recordedAtMs: number })[]) =>
  gaps.map(({ first, last, reason, generation, recordedAtMs }) => [
    first,
    last,
    reason,
    generation,
    recordedAtMs,
  ]);

describe('merged gaps', () => {
  it('a certain record counts before an uncertain one that was recorded earlier', async () => {
    const { source } = await ledgerOf([1, 10, 'word_lost'], [4, 5, 'abandoned']);
    expect(short(await gapRanges(source, all))).toEqual([
      [1, 3, 'word_lost', 1, 1],
      [4, 5, 'abandoned', 1, 2],
      [6, 10, 'word_lost', 1, 1],
    ]);
  });

  it('of two uncertain ones the first that was recorded counts', async () => {
    const { source } = await ledgerOf([4, 8, 'reply_lost'], [1, 10, 'history_lost', 2]);
    expect(short(await gapRanges(source, all))).toEqual([
      [1, 3, 'history_lost', 2, 2],
      [4, 8, 'reply_lost', 1, 1],
      [9, 10, 'history_lost', 2, 2],
    ]);
  });

  it('one reason and generation side by side is one range, as new as its newest record', async () => {
    const { source } = await ledgerOf([3, 3, 'abandoned'], [1, 2, 'abandoned'], [4, 4, 'abandoned', 2]);
    expect(short(await gapRanges(source, all))).toEqual([
      [1, 3, 'abandoned', 1, 2],
      [4, 4, 'abandoned', 2, 3],
    ]);
  });

  it('a record that does not count anywhere makes nothing newer', async () => {
    const { source } = await ledgerOf([1, 9, 'reply_lost'], [2, 3, 'reply_lost']);
    expect(short(await gapRanges(source, all))).toEqual([[1, 9, 'reply_lost', 1, 1]]);
  });

  it('are cut to what is asked for', async () => {
    const { source } = await ledgerOf([1, 10, 'word_lost'], [20, 30, 'word_lost']);
    expect(short(await gapRanges(source, { from: 5, to: 22, limit: 10 }))).toEqual([
      [5, 10, 'word_lost', 1, 1],
      [20, 22, 'word_lost', 1, 2],
    ]);
    expect(await gapRanges(source, { from: 11, to: 19, limit: 10 })).toEqual([]);
  });

  it('a range that is longer than a page is not split by it', async () => {
    const { source, reads } = await ledgerOf(
      ...Array.from({ length: 30 }, (_, n) => [n + 1, n + 1, 'abandoned'] as const),
      [40, 40, 'abandoned'],
    );
    expect(short(await gapRanges({ ...source, pageSize: 4 }, { ...all, limit: 1 }))).toEqual([
      [1, 30, 'abandoned', 1, 30],
    ]);
    expect(reads.slice(0, 3)).toEqual([
      { from: 1, limit: 4 },
      { from: 4, limit: 4 },
      { from: 7, limit: 4 },
    ]);
  });

  it('more records at one number than a page holds need a larger page', async () => {
    const { source, reads } = await ledgerOf(
      ...Array.from({ length: 9 }, (_, n) => [5, n + 5, 'word_lost'] as const),
      [20, 20, 'abandoned'],
    );
    expect(short(await gapRanges({ ...source, pageSize: 2 }, all))).toEqual([
      [5, 13, 'word_lost', 1, 9],
      [20, 20, 'abandoned', 1, 10],
    ]);
    expect(reads.map(({ limit }) => limit)).toEqual([2, 2, 4, 8, 16]);
  });

  it('reads no further than it has to', async () => {
    const { source, reads } = await ledgerOf(
      ...Array.from({ length: 50 }, (_, n) => [n * 2 + 1, n * 2 + 1, 'abandoned'] as const),
    );
    expect(await gapRanges({ ...source, pageSize: 10 }, { ...all, limit: 9 })).toHaveLength(9);
    expect(reads).toHaveLength(1);
  });

  it('ends when its caller has given up', async () => {
    const { source, reads } = await ledgerOf([1, 1, 'abandoned']);
    expect(await gapRanges({ ...source, isOver: () => true }, all)).toEqual([]);
    expect(reads).toEqual([]);
  });
});

describe('the gap around a number', () => {
  it('is whole, however far below the number it begins', async () => {
    const { source } = await ledgerOf([7, 100_000, 'history_lost'], [100_001, 100_001, 'abandoned']);
    expect(short([(await gapAround(source, 99_999, all.to))!])).toEqual([[7, 100_000, 'history_lost', 1, 1]]);
    expect(short([(await gapAround(source, 100_001, all.to))!])).toEqual([
      [100_001, 100_001, 'abandoned', 1, 2],
    ]);
  });

  it('is none for a number between gaps, below them and above', async () => {
    const { source } = await ledgerOf([5, 6, 'word_lost'], [8, 9, 'word_lost']);
    for (const number of [1, 4, 7, 10, all.to])
      expect(await gapAround(source, number, all.to)).toBeUndefined();
  });
});
