import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cp, mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Issued, judge, skippedRanges } from '../../src/cli/demo/history.js';
import { PlainCounters, snapshotEvery } from '../../src/cli/demo/plain-counters.js';
import { loadChat, play } from '../../src/cli/demo/playback.js';
import { demoText } from '../../src/cli/demo/report.js';
import { bundledChat } from '../support/command.js';
import { repositoryRoot } from '../support/compiled.js';
import { temporaryFolder } from '../support/servers.js';

/** `a1@0-1`: conversation a, number 1, asked at tick 0, answered at tick 1. */
function history(text: string): Issued[] {
  return text
    .split(' ')
    .filter((each) => each !== '')
    .map((each) => {
      const [, conversation, number, start, end] = /^([a-z]+)(\d+)@(\d+)-(\d+)$/.exec(each)!;
      return {
        conversation: conversation!,
        number: Number(number),
        startedAtTick: Number(start),
        repliedAtTick: Number(end),
      };
    });
}

describe('the judge', () => {
  const clean = { duplicates: 0, smallerAfterLarger: 0, skipped: 0, unexplained: 0 };

  test.each([
    ['nothing', '', {}],
    ['a clean history', 'a1@0-1 a2@2-3 b1@4-5 a3@6-7', {}],
    ['calls at once may come back in any order', 'a2@0-2 a1@1-3', {}],
    ['one number twice', 'a1@0-1 a2@2-3 a2@4-5', { duplicates: 1 }],
    ['one number three times', 'a1@0-5 a1@1-6 a1@2-7', { duplicates: 2 }],
    ['the same number elsewhere', 'a1@0-1 b1@2-3', {}],
    ['smaller after larger', 'a2@0-1 a1@2-3', { smallerAfterLarger: 1 }],
    ['two smaller after one larger', 'a3@0-1 a1@2-3 a2@4-5', { smallerAfterLarger: 2 }],
    ['smaller in another conversation', 'a1@0-1 a2@2-3 b1@4-5', {}],
    ['a start at the moment of a reply is not after it', 'a2@0-2 a1@2-3', {}],
    ['the order of the records does not matter', 'a1@2-3 a2@0-1', { smallerAfterLarger: 1 }],
    ['a hole', 'a1@0-1 a4@2-3', { skipped: 2, unexplained: 2 }],
    ['a hole at the beginning', 'a3@0-1', { skipped: 2, unexplained: 2 }],
    ['starting again at 1', 'a1@0-1 a2@2-3 a1@4-5 a2@6-7', { duplicates: 2, smallerAfterLarger: 1 }],
  ])('%s', (_, text, faults) => {
    expect(judge(history(text), [])).toMatchObject({ ...clean, ...faults });
  });

  test('gaps explain holes of their own conversation only, and whole', () => {
    const issued = history('a1@0-1 a6@2-3 b1@4-5 b6@6-7');
    const gap = (conversation: string, first: number, last: number) => ({ conversation, first, last });
    expect(judge(issued, [gap('a', 1, 5), gap('b', 1, 5)])).toMatchObject({ skipped: 8, unexplained: 0 });
    expect(judge(issued, [gap('a', 1, 5)])).toMatchObject({ skipped: 8, unexplained: 4 });
    expect(judge(issued, [gap('a', 2, 4), gap('b', 3, 5)])).toMatchObject({ skipped: 8, unexplained: 2 });
    expect(judge(issued, [gap('a', 2, 3), gap('a', 4, 5), gap('b', 2, 5)])).toMatchObject({ unexplained: 0 });
  });

  test('skipped numbers as ranges', () => {
    expect(skippedRanges(history('a1@0-1 a4@2-3 a6@4-5 b2@6-7'))).toEqual([
      { conversation: 'a', first: 2, last: 3 },
      { conversation: 'a', first: 5, last: 5 },
      { conversation: 'b', first: 1, last: 1 },
    ]);
  });
});

test('plain counters lose what was counted since the last snapshot', async () => {
  const counters = new PlainCounters();
  for (let number = 1; number <= snapshotEvery + 5; number += 1) {
    expect(await counters.next('a')).toBe(number);
  }
  expect(await counters.next('b')).toBe(1);
  counters.loseAndRecover();
  expect(await counters.next('a')).toBe(snapshotEvery + 1);
  expect(await counters.next('b')).toBe(1);
});

describe('the chat', () => {
  test('is what its script makes', async () => {
    const folder = await temporaryFolder();
    await mkdir(path.join(folder.path, 'scripts'));
    await mkdir(path.join(folder.path, 'src/cli/demo'), { recursive: true });
    const script = path.join(folder.path, 'scripts/make-demo-chat.mjs');
    await cp(path.join(repositoryRoot, 'scripts/make-demo-chat.mjs'), script);
    execFileSync(process.execPath, [script]);
    const made = await readFile(path.join(folder.path, 'src/cli/demo/chat.ndjson'));
    expect(made.equals(readFileSync(bundledChat))).toBe(true);
    await rm(folder.path, { recursive: true });
  });

  test('has a few thousand messages of groups and pairs, and is small', async () => {
    const chat = await loadChat();
    expect(chat).toHaveLength(4_000);
    const keys = new Set(chat.map(({ key }) => key));
    expect(keys.size).toBe(40);
    expect([...keys].filter((key) => key.startsWith('group:'))).toHaveLength(14);
    expect([...keys].filter((key) => key.startsWith('private:'))).toHaveLength(26);
    expect(readFileSync(bundledChat).length).toBeLessThan(500_000);
  });
});

test('a loss is played in the middle, and plain counters fail by it', async () => {
  const chat = await loadChat();
  const counters = new PlainCounters();
  let asked = 0;
  let lostAfter = 0;
  const next = (of: { key: string }): Promise<number> => {
    asked += 1;
    return counters.next(of.key);
  };
  const { history: issued } = await play(chat, next, () => {
    lostAfter = asked;
    counters.loseAndRecover();
  });
  expect(lostAfter).toBe(2_000);
  const verdict = judge(issued, []);
  expect(verdict).toMatchObject({ numbers: 4_000, conversations: 40, skipped: 0 });
  expect(verdict.duplicates).toBeGreaterThan(1_000);
  expect(verdict.smallerAfterLarger).toBeGreaterThan(1_000);
});

test('the report fits into 80 columns', () => {
  const side = {
    numbers: 4_000,
    conversations: 40,
    duplicates: 1_234,
    smallerAfterLarger: 1_234,
    skipped: 99_999,
    unexplained: 0,
    elapsedMs: 5,
    numbersPerSecond: 12_345_678,
  };
  const example = {
    conversation: 'private:nikolai:quentin',
    first: 123,
    last: 4_567,
    reason: 'history_lost',
    skipped: 414,
  };
  const text = demoText({
    messages: 4_000,
    conversations: 40,
    lostAfter: 2_000,
    tidemark: {
      ...side,
      gaps: { recorded: 40, byReason: { history_lost: 39, word_lost: 1 }, examples: [example] },
    },
    plain: { ...side, snapshotEvery: 10_000 },
  });
  expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(text).toMatch(/^ {2}duplicates +1,234 +1,234$/m);
  expect(text).toContain('39 history_lost, 1 word_lost');
});
