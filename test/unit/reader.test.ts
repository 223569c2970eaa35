import { describe, expect, it } from 'vitest';
import type { ReaderGap } from '../../src/reader/index.js';
import { readerOf } from '../support/reader.js';

describe('order', () => {
  it('delivers in order, once, and asks nothing while nothing is missing', async () => {
    const { reader, add, step, asked } = readerOf();
    expect(add(1, 2, 2)).toEqual(['held', 'held', 'duplicate']);
    expect(await step()).toMatchObject({ deliver: [1, 2], fetch: undefined, againInMs: undefined });
    expect(add(2, 3)).toEqual(['duplicate', 'held']);
    expect(await step()).toMatchObject({ deliver: [3], skipped: [] });
    expect(await step()).toMatchObject({ deliver: [] });
    expect([reader.position, asked]).toEqual([3, []]);
  });

  it('holds what comes early, and begins after what the user has', async () => {
    const { add, step } = readerOf({ after: 10 });
    add(13, 12);
    expect(await step()).toMatchObject({ deliver: [], fetch: '11-11' });
    add(10, 11);
    expect(await step()).toMatchObject({ deliver: [11, 12, 13], againInMs: undefined });
  });

  it('notices a missing end when it is told of one', async () => {
    const { reader, step, asked } = readerOf({ maxFetch: 50 });
    reader.expect(0);
    expect(await step()).toMatchObject({ fetch: undefined, againInMs: undefined });
    reader.expect(120);
    expect(await step()).toMatchObject({ fetch: '1-50' });
    expect(asked).toEqual([{ from: 1, to: 120 }]);
    reader.expect(60);
    expect(await step()).toMatchObject({ fetch: undefined });
  });

  it('overlapping calls deliver each message once', async () => {
    const { add, step } = readerOf();
    add(1, 2, 4);
    const steps = await Promise.all([step(), step(), step()]);
    expect(steps.flatMap((made) => made.deliver)).toEqual([1, 2]);
    expect(steps.flatMap((made) => made.fetch ?? [])).toEqual(['3-3']);
  });
});

describe('gaps', () => {
  it('a certain gap is skipped at once, however large, and without a fetch', async () => {
    const { add, step, asked } = readerOf({ answer: () => [{ first: 1, last: 10 ** 9, certain: true }] });
    add(10 ** 9 + 1);
    expect(await step()).toMatchObject({ deliver: [10 ** 9 + 1], skipped: ['1-1000000000 certain'] });
    expect(asked).toHaveLength(1);
  });

  it('a message that is held is delivered even if a gap is said to cover it', async () => {
    const { add, step } = readerOf({ answer: () => [{ first: 1, last: 9, certain: true }] });
    add(5, 10);
    expect(await step()).toMatchObject({ skipped: ['1-4 certain'], deliver: [5], againInMs: 0 });
    expect(await step()).toMatchObject({ skipped: ['6-9 certain'], deliver: [10] });
  });

  it('does not fetch certain numbers at the end of the hole, nor more than a fetch may', async () => {
    const certain = [40, 41, 42].map((number) => ({ first: number, last: number, certain: true }));
    const { add, step } = readerOf({ answer: () => certain, maxFetch: 42 });
    add(1_000);
    expect(await step()).toMatchObject({ fetch: '1-39' });
  });

  it('an uncertain number is waited for through the grace, and skipped after a fetch that began later', async () => {
    const { reader, add, step, time } = readerOf({
      answer: () => [{ first: 1, last: 3, certain: false, ageMs: 4_000 }],
    });
    add(4);
    const early = await step();
    expect(early.fetch).toBe('1-3');
    time.nowMs += 6_000;
    // Began before the grace ended, so it shows nothing.
    reader.fetched(early.offered!);
    const later = await step();
    expect(later).toMatchObject({ skipped: [], fetch: '1-3' });
    add(2);
    reader.fetched(later.offered!);
    expect(await step()).toMatchObject({ skipped: ['1-1 uncertain', '3-3 uncertain'], deliver: [2, 4] });
  });

  it('within the grace it calls for a step exactly when the grace ends', async () => {
    const { run, add, time } = readerOf({ answer: () => [{ first: 1, last: 1, certain: false }] });
    const startMs = time.nowMs;
    add(2);
    const seen = await run([], 20_000);
    expect(seen).toMatchObject({ skipped: ['1-1 uncertain'], delivered: [2] });
    expect(seen.fetchedAtMs.map((ms) => ms - startMs)).toEqual([0, 250, 750, 1_750, 3_750, 7_750, 10_000]);
  });

  it.each<[string, Partial<ReaderGap>, number]>([
    ['an age', { ageMs: 9_000 }, 1_000],
    ['a moment', { recordedAtMs: 993_000 }, 3_000],
    ['a moment to come', { recordedAtMs: 9_999_999 }, 10_000],
    ['no age', {}, 10_000],
    ['a negative age', { ageMs: -5 }, 10_000],
    ['an age that is none', { ageMs: Number.NaN }, 10_000],
    ['an endless age', { ageMs: Number.POSITIVE_INFINITY }, 10_000],
  ])('the grace of a gap with %s', async (_name, age, graceMs) => {
    const { run, add, time } = readerOf({ answer: () => [{ first: 1, last: 1, certain: false, ...age }] });
    const startMs = time.nowMs;
    add(2);
    const seen = await run([], 60_000);
    expect([seen.skipped, seen.fetchedAtMs.at(-1)! - startMs]).toEqual([['1-1 uncertain'], graceMs]);
  });

  it('asks on when an answer holds only the first gaps', async () => {
    const all = Array.from({ length: 50 }, (_, index) => ({
      first: 10 * index + 1,
      last: 10 * index + 10,
      certain: true,
    }));
    const { add, run, asked } = readerOf({
      answer: ({ from, to }) => all.filter((gap) => gap.last >= from && gap.first <= to).slice(0, 4),
    });
    add(501);
    const seen = await run([], 0);
    expect(seen).toMatchObject({ delivered: [501], fetchedAtMs: [] });
    expect(seen.skipped).toEqual(
      Array.from({ length: 13 }, (_, part) => `${40 * part + 1}-${Math.min(500, 40 * part + 40)} certain`),
    );
    expect(asked).toHaveLength(13);
  });
});

describe('missing numbers', () => {
  it('are skipped after patience and a fetch that began later', async () => {
    const { run, add, time } = readerOf();
    const startMs = time.nowMs;
    add(3);
    const seen = await run([], 100_000);
    expect(seen).toMatchObject({ skipped: ['1-2 missing'], delivered: [3] });
    expect(seen.fetchedAtMs.at(-1)! - startMs).toBe(60_000);
    expect(seen.fetchedAtMs.length).toBeLessThan(20);
  });

  it('each counts from when something behind it was first heard of', async () => {
    const { reader, add, run } = readerOf({ patienceMs: 10_000 });
    reader.expect(1);
    await run([], 4_000);
    add(3);
    await run([], 4_000);
    reader.expect(5);
    expect(await run([], 1_999)).toMatchObject({ skipped: [] });
    expect(await run([], 1)).toMatchObject({ skipped: ['1-1 missing'], delivered: [] });
    expect(await run([], 3_999)).toMatchObject({ skipped: [] });
    expect(await run([], 1)).toMatchObject({ skipped: ['2-2 missing'], delivered: [3] });
    expect(await run([], 3_999)).toMatchObject({ skipped: [] });
    expect(await run([], 1)).toMatchObject({ skipped: ['4-5 missing'] });
  });

  it('do not include those of a gap behind them', async () => {
    const { add, run } = readerOf({
      answer: () => [{ first: 4, last: 6, certain: false }],
      patienceMs: 1_000,
    });
    add(10);
    expect((await run([], 1_000)).skipped).toEqual(['1-3 missing']);
    expect((await run([5], 9_000)).skipped).toEqual(['4-4 uncertain', '6-6 uncertain', '7-9 missing']);
  });

  it('do not include those that the source was not asked about, or has not come to', async () => {
    const all = [3, 10, 11].map((number) => ({ first: number, last: number, certain: true }));
    const { add, run } = readerOf({
      answer: ({ from }) => all.filter((gap) => gap.last >= from).slice(0, 1),
      patienceMs: 0,
    });
    add(14);
    expect(await run([], 1_000)).toMatchObject({
      skipped: [
        '1-2 missing',
        '3-3 certain',
        '4-9 missing',
        '10-10 certain',
        '11-11 certain',
        '12-13 missing',
      ],
      delivered: [14],
    });
  });

  it('do not include those that messages hid which were dropped', async () => {
    const { add, run } = readerOf({
      answer: ({ to }) => (to < 11 ? [] : [{ first: 11, last: 11, certain: true }]),
      maxHeld: 4,
      patienceMs: 5_000,
    });
    add(10, 12);
    await run([], 0);
    add(2, 3, 4, 5, 1);
    expect(await run([], 5_000)).toMatchObject({
      skipped: ['5-8 missing', '9-10 missing', '11-11 certain', '12-12 missing'],
      delivered: [1, 2, 3, 4],
    });
  });

  it('a gap that is recorded late still explains them', async () => {
    const { reader, add, step, run, time, asked } = readerOf({
      answer: () => (time.nowMs < 1_004_000 ? [] : [{ first: 1, last: 8, certain: true }]),
    });
    add(9);
    const { skipped } = await run([], 8_000);
    expect(skipped).toEqual(['1-8 certain']);
    expect(asked.length).toBeLessThan(8);
    expect([reader.position, (await step()).againInMs]).toEqual([9, undefined]);
  });

  it('with endless patience they are never skipped', async () => {
    const { add, run, asked } = readerOf({ patienceMs: Number.POSITIVE_INFINITY });
    add(2);
    const seen = await run([], 1_000_000);
    expect(seen.skipped).toEqual([]);
    expect([seen.fetchedAtMs.length, asked.length].every((count) => count > 150 && count < 250)).toBe(true);
    expect((await run([1], 10_000)).delivered).toEqual([1, 2]);
  });

  it('a long dead hole takes one fetch for each of its parts once patience has ended', async () => {
    const { reader, run, time } = readerOf();
    reader.expect(1_000);
    const startMs = time.nowMs;
    const seen = await run([], 60_000);
    expect(seen.skipped).toEqual(
      ['1-200', '201-400', '401-600', '601-800', '801-1000'].map((r) => `${r} missing`),
    );
    expect(seen.fetchedAtMs.filter((ms) => ms === startMs + 60_000)).toHaveLength(5);
  });
});

describe('fetches', () => {
  it('one that has not ended is not offered again, until it lapses', async () => {
    const { step, add } = readerOf();
    add(2);
    expect(await step()).toMatchObject({ fetch: '1-1' });
    expect(await step(29_999)).toMatchObject({ fetch: undefined });
    expect(await step(1)).toMatchObject({ fetch: '1-1', offered: { id: 2 } });
  });

  it('what follows a fetch that brought its range is offered at once', async () => {
    const { reader, run } = readerOf({ maxFetch: 10 });
    reader.expect(35);
    const stored = Array.from({ length: 35 }, (_, index) => index + 1);
    const seen = await run(stored, 0);
    expect([seen.delivered, seen.fetchedAtMs.length]).toEqual([stored, 4]);
  });

  it('a part of it shows only that part', async () => {
    const { reader, step, add } = readerOf({ patienceMs: 0 });
    reader.expect(100);
    const { offered } = await step();
    add(1, 2, 3);
    reader.fetched({ ...offered!, to: 5 });
    expect(await step()).toMatchObject({ deliver: [1, 2, 3], skipped: ['4-5 missing'], fetch: '6-100' });
  });

  it('one that failed shows nothing, and is offered again after a growing delay', async () => {
    const { reader, step, add } = readerOf({ patienceMs: 0 });
    add(2);
    let made = await step();
    for (const delayMs of [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
      reader.fetchFailed(made.offered!);
      expect(await step()).toMatchObject({ fetch: undefined, skipped: [], againInMs: delayMs });
      expect(await step(delayMs - 1)).toMatchObject({ fetch: undefined });
      made = await step(1);
      expect(made.fetch).toBe('1-1');
    }
    reader.fetched(made.offered!);
    expect(await step()).toMatchObject({ skipped: ['1-1 missing'], deliver: [2] });
  });

  it.each(['first', 'last'])(
    'one that lapsed and ends %s does not count as newer than it is',
    async (ends) => {
      const { reader, step, add } = readerOf({
        answer: () => [{ first: 1, last: 1, certain: false }],
        graceMs: 20_000,
      });
      add(2);
      const { offered: old } = await step();
      const { offered: newer } = await step(30_000);
      expect(newer).toEqual({ from: 1, to: 1, id: 2 });
      if (ends === 'first') {
        reader.fetched(old!);
        reader.fetched(old!);
        expect(await step()).toMatchObject({ skipped: [], fetch: undefined });
        reader.fetched(newer!);
      } else {
        reader.fetched(newer!);
        reader.fetched(old!);
      }
      expect(await step()).toMatchObject({ skipped: ['1-1 uncertain'] });
    },
  );
});
