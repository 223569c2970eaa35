/** Violations of what readers and holders of tracked takes are promised, and what excuses silence. */

import { describe, expect, it } from 'vitest';
import type { Excuses, ViolationKind } from './judge.js';
import { judged, type Written, type WrittenHistory, wrongs } from './written-history.js';

/** A take of number 1, open until 100. */
const taken = ['S 0 g 1 1 - t', 'E 0 1 1 10 o100'];
const reader = (at: number, number = 1, conversation = 'g') => `C ${conversation} ${number} ${at}`;
const holder = (...lines: string[]) => [...taken, ...lines];

describe('passed: a message that is stored where readers had been told that everything is complete', () => {
  const wrong = ['passed g: 1 was stored after a reader had been told that everything up to 1 is complete'];
  const wrongsOf = (of: string[], ...readers: Written[]) =>
    wrongs({ clients: [of, ...readers], gaps: 'G g 1 1 lease_expired' });

  it('while its take was open: wrong, whatever became of it', () => {
    for (const end of [[], ['D 0 done 60'], ['D 0 counter_unavailable 60']])
      expect(wrongsOf(holder('P 0 50', ...end), reader(49))).toEqual(wrong);
    expect(wrongsOf(holder('P 0 100'), reader(99))).toEqual(wrong);
  });

  it('after its lease: wrong if settling it said that all is well', () => {
    expect(wrongsOf(holder('P 0 101', 'D 0 done 102'), reader(50))).toEqual(wrong);
    expect(wrongsOf(holder('P 0 101', 'D 0 told 102'), reader(50))).toEqual([]);
    // It died before it could be told.
    expect(wrongsOf(holder('P 0 101'), reader(50))).toEqual([]);
  });

  it('the reader was told later, or at the same moment, or less, or of something else', () => {
    const stored = holder('P 0 50', 'D 0 done 60');
    for (const line of [reader(51), reader(50), reader(49, 0), reader(49, 1, 'other')]) {
      expect(wrongsOf(stored, line), line).toEqual([]);
      expect(wrongs({ clients: [line, stored] }), line).toEqual([]);
    }
  });

  it('what is stored again was not stored where readers had passed', () => {
    const again = ['S 0 g 1 61 m t', 'E 0 1 1 62 r o150', 'P 0 70', 'D 0 done 71'];
    const first = ['S 0 g 1 1 m t', 'E 0 1 1 10 o100', 'P 0 50', 'D 0 done 60'];
    expect(wrongs({ clients: [first, reader(65), again] })).toEqual([]);
  });
});

describe('hasty: a holder is told that its take was given up, and its lease had not ended', () => {
  const wrong = ['hasty g: 1 was given up before its lease ended'];

  it('until the very end of the lease', () => {
    expect(wrongs({ clients: [holder('P 0 50', 'D 0 told 60')] })).toEqual(wrong);
    expect(wrongs({ clients: [holder('P 0 50', 'D 0 told 100')] })).toEqual(wrong);
    expect(wrongs({ clients: [holder('P 0 50', 'D 0 told 101')] })).toEqual([]);
  });

  it('another outcome tells nothing', () => {
    for (const outcome of ['done', 'counter_unavailable'])
      expect(wrongs({ clients: [holder('P 0 50', `D 0 ${outcome} 60`)] })).toEqual([]);
  });

  it('one who abandoned it, gave it up', () => {
    const other = ['S 0 g 1 1 - t', 'E 0 1 1 10 o100', 'A 0 40'];
    const same = ['S 0 g 1 1 m t', 'E 0 1 1 10 r o100', 'P 0 50', 'D 0 told 60'];
    const clients = [other.map((line) => line.replace('-', 'm')), same];
    expect(wrongs({ clients })).toEqual([]);
  });
});

describe('unexplained: readers passed the number of a message that was never stored', () => {
  const wrong = ['unexplained g: 1 was never stored, and readers passed it without a gap'];

  it('of a holder that died, or did nothing, or abandoned it', () => {
    for (const more of [[], ['X 900'], ['A 0 50'], ['F 0 timeout 50']]) {
      expect(wrongs({ clients: [holder(...more), reader(200)] })).toEqual(wrong);
      expect(wrongs({ clients: [holder(...more), reader(200)], gaps: 'G g 1 1 abandoned' })).toEqual([]);
    }
  });

  it('with the gap of another number or conversation', () => {
    for (const gaps of ['G g 2 9 abandoned', 'G other 1 1 abandoned'])
      expect(wrongs({ clients: [taken, reader(200)], gaps })).toEqual(wrong);
  });

  it('readers did not come so far, or it was stored', () => {
    expect(wrongs({ clients: [taken, reader(200, 0)] })).toEqual([]);
    expect(wrongs({ clients: [taken, reader(200, 1, 'other')] })).toEqual([]);
    expect(wrongs({ clients: [holder('P 0 50'), reader(200)] })).toEqual([]);
  });

  it('numbers that are not tracked count as settled', () => {
    expect(wrongs({ clients: ['S 0 g 1 1\nE 0 1 1 10', reader(200)] })).toEqual([]);
    expect(wrongs({ clients: ['S 0 g 1 1 m t\nE 0 1 1 10 r', reader(200)] })).toEqual([]);
  });

  it('however large the numbers are', () => {
    const clients = ['S 0 g 1 1 - t\nE 0 999999999999 999999999999 10 o100', 'C g 999999999999 200'];
    const gaps = 'G g 1 999999999998 history_lost';
    expect(judged({ clients, gaps }).violations).toMatchObject([
      { kind: 'unexplained', first: 999_999_999_999 },
    ]);
    expect(wrongs({ clients, gaps: 'G g 1 999999999999 history_lost' })).toEqual([]);
  });
});

/** One violation of each kind, each in a conversation of its own. */
const guilty: WrittenHistory = {
  clients: [
    [
      ...['S 1 P1 1 1', 'E 1 1 1 2', 'S 2 P1 1 2', 'E 2 2 2 3'],
      ...['S 3 P2 1 4', 'E 3 2 2 5', 'S 4 P2 1 6', 'E 4 1 1 7'],
      ...['S 5 P4 1 8', 'E 5 2 2 9'],
      ...['S 6 P5 1 10 m', 'E 6 1 1 11', 'S 7 P5 1 12 m', 'E 7 2 2 13'],
      ...['S 8 passed 1 20 - t', 'E 8 1 1 21 o100', 'C passed 1 22', 'P 8 23', 'D 8 done 24'],
      ...['S 9 hasty 1 30 - t', 'E 9 1 1 31 o100', 'P 9 32', 'D 9 told 33'],
      ...['S 10 unexplained 1 40 - t', 'E 10 1 1 41 o100', 'C unexplained 1 900'],
    ],
    ['S 0 P1 1 1', 'E 0 1 1 3'],
  ],
};

describe('excuses', () => {
  const silenced: Record<keyof Excuses, readonly ViolationKind[]> = {
    order: ['P2'],
    silentReceipts: ['P5'],
    reading: ['passed', 'hasty', 'unexplained'],
  };
  const all: readonly ViolationKind[] = ['P1', 'P2', 'P4', 'P5', 'hasty', 'passed', 'unexplained'];
  const kindsLeft = (excuses: Partial<Excuses>) =>
    judged(guilty, { excuses })
      .violations.map(({ kind }) => kind)
      .sort();

  it('without one, every kind is told of, in its conversation', () => {
    const { violations, isClean } = judged(guilty);
    expect(isClean).toBe(false);
    expect(violations.map(({ kind }) => kind).sort()).toEqual(all);
    for (const { kind, conversation } of violations) expect(conversation).toBe(kind);
  });

  it.each(Object.keys(silenced) as (keyof Excuses)[])('%s silences its kinds, and nothing else', (name) => {
    expect(kindsLeft({ [name]: true })).toEqual(all.filter((kind) => !silenced[name].includes(kind)));
  });

  it('no excuse silences P1 and P4, and what is excused is found all the same', () => {
    const excuses = { order: true, silentReceipts: true, reading: true };
    expect(kindsLeft(excuses)).toEqual(['P1', 'P4']);
    const { found } = judged(guilty, { excuses });
    expect(found).toEqual({ P1: 1, P2: 1, P4: 1, P5: 1, hasty: 1, passed: 1, unexplained: 1 });
  });

  it('a history with what is excused only is clean', () => {
    const clients = ['S 0 g 1 1\nE 0 2 2 2\nS 1 g 1 3\nE 1 1 1 4'];
    expect(judged({ clients }, { excuses: { order: true } }).isClean).toBe(true);
    expect(judged({ clients }, { excuses: { reading: true, silentReceipts: true } }).isClean).toBe(false);
  });
});

it('of each kind the first hundred are kept, and all are counted', () => {
  const lines = Array.from({ length: 300 }, (_, call) => [`S ${call} g 1 ${call}`, `E ${call} 1 1 ${call}`]);
  const { violations, found } = judged({ clients: [lines.flat()] }, { excuses: { order: true } });
  expect(found.P1).toBe(299);
  expect(violations).toHaveLength(100);
});
