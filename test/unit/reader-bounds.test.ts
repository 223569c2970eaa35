import { describe, expect, it } from 'vitest';
import { Reader, type ReaderGap, type ReaderOptions } from '../../src/reader/index.js';
import { readerOf } from '../support/reader.js';

const largest = 999_999_999_999;

describe('the gaps source', () => {
  it('may fail: what is ready is delivered, the step says so, and it is asked again later', async () => {
    let fails = true;
    const { add, step, run, asked } = readerOf({
      answer: () => (fails ? Promise.reject(new Error('away')) : [{ first: 2, last: 4, certain: true }]),
    });
    add(1, 5);
    expect(await step()).toMatchObject({ deliver: [1], againInMs: 0, gapsError: undefined });
    const failed = await step();
    expect(failed).toMatchObject({ fetch: '2-4', againInMs: 250 });
    expect(String(failed.gapsError)).toBe('Error: away');
    expect(await step()).toMatchObject({ gapsError: undefined });
    await run([], 10_000);
    expect(asked.length).toBeLessThan(8);
    fails = false;
    expect((await run([], 10_000)).delivered).toEqual([5]);
  });

  it('that always fails does not stop the reader', async () => {
    // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- a source may do so
    const answer = () => Promise.reject(undefined);
    const { add, run } = readerOf({ answer });
    add(1, 3);
    expect(await run([], 100_000)).toMatchObject({ delivered: [1, 3], skipped: ['2-2 missing'] });
  });

  it('does not keep back messages while it has not answered', async () => {
    let answer: (gaps: ReaderGap[]) => void = () => undefined;
    const { add, step } = readerOf({
      answer: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    add(2, 4);
    const waiting = step();
    add(1);
    expect(await waiting).toMatchObject({ deliver: [1, 2], againInMs: 0 });
    const next = step();
    answer([]);
    expect(await next).toMatchObject({ deliver: [], fetch: '3-3' });
  });

  it('that never answers is given up at the next arrival after 30 seconds', async () => {
    const { add, step, time } = readerOf({ answer: () => new Promise(() => undefined) });
    add(2);
    const waiting = step();
    await new Promise(setImmediate);
    time.nowMs += 30_000;
    add(3);
    const made = await waiting;
    expect([made.fetch, String(made.gapsError)]).toEqual([
      '1-1',
      'Error: the gaps source did not answer within 30000 ms',
    ]);
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['text', 'no gaps'],
    ['an object', { length: 1 }],
  ])('that answers %s has failed', async (_name, answer) => {
    const { add, step } = readerOf({ answer: () => answer });
    add(2);
    expect((await step()).gapsError).toBeInstanceOf(TypeError);
  });

  it('entries that are no gaps are left out, and the rest is clipped', async () => {
    const gap = (first: unknown, last: unknown) => ({ first, last, certain: true });
    const nonsense = [
      ...[null, 5, 'gap', {}, gap(Number.NaN, 5), gap(1, Number.POSITIVE_INFINITY), gap(9, 1), gap(0, 5)],
      ...[gap('1', '5'), gap(1.5, 5), gap(-3, 4), gap(1, largest + 1), gap(21, 30), gap(500, 900)],
    ];
    const { add, step } = readerOf({ answer: () => [...nonsense, gap(15, largest), gap(1, 8)], after: 3 });
    add(20, 25);
    expect(await step()).toMatchObject({ skipped: ['4-8 certain'], fetch: '9-14' });
    add(9, 10, 11, 12, 13, 14);
    expect(await step()).toMatchObject({ deliver: [9, 10, 11, 12, 13, 14, 20], skipped: ['15-19 certain'] });
  });

  it('where gaps overlap, the uncertain one holds, and what was learned first stays', async () => {
    const { add, step } = readerOf({
      answer: () => [
        { first: 1, last: 9, certain: true },
        { first: 4, last: 5, certain: false },
        { first: 5, last: 6, certain: false },
        { first: 1, last: 2, certain: true },
      ],
    });
    add(10);
    expect(await step()).toMatchObject({ skipped: ['1-3 certain'], fetch: '4-6' });
  });

  it('a huge list is taken in parts', async () => {
    const huge = Array.from({ length: 100_000 }, (_, index) => ({
      first: 2 * index + 1,
      last: 2 * index + 1,
      certain: true,
    }));
    const { add, step } = readerOf({
      answer: ({ from }) => huge.filter((gap) => gap.last >= from),
      patienceMs: 0,
    });
    add(300_000);
    expect(await step()).toMatchObject({ skipped: ['1-1 certain'], fetch: '2-200' });
    expect(await step()).toMatchObject({ skipped: [] });
  });
});

describe('bounds', () => {
  it('the largest number arriving first costs nothing', async () => {
    const { reader, add, step, asked } = readerOf();
    expect(add(largest)).toEqual(['held']);
    expect(await step()).toMatchObject({ fetch: '1-200', deliver: [] });
    expect(asked).toEqual([{ from: 1, to: largest - 1 }]);
    add(1, 2);
    expect(await step()).toMatchObject({ deliver: [1, 2] });
    expect(reader.position).toBe(2);
  });

  it('the highest messages are dropped, and offered for fetching in their turn', async () => {
    const { add, step, run } = readerOf({ maxHeld: 3 });
    expect(add(5, 9, 7, 8, 6, 9)).toEqual(['held', 'held', 'held', 'held', 'held', 'dropped']);
    expect((await step()).fetch).toBe('1-3');
    add(1, 2, 3, 4);
    expect((await run([1, 2, 3, 4, 5, 6, 7, 8, 9], 1_000)).delivered).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('a fetch that brought a message that had to be dropped does not show that it is missing', async () => {
    const { reader, add, step, run } = readerOf({ maxHeld: 3, patienceMs: 0 });
    reader.expect(6);
    const { offered } = await step();
    expect(offered).toMatchObject({ from: 1, to: 3 });
    add(4, 5, 6, 2, 3, 1);
    reader.fetched(offered!);
    expect(await run([1, 2, 3, 4, 5, 6], 0)).toMatchObject({ delivered: [1, 2, 3, 4, 5, 6], skipped: [] });
  });

  it('endless news of the end does not renew patience', async () => {
    const { reader, run } = readerOf({ patienceMs: 10_000 });
    const skipped: string[] = [];
    for (let upTo = 1; upTo <= 400; upTo += 1) {
      reader.expect(upTo);
      skipped.push(...(await run([], 100)).skipped);
    }
    expect(skipped.length).toBeGreaterThan(100);
    expect(reader.position).toBeGreaterThan(200);
  });

  it('however much is heard of, the first missing number is waited for exactly as long as it should be', async () => {
    const { reader, run, time } = readerOf({ patienceMs: 10_000 });
    const startMs = time.nowMs;
    for (let upTo = 1; upTo <= 200; upTo += 1) {
      reader.expect(upTo);
      time.nowMs += upTo === 1 ? 1 : 10;
    }
    expect((await run([], startMs + 9_999 - time.nowMs)).skipped).toEqual([]);
    expect((await run([], 1)).skipped).toEqual(['1-1 missing']);
  });

  it('a clock that goes back or says nothing sensible only waits', async () => {
    const { add, run, step, time } = readerOf({ patienceMs: 10_000 });
    add(2);
    await run([], 5_000);
    await run([], 0);
    time.nowMs -= 1_000_000;
    expect(await run([], 0)).toMatchObject({ skipped: [] });
    const before = time.nowMs;
    time.nowMs = Number.NaN;
    expect(await step()).toMatchObject({ skipped: [], fetch: undefined });
    time.nowMs = before;
    expect((await run([], 4_999)).skipped).toEqual([]);
    expect((await run([], 1)).skipped).toEqual(['1-1 missing']);
  });
});

describe('late messages', () => {
  it('are told once', async () => {
    const { add, step } = readerOf({ answer: () => [{ first: 2, last: 5, certain: true }] });
    add(1, 6);
    await step();
    await step();
    expect(add(3, 3, 1, 6, 2, 5, 4, 4)).toEqual([
      ...['late', 'duplicate', 'duplicate', 'duplicate'],
      ...['late', 'late', 'late', 'duplicate'],
    ]);
  });

  it('of ranges long ago are not told from duplicates', async () => {
    const { add, step } = readerOf({
      answer: ({ from }) => [{ first: from, last: from, certain: true }],
    });
    for (let number = 2; number <= 2_400; number += 2) {
      add(number);
      expect((await step()).deliver).toEqual([number]);
    }
    expect(add(1, 2_199, 2_201, 2_399)).toEqual(['duplicate', 'duplicate', 'late', 'late']);
  });
});

describe('arguments', () => {
  it.each<[string, unknown, string]>([
    ['no options', undefined, 'TypeError: a reader is made from options; give { gaps }, got undefined'],
    ['null', null, 'TypeError: a reader is made from options; give { gaps }, got null'],
    ['no gaps', {}, 'TypeError: gaps must be a function'],
    ['a clock', { nowMs: 5 }, 'TypeError: nowMs must be a function'],
    ['after', { after: -1 }, 'RangeError: after must be an integer; give one from 0 to 999999999999, got -1'],
    ['maxHeld', { maxHeld: 0 }, 'RangeError: maxHeld must be an integer; give one from 1 to 1000000, got 0'],
    ['maxFetch', { maxFetch: '5' }, 'TypeError: maxFetch must be a number; give an integer, got string'],
    [
      'graceMs',
      { graceMs: -1 },
      'RangeError: graceMs must not be below 0; give milliseconds or Infinity, got -1',
    ],
    ['patienceMs', { patienceMs: Number.NaN }, 'RangeError: patienceMs must not be below 0'],
    [
      'a wait',
      { patienceMs: '1s' },
      'TypeError: patienceMs must be a number; give milliseconds or Infinity, got string',
    ],
  ])('refuses %s', (_name, wrong, message) => {
    const given = wrong && Object.keys(wrong).length > 0 ? { gaps: async () => [], ...wrong } : wrong;
    expect(() => new Reader(given as ReaderOptions)).toThrow(/^/);
    try {
      new Reader(given as ReaderOptions);
    } catch (error) {
      expect(String(error)).toContain(message);
    }
  });

  it('takes options that are left undefined', async () => {
    const options = { gaps: async () => [], after: undefined } as unknown as ReaderOptions;
    expect(new Reader(options).position).toBe(0);
  });

  it('refuses numbers that no message has, and what is no fetch', async () => {
    const { reader, step } = readerOf();
    for (const wrong of [0, -1, 1.5, Number.NaN, largest + 1]) {
      expect(() => reader.add(wrong, 'm')).toThrow(RangeError);
      if (wrong !== 0) expect(() => reader.expect(wrong)).toThrow(RangeError);
    }
    expect(() => reader.add('1' as unknown as number, 'm')).toThrow(TypeError);
    reader.expect(9);
    const { offered } = await step();
    for (const wrong of [undefined, null, {}, { from: 1, to: 9 }])
      expect(() => reader.fetched(wrong as never)).toThrow(TypeError);
    expect(() => reader.fetched({ ...offered!, to: 0 })).toThrow(RangeError);
    expect(() => reader.fetchFailed({ ...offered!, from: 2 })).toThrow(/the fetch offered begins at 1/);
    reader.fetched({ from: 1, to: 9, id: 77 });
    expect(await step()).toMatchObject({ fetch: undefined, skipped: [] });
  });
});
