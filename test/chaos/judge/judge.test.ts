/** Histories with each kind of violation are caught, and the nearest innocent ones are clean: numbers. */

import { describe, expect, it } from 'vitest';
import { judged, wrongs } from './written-history.js';

describe('P1: a number that is issued twice', () => {
  it('to two calls of one process, and of two', () => {
    const one = ['S 0 g 1 1', 'E 0 1 1 2'];
    expect(wrongs({ clients: [[...one, 'S 1 g 1 1', 'E 1 1 1 2']] })).toContain('P1 g: 1 was issued twice');
    expect(wrongs({ clients: [one, ['S 0 g 1 1', 'E 0 1 1 2']] })).toEqual(['P1 g: 1 was issued twice']);
    expect(wrongs({ clients: [one, ['S 0 g 1 1', 'E 0 2 2 2']] })).toEqual([]);
    expect(wrongs({ clients: [one, ['S 0 other 1 1', 'E 0 1 1 2']] })).toEqual([]);
  });

  it('in ranges that overlap: exactly the part that they have in common', () => {
    const history = (first: number, last: number) => ({
      clients: [
        ['S 0 g 5 1', 'E 0 1 5 9'],
        [`S 0 g ${last - first + 1} 1`, `E 0 ${first} ${last} 9`],
      ],
    });
    expect(wrongs(history(4, 8))).toEqual(['P1 g: 4…5 was issued twice']);
    expect(wrongs(history(2, 3))).toEqual(['P1 g: 2…3 was issued twice']);
    expect(wrongs(history(5, 5))).toEqual(['P1 g: 5 was issued twice']);
    expect(wrongs(history(1, 5))).toEqual(['P1 g: 1…5 was issued twice']);
    expect(wrongs(history(6, 8))).toEqual([]);
  });

  it('in a range over several others: each part', () => {
    const clients = [
      ['S 0 g 2 1', 'S 1 g 2 1', 'E 0 1 2 9', 'E 1 5 6 9'],
      ['S 0 g 7 1', 'E 0 1 7 9'],
    ];
    const { violations, counts } = judged({ clients });
    expect(violations).toMatchObject([
      { kind: 'P1', conversation: 'g', first: 1, last: 2 },
      { kind: 'P1', conversation: 'g', first: 5, last: 6 },
    ]);
    expect(counts).toMatchObject({ duplicates: 4, numbers: 11, missing: 0 });
  });

  it('a third time counts again', () => {
    const clients = [1, 2, 3].map(() => ['S 0 g 1 1', 'E 0 1 1 9']);
    expect(judged({ clients }).counts.duplicates).toBe(2);
  });

  it('to two messages, and to a message and a call without one', () => {
    const message = ['S 0 g 1 1 m1', 'E 0 1 1 9'];
    const wrong = ['P1 g: 1 was issued twice'];
    expect(wrongs({ clients: [message, ['S 0 g 1 1 m2', 'E 0 1 1 9']] })).toEqual(wrong);
    expect(wrongs({ clients: [message, ['S 0 g 1 1 m2', 'E 0 1 1 9 r']] })).toEqual(wrong);
    expect(wrongs({ clients: [message, ['S 0 g 1 1', 'E 0 1 1 9']] })).toEqual(wrong);
    expect(wrongs({ clients: [message, ['S 0 g 1 10', 'E 0 2 2 11']] })).toEqual([]);
  });

  it('to a message that has another number already: both are wrong', () => {
    const clients = [
      ['S 0 g 1 1 m1', 'E 0 1 1 9'],
      ['S 0 g 1 1 m2', 'E 0 2 2 9', 'S 1 g 1 9 m2', 'E 1 1 1 12 r'],
    ];
    expect(wrongs({ clients })).toEqual([
      'P1 g: 1 was issued twice',
      'P5 g: message m2 got 1 after 2, and no event told of it',
    ]);
  });

  it('the same message may have it as often as it is sent', () => {
    const clients = [
      ['S 0 g 1 1 m1', 'E 0 1 1 9'],
      ['S 0 g 1 1 m1', 'E 0 1 1 8 r', 'S 1 g 1 20 m1', 'E 1 1 1 21 r'],
    ];
    expect(judged({ clients })).toMatchObject({ isClean: true, counts: { numbers: 1, duplicates: 0 } });
  });
});

describe('P2: a smaller number after a larger one was known', () => {
  const known = ['S 0 g 1 1', 'E 0 2 2 10'];
  const gaps = 'G g 1 3 word_lost';

  it('in one process, and across processes', () => {
    const wrong = ['P2 g: 1 was issued to a call that began after 2 was known'];
    expect(wrongs({ clients: [[...known, 'S 1 g 1 11', 'E 1 1 1 12']] })).toEqual(wrong);
    expect(wrongs({ clients: [known, ['S 0 g 1 11', 'E 0 1 1 12']] })).toEqual(wrong);
    expect(wrongs({ clients: [['S 0 g 1 11', 'E 0 1 1 12'], known] })).toEqual(wrong);
    expect(wrongs({ clients: [known, ['S 0 g 1 11', 'E 0 3 3 12']], gaps })).toEqual([]);
    expect(wrongs({ clients: [known, ['S 0 other 1 11', 'E 0 1 1 12']], gaps })).toEqual([]);
  });

  it('calls that overlap have no order, and neither have those whose times are equal', () => {
    for (const start of [9, 10])
      for (const clients of [
        [known, [`S 0 g 1 ${start}`, 'E 0 1 1 12']],
        [[`S 0 g 1 ${start}`, 'E 0 1 1 12'], known],
      ])
        expect(wrongs({ clients })).toEqual([]);
  });

  it('what counts is the largest number that was known, however long ago and to whom', () => {
    const clients = [
      ['S 0 g 1 1', 'E 0 5 5 2'],
      ['S 0 g 1 1', 'E 0 2 2 3'],
      ['S 0 g 2 4', 'E 0 3 4 900'],
    ];
    expect(judged({ clients, gaps: 'G g 1 1 word_lost' }).violations).toEqual([
      {
        ...{ kind: 'P2', conversation: 'g', first: 3, last: 5 },
        text: '3 was issued to a call that began after 5 was known',
      },
    ]);
  });

  it('a range that begins below and ends above it', () => {
    const clients = [known, ['S 0 g 3 11', 'E 0 1 3 12']];
    expect(wrongs({ clients })).toEqual([
      'P2 g: 1 was issued to a call that began after 2 was known',
      'P1 g: 2 was issued twice',
    ]);
  });

  it('a number that is repeated for its message is none, though nobody had been told of it', () => {
    const clients = (flag: string) => [known, ['S 0 g 1 11 m', `E 0 1 1 12${flag}`]];
    expect(wrongs({ clients: clients(' r') })).toEqual([]);
    expect(wrongs({ clients: clients('') })).toHaveLength(1);
  });
});

describe('P4: a number that nobody got, and nothing explains', () => {
  const history = (gaps: string, numbers = 'E 0 6 6 2') => ({
    clients: [
      ['S 0 g 1 1', numbers],
      ['S 0 g 2 1', 'E 0 1 2 2'],
    ],
    gaps,
  });

  it('the hole, the rest of one that is partly explained, and none', () => {
    const hole = (range: string) => [`P4 g: nobody got ${range}, and no gap explains it`];
    expect(wrongs(history(''))).toEqual(hole('3…5'));
    expect(wrongs(history('G g 3 4 word_lost'))).toEqual(hole('5'));
    expect(wrongs(history('G g 1 3 word_lost'))).toEqual(hole('4…5'));
    expect(wrongs(history('G g 4 4 word_lost'))).toEqual([...hole('3'), ...hole('5')]);
    expect(wrongs(history('G g 5 5 a\nG g 3 3 b'))).toEqual(hole('4'));
    expect(wrongs(history('G g 5 9 a\nG g 3 4 b'))).toEqual([]);
    expect(wrongs(history('G g 1 900 a'))).toEqual([]);
    expect(wrongs(history('', 'E 0 3 3 2'))).toEqual([]);
  });

  it('the gap of another conversation explains nothing', () => {
    expect(wrongs(history('G other 3 5 word_lost'))).toHaveLength(1);
  });

  it('at the start', () => {
    const clients = ['S 0 g 1 1\nE 0 3 3 2'];
    expect(wrongs({ clients })).toEqual(['P4 g: nobody got 1…2, and no gap explains it']);
    expect(wrongs({ clients, gaps: 'G g 1 2 history_lost' })).toEqual([]);
  });

  it('what is above the highest number is no hole', () => {
    expect(wrongs({ clients: ['S 0 g 1 1\nE 0 1 1 2'], gaps: 'G g 5 9 word_lost' })).toEqual([]);
  });

  it('counts what is missing, explained or not', () => {
    const { counts } = judged(history('G g 3 4 word_lost'));
    expect(counts).toMatchObject({ missing: 3, unexplained: 1, numbers: 3, conversations: 1 });
  });
});

describe('P4: what may have died with its callers', () => {
  const others = ['S 0 g 1 1', 'E 0 1 1 2', 'S 1 g 1 3', 'E 1 5 5 900', 'X 901'];
  const hole = ['P4 g: nobody got 2…4, and no gap explains it'];

  it('calls that were open when their process was killed: as many numbers as they asked for', () => {
    const killed = (...counts: number[]) => ({
      clients: [others, counts.map((count, call) => `S ${call} g ${count} 2`)],
    });
    expect(wrongs(killed(3))).toEqual([]);
    expect(wrongs(killed(1, 1, 1))).toEqual([]);
    expect(wrongs(killed(1, 1))).toEqual(hole);
    expect(judged(killed(3))).toMatchObject({ counts: { died: 1, missing: 3, unexplained: 0 } });
    expect(judged(killed(2))).toMatchObject({ counts: { died: 1, missing: 3, unexplained: 3 } });
  });

  it('not those of other conversations, and not those that ended', () => {
    expect(wrongs({ clients: [others, ['S 0 other 3 2']] })).toEqual(hole);
    expect(wrongs({ clients: [others, ['S 0 g 3 2', 'E 0 6 8 4']] })).toEqual(hole);
  });

  it('what callers left shortly before the process was killed, and not long before', () => {
    const seconds = 1_000_000;
    const left = (killedAt: number, ...more: string[]) => ({
      clients: [others, ['S 0 g 3 2', 'F 0 timeout 1000', `C other 0 ${killedAt}`, ...more]],
    });
    expect(wrongs(left(1_000 + 14 * seconds))).toEqual([]);
    expect(wrongs(left(1_000 + 16 * seconds))).toEqual(hole);
    // A process that ends in order has recorded everything.
    expect(wrongs(left(2_000, 'X 2001'))).toEqual(hole);
  });

  it('however many callers fail, only the latest count', () => {
    const failures = Array.from({ length: 50_000 }, (_, call) => [
      `S ${call} ${call === 0 ? 'g 3' : 'other 1'} ${10 + call}`,
      `F ${call} timeout ${10 + call * 1_000}`,
    ]).flat();
    expect(wrongs({ clients: [others, failures] })).toEqual(hole);
    expect(judged({ clients: [others, failures.slice(0, 20_000)] })).toMatchObject({
      isClean: true,
      counts: { died: 10_000, failed: 10_000 },
    });
  });

  it('not a tracked take whose numbers are known: it is open until its lease ends', () => {
    const taken = ['S 0 g 3 2 - t', 'E 0 6 8 4 o900'];
    expect(wrongs({ clients: [others, taken] })).toEqual(hole);
  });
});

describe('P5: a second number for a message', () => {
  const window = 100;
  const history = (at: number, ...more: string[]) => ({
    clients: [
      ['S 0 g 1 1 m', 'E 0 1 1 10'],
      [`S 0 g 1 ${at} m`, `E 0 2 2 ${at}`, ...more],
    ],
  });
  const wrong = ['P5 g: message m got 2 after 1, and no event told of it'];

  it('within the window, from whichever process', () => {
    expect(wrongs(history(11), { window })).toEqual(wrong);
    expect(wrongs(history(110), { window })).toEqual(wrong);
    expect(judged(history(11)).violations).toMatchObject([{ messageId: 'm', first: 2, last: 2 }]);
    expect(wrongs({ clients: ['S 0 g 1 1 m\nE 0 1 1 10\nS 1 g 1 11 m\nE 1 2 2 12'] })).toEqual(wrong);
  });

  it('behind the window it is none, however soon others came in between', () => {
    expect(wrongs(history(111), { window })).toEqual([]);
    for (const between of [20, 109])
      for (const at of [111, 150, 209]) {
        const { clients } = history(at);
        const other = `S 0 g 1 ${between} m2\nE 0 3 3 ${between}\nS 1 g 1 ${between} m3\nE 1 4 4 ${between}`;
        const order = { window, excuses: { order: true } };
        expect(wrongs({ clients: [...clients, other] }, order), `${between} ${at}`).toEqual([]);
      }
  });

  it('is told of by an event, of that message in that conversation', () => {
    expect(wrongs(history(11, 'L g m'))).toEqual([]);
    expect(wrongs(history(11, 'L g m2'))).toEqual(wrong);
    expect(wrongs(history(11, 'L other m'))).toEqual(wrong);
    expect(judged(history(11, 'L g m')).counts.renumbered).toBe(1);
  });

  it('the same id in another conversation is another message', () => {
    expect(wrongs({ clients: ['S 0 g 1 1 m\nE 0 1 1 10', 'S 0 other 1 11 m\nE 0 1 1 12'] })).toEqual([]);
  });

  it('the second number counts as one that was issued', () => {
    const { counts } = judged(history(11, 'L g m'));
    expect(counts).toMatchObject({ numbers: 2, missing: 0 });
  });
});
