/** The shortest history that shows a violation has exactly the lines that have to do with it. */

import { describe, expect, it } from 'vitest';
import { accuse } from '../accusation.js';
import { drawSchedule } from '../schedule.js';
import type { JudgeOptions, Violation } from './judge.js';
import { judgeFolder } from './judge-folder.js';
import { witness } from './witness.js';
import { type WrittenHistory, withHistory } from './written-history.js';

/** What else happens in a history: in the same conversations, and in others. */
const noise = [
  ...[
    'S 90 g 20 1',
    'E 90 1 20 2',
    'S 91 g 1 3',
    'F 91 timeout 4',
    'V takeover',
    'S 92 other 5 5',
    'E 92 1 5 6',
  ],
  ...['C g 1 7', 'C other 30 8', 'S 93 g 1 8 m9 t', 'E 93 21 21 9 o999', 'P 93 10', 'D 93 done 11', 'X 999'],
];

function only(history: WrittenHistory, options?: JudgeOptions): { violation: Violation; lines: string[] } {
  return withHistory(history, (folder) => {
    const { violations } = judgeFolder(folder, options);
    expect(violations).toHaveLength(1);
    return { violation: violations[0]!, lines: witness(folder, violations[0]!) };
  });
}

describe('the witness of', () => {
  it('P1: the calls that got the number', () => {
    const clients = [
      noise,
      ['S 0 g 1 12', 'E 0 22 22 20'],
      ['S 0 g 3 13', 'E 0 22 24 21', 'S 1 g 1 22', 'E 1 25 25 23'],
    ];
    expect(only({ clients }).lines).toEqual([
      ...['client-1.log S 0 g 1 12', 'client-2.log S 0 g 3 13'],
      ...['client-1.log E 0 22 22 20', 'client-2.log E 0 22 24 21'],
    ]);
  });

  it('P2: the smaller number and the larger one, and none in between', () => {
    const clients = [
      noise,
      ['S 0 g 3 12', 'E 0 23 25 13', 'S 1 g 1 12', 'E 1 26 26 14', 'S 2 g 1 12', 'E 2 27 27 15'],
      ['S 0 g 1 16', 'E 0 22 22 17'],
    ];
    expect(only({ clients }).lines).toEqual([
      ...['client-1.log S 2 g 1 12', 'client-1.log E 2 27 27 15'],
      ...['client-2.log S 0 g 1 16', 'client-2.log E 0 22 22 17'],
    ]);
  });

  it('P4: its neighbours, and the gaps that explain a part', () => {
    const gaps = [
      'G g 23 24 word_lost',
      'G g 1 2 history_lost',
      'G other 25 26 word_lost',
      'G g 27 27 reply_lost',
    ];
    const clients = [noise, ['S 0 g 1 12', 'E 0 28 28 13', 'S 1 g 1 14', 'E 1 29 29 15']];
    const low = ['S 0 g 1 9', 'E 0 22 22 12'];
    const beside = [
      ...['client-2.log S 0 g 1 9', 'client-1.log S 0 g 1 12'],
      ...['client-2.log E 0 22 22 12', 'client-1.log E 0 28 28 13'],
    ];
    expect(only({ clients: [...clients, low] }).lines).toEqual(beside);
    expect(only({ clients: [...clients, low], gaps: ['G g 24 27 word_lost'] }).lines).toEqual([
      ...[...beside, 'gaps.log G g 24 27 word_lost'],
    ]);
    expect(only({ clients: [...clients, low], gaps }).lines).toEqual([
      ...[...beside, 'gaps.log G g 23 24 word_lost', 'gaps.log G g 27 27 reply_lost'],
    ]);
  });

  it('P5: the calls of the message', () => {
    const clients = [
      noise,
      ['S 0 g 1 12 m', 'E 0 22 22 13', 'S 1 g 1 20 m2', 'E 1 24 24 21', 'S 2 other 1 22 m', 'E 2 6 6 23'],
      ['S 0 g 1 14 m', 'F 0 timeout 15', 'S 1 g 1 16 m', 'E 1 23 23 17', 'L g m2'],
    ];
    expect(only({ clients }).lines).toEqual([
      ...['client-1.log S 0 g 1 12 m', 'client-1.log E 0 22 22 13', 'client-2.log S 0 g 1 14 m'],
      ...['client-2.log F 0 timeout 15', 'client-2.log S 1 g 1 16 m', 'client-2.log E 1 23 23 17'],
    ]);
  });

  const take = ['S 0 g 1 12 - t', 'E 0 22 22 13 o900'];
  const shownTake = ['client-1.log S 0 g 1 12 - t', 'client-1.log E 0 22 22 13 o900'];

  it('passed: the take, and the first reader who was told too much', () => {
    const late = ['C g 22 32', 'C g 25 33'];
    const early = ['C g 20 18', 'C g 22 19', 'C g 23 20'];
    for (const readers of [
      [late, early],
      [early, late],
    ]) {
      const clients = [noise, [...take, 'P 0 30', 'D 0 done 31'], ...readers];
      const reader = `client-${readers[0] === early ? 2 : 3}.log C g 22 19`;
      expect(only({ clients }).lines).toEqual([
        ...[...shownTake, reader, 'client-1.log P 0 30', 'client-1.log D 0 done 31'],
      ]);
    }
  });

  it('hasty: the take and what its holder was told', () => {
    const clients = [noise, [...take, 'P 0 30', 'D 0 told 31'], ['C g 22 950']];
    const gaps = ['G g 22 22 lease_expired', 'G g 3 3 abandoned'];
    expect(only({ clients, gaps }).lines).toEqual([
      ...[
        ...shownTake,
        'client-1.log P 0 30',
        'client-1.log D 0 told 31',
        'gaps.log G g 22 22 lease_expired',
      ],
    ]);
  });

  it('unexplained: the take, and the reader who passed it', () => {
    const clients = [noise, take, ['C g 21 940', 'C g 22 950', 'C g 22 960']];
    expect(only({ clients }).lines).toEqual([...shownTake, 'client-2.log C g 22 950']);
  });
});

describe('an accusation', () => {
  const schedule = drawSchedule(1, 'standalone');

  function accusationOf(history: WrittenHistory, problems: string[] = []): string[] {
    return withHistory(history, (folder) => {
      const result = { schedule, verdict: judgeFolder(folder), problems, made: [], notMade: [], tookMs: 1 };
      return accuse(result, 'npm run chaos -- --seed 1', folder).split('\n');
    });
  }

  it('says how to see it again, what was to happen, and what shows it', () => {
    const lines = accusationOf({ clients: [noise, ['S 0 g 1 12', 'E 0 21 21 20']] }, [
      'client-1 did not end',
    ]);
    expect(lines[0]).toBe('GUILTY: npm run chaos -- --seed 1');
    expect(lines[1]).toMatch(/^standalone, persistence /);
    expect(lines).toContain('client-1 did not end');
    const at = lines.indexOf('P1 g: 21 was issued twice');
    expect(lines.slice(at + 1, at + 4)).toEqual([
      ...[
        '    client-0.log S 93 g 1 8 m9 t',
        '    client-0.log E 93 21 21 9 o999',
        '    client-0.log P 93 10',
      ],
    ]);
    expect(lines.at(-2)).toMatch(/^The whole history: npm run judge -- /);
  });

  it('shows three violations, and counts the others', () => {
    const twice = Array.from({ length: 5 }, (_, index) => [
      `S ${index} g${index} 1 ${10 * index}`,
      `E ${index} 1 1 ${10 * index + 1}`,
    ]).flat();
    const lines = accusationOf({ clients: [twice, twice] });
    expect(lines.filter((line) => line.startsWith('P1 '))).toHaveLength(3);
    expect(lines).toContain('and 2 more');
  });
});
