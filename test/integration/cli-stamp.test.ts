/** `tidemark stamp` on the embedded store: whole chats, and what interrupts them. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  bundledChat,
  linesOfFile,
  notDense,
  notRising,
  readStamped,
  realChat,
  runCommand,
  startCommand,
  withoutNumbers,
} from '../support/command.js';
import { commandFile } from '../support/compiled.js';
import { temporaryFolder } from '../support/servers.js';

/** A busy machine takes long to start a process. */
const patience = { interval: 1, timeout: 30_000 };

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

const chats = [
  { name: 'the bundled chat', file: bundledChat, lines: 4_000, conversations: 40 },
  { name: 'a real chat', file: realChat, lines: 11_612, conversations: 1_316 },
];

describe.each(chats)('$name', ({ name, file, lines, conversations }) => {
  test('is numbered 1 to k in each conversation, and nothing else changes', async ({ skip }) => {
    skip(!existsSync(file), `${name} is not here: ../shared/data/ubuntu-irc.ndjson is missing`);
    const input = readFileSync(file);
    const { status, stdout, stderr } = await runCommand(['stamp', '--data', 'd'], {
      folder: folder.path,
      input,
    });
    expect(status).toBe(0);
    expect(stderr).toMatch(
      new RegExp(`^${lines} lines, 0 bad, ${conversations} conversations, \\d+ lines/s\\n$`),
    );
    const stamped = readStamped(stdout);
    expect(stamped).toMatchObject({ lines });
    expect(stamped.numbers.size).toBe(conversations);
    expect(notDense(stamped)).toEqual([]);
    expect(withoutNumbers(stdout)).toBe(input.toString());

    const again = await runCommand(['stamp', '--data', 'd'], { folder: folder.path, input });
    expect(notDense(readStamped(stdout, again.stdout))).toEqual([]);
  });

  test('is killed half-way and run on: no duplicate, and all that is missing is recorded', async ({
    skip,
  }) => {
    skip(!existsSync(file), `${name} is not here: ../shared/data/ubuntu-irc.ndjson is missing`);
    const all = linesOfFile(file);
    const half = Math.floor(all.length / 2);
    const running = startCommand(['stamp', '--data', 'd'], {
      folder: folder.path,
      input: `${all.slice(0, half).join('\n')}\n`,
      keepInputOpen: true,
    });
    // While it is at work: some lines are written, others are under way.
    await expect.poll(() => running.stdoutSoFar().length, patience).toBeGreaterThan(0);
    running.child.kill('SIGKILL');
    const first = await running.result;
    expect(first.status).toBeUndefined();
    const done = readStamped(first.stdout).lines;
    expect(done).toBeGreaterThan(0);

    const rest = `${all.slice(done).join('\n')}\n`;
    const second = await runCommand(['stamp', '--data', 'd', '--json'], { folder: folder.path, input: rest });
    expect(second.status).toBe(0);
    const complete = first.stdout.slice(0, first.stdout.lastIndexOf('\n') + 1);
    expect(withoutNumbers(complete + second.stdout)).toBe(`${all.join('\n')}\n`);
    const stamped = readStamped(complete, second.stdout);
    expect(notRising(stamped)).toEqual([]);
    const { summary } = JSON.parse(second.stderr) as { summary: { gaps: number } };
    expect(summary.gaps).toBeGreaterThan(0);

    const [conversation, numbers] = [...stamped.numbers].find(([key]) => key.startsWith('group'))!;
    const gaps = await runCommand(['gaps', `group:${conversation.slice(6)}`, '--data', 'd', '--json'], {
      folder: folder.path,
    });
    const recorded = gaps.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as { first: number; last: number });
    const issued = new Set(numbers);
    for (let number = 1; number < numbers.at(-1)!; number += 1) {
      const isExplained = recorded.some(({ first: from, last }) => from <= number && number <= last);
      expect(issued.has(number) || isExplained, `${number} of ${conversation}`).toBe(true);
    }
  });
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)(
  '%s: what is under way is finished and written, and the next run goes on without a gap',
  async (signal, status) => {
    const all = linesOfFile(bundledChat);
    const running = startCommand(['stamp', '--data', 'd'], {
      folder: folder.path,
      input: `${all.join('\n')}\n`,
      keepInputOpen: true,
    });
    await expect.poll(() => running.stdoutSoFar().length, patience).toBeGreaterThan(0);
    running.child.kill(signal);
    const first = await running.result;
    expect(first.status).toBe(status);
    const { lines: done } = readStamped(first.stdout);
    expect(first.stderr).toMatch(new RegExp(`^${done} lines, 0 bad, .*; stopped after line ${done}\n$`));
    const input = `${all.slice(done).join('\n')}\n`;
    const second = await runCommand(['stamp', '--data', 'd'], { folder: folder.path, input });
    const stamped = readStamped(first.stdout, second.stdout);
    expect(stamped.lines).toBe(4_000);
    expect(notDense(stamped)).toEqual([]);
  },
);

test('a line comes out while the input stays open', async () => {
  const running = startCommand(['stamp', '--data', 'd'], { folder: folder.path, keepInputOpen: true });
  for (const number of [1, 2, 3]) {
    running.child.stdin!.write('{"group":"g"}\n');
    await expect.poll(running.stdoutSoFar, patience).toContain(`"sequence":${number}}\n`);
  }
  running.child.stdin!.end();
  expect((await running.result).status).toBe(0);
});

describe('bad lines', () => {
  const input = '{"group":"g"}\nnot json\n\r\n{"group":"g","sequence":1}\n{"sender":"a","recipient":"b"}';
  const good = ['{"group":"g","sequence":1}', '{"sender":"a","recipient":"b","sequence":1}'];
  const reports = 'tidemark: line 2: it is not JSON\ntidemark: line 4: it has a "sequence" already\n';

  test.each([
    ['reject', 1, `${good.join('\n')}\n`, `${reports}4 lines, 2 bad, 2 conversations`],
    [
      'copy',
      0,
      `${good[0]}\nnot json\n{"group":"g","sequence":1}\n${good[1]}\n`,
      `${reports}4 lines, 2 bad, 2 conversations`,
    ],
    ['stop', 1, `${good[0]}\n`, 'tidemark: line 2: it is not JSON\n2 lines, 1 bad, 1 conversation'],
  ])('%s', async (policy, status, stdout, stderr) => {
    const args = ['stamp', '--data', 'd', '--bad-lines', policy];
    const result = await runCommand(args, { folder: folder.path, input });
    expect(result).toMatchObject({ status, stdout, stderr: expect.stringContaining(stderr) });
    const json = await runCommand(['stamp', '--data', 'e', '--json', '--bad-lines', policy], {
      folder: folder.path,
      input,
    });
    expect(json).toMatchObject({ status, stdout });
    const lines = json.stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines[0]).toEqual({ badLine: { line: 2, reason: 'it is not JSON' } });
    expect(lines.at(-1)).toEqual({
      summary: {
        lines: policy === 'stop' ? 2 : 4,
        stamped: policy === 'stop' ? 1 : 2,
        bad: policy === 'stop' ? 1 : 2,
        conversations: policy === 'stop' ? 1 : 2,
        moreConversations: false,
        lastLine: policy === 'stop' ? 2 : 5,
        gaps: 0,
        linesPerSecond: expect.any(Number),
        stopped: false,
      },
    });
  });
});

test('a folder as input is refused', () => {
  const script = `"${process.execPath}" "${commandFile}" stamp --data d < .`;
  const { status, stderr } = spawnSync('bash', ['-c', script], { cwd: folder.path, encoding: 'utf8' });
  expect({ status, stderr }).toEqual({
    status: 2,
    stderr: 'tidemark: invalid_argument: the input cannot be read (EISDIR); give NDJSON on stdin\n',
  });
});

test.skipIf(!existsSync('/usr/bin/script'))(
  'progress is shown on a terminal, and nothing of it in the output',
  () => {
    const command = `"${process.execPath}" "${commandFile}" stamp --data d < "${bundledChat}" > out`;
    const { stdout, status } = spawnSync('script', ['-qec', command, '/dev/null'], {
      cwd: folder.path,
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/0%.* lines, \d+ lines\/s/);
    expect(stdout).toContain('4000 lines, 0 bad, 40 conversations');
    expect(notDense(readStamped(readFileSync(path.join(folder.path, 'out'), 'utf8')))).toEqual([]);
  },
);
