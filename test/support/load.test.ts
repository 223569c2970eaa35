/** What the fault tests rely on when they say that nothing was wrong. */

import { appendFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { judge } from './judge.js';
import { LogWatch, longestPauseMs, readLog } from './load-log.js';
import { temporaryFolder } from './server-process.js';

const log = [
  'S 1 group:a 1 1000',
  'S 2 group:b 2 1500',
  'E 1 1 1 2000',
  'V takeover',
  'S 3 group:a 1 3000',
  'E 2 1 2 5000',
  'F 3 fenced 6000',
  'S 4 group:a 5 7000',
  'E 9 1 1 8000',
].join('\n');

test('a log becomes calls, those that never ended included', () => {
  const { calls, failures, events } = readLog(`${log}\n`);
  expect(calls).toEqual([
    { conversation: 'group:a', count: 1, start: 1_000, end: 2_000, numbers: { first: 1, last: 1 } },
    { conversation: 'group:b', count: 2, start: 1_500, end: 5_000, numbers: { first: 1, last: 2 } },
    { conversation: 'group:a', count: 1, start: 3_000, end: 6_000, numbers: undefined },
    { conversation: 'group:a', count: 5, start: 7_000, end: undefined, numbers: undefined, callerDied: true },
  ]);
  expect({ failures, events }).toEqual({ failures: ['fenced'], events: ['takeover'] });
});

test('a log that grows is counted, a line that is cut only when it is complete', async () => {
  const folder = await temporaryFolder();
  const file = path.join(folder.path, 'log');
  const watch = new LogWatch(file);
  expect(watch.count('E')).toBe(0);
  await writeFile(file, log);
  expect([watch.count('E'), watch.count('V takeover'), watch.count('V gap')]).toEqual([2, 1, 0]);
  await appendFile(file, '\nV gap\nV ga');
  expect([watch.count('E'), watch.count('V gap')]).toEqual([3, 1]);
  await appendFile(file, 'p\n');
  expect(watch.count('V gap')).toBe(2);
  await folder.remove();
});

test('the longest pause reaches from one reply to the next, and to the ends of what is asked for', () => {
  const { calls } = readLog(log);
  expect(longestPauseMs(calls)).toBe(3);
  expect(longestPauseMs(calls, { fromUs: 1_000, toUs: 3_000 })).toBe(1);
  expect(longestPauseMs(calls, { fromUs: 4_000, toUs: 9_000 })).toBe(4);
  expect(longestPauseMs(calls, { fromUs: 1_000, toUs: 9_000, of: (key) => key === 'group:a' })).toBe(7);
  expect(longestPauseMs([], { fromUs: 1_000, toUs: 2_000 })).toBe(1);
});

test('the judge finds duplicates, regressions and holes, and takes gaps and dead callers into account', () => {
  const call = (first: number, start: number, end: number) => ({
    ...{ conversation: 'a', start, end, numbers: { first, last: first }, count: 1 },
  });
  const calls = [call(1, 0, 1), call(2, 2, 3), call(2, 4, 5), call(6, 6, 7), call(9, 8, 9)];
  const verdict = judge(calls, [{ conversation: 'a', first: 3, last: 4 }]);
  expect(verdict).toEqual({
    numbers: 5,
    conversations: 1,
    duplicates: ['a: 2…2'],
    regressions: ['a: 2 after 2'],
    holes: ['a: 5…5', 'a: 7…8'],
    missing: 5,
  });
  const dead = { ...call(1, 9, 9), numbers: undefined, end: undefined, count: 3, callerDied: true };
  expect(judge([...calls, dead], [{ conversation: 'a', first: 3, last: 4 }]).holes).toEqual([]);
});

test('the judge needs no longer than a few seconds for a million numbers with many gaps', () => {
  const calls = Array.from({ length: 1_000_000 }, (_, index) => {
    const number = 1 + index + Math.floor(index / 5);
    const numbers = { first: number, last: number };
    return { conversation: 'a', start: index * 10, end: index * 10 + 5, numbers, count: 1 };
  });
  const gaps = Array.from({ length: 200_000 }, (_, index) => ({
    conversation: 'a',
    first: (index + 1) * 6,
    last: (index + 1) * 6,
  }));
  const startedAtMs = performance.now();
  expect(judge(calls, gaps)).toMatchObject({ numbers: 1_000_000, missing: 199_999, holes: [] });
  expect(performance.now() - startedAtMs).toBeLessThan(15_000);
});
