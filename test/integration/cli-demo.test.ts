import { readdir } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DemoReport } from '../../src/cli/demo/run.js';
import { runCommand, startCommand } from '../support/command.js';
import { temporaryFolder } from '../support/servers.js';

/** A busy machine takes long to start a process. */
const patience = { interval: 1, timeout: 30_000 };

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

test('Tidemark has no fault in it, plain INCR has many, and the folder is removed', async () => {
  const environment = { TMPDIR: folder.path };
  const { status, stdout, stderr } = await runCommand(['demo', '--json'], {
    folder: folder.path,
    environment,
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const { tidemark, plain, ...rest } = JSON.parse(stdout) as DemoReport;
  expect(rest).toEqual({ messages: 4_000, conversations: 40, lostAfter: 2_000 });
  const clean = { numbers: 4_000, conversations: 40, duplicates: 0, smallerAfterLarger: 0, unexplained: 0 };
  expect(tidemark).toMatchObject(clean);
  expect(tidemark.skipped).toBeGreaterThan(0);
  expect(tidemark.gaps.recorded).toBeGreaterThan(0);
  expect(tidemark.gaps.examples).toHaveLength(3);
  expect(plain).toMatchObject({ numbers: 4_000, conversations: 40, skipped: 0, snapshotEvery: 10_000 });
  expect(plain.duplicates).toBeGreaterThan(1_000);
  expect(plain.smallerAfterLarger).toBeGreaterThan(1_000);
  expect(await readdir(folder.path)).toEqual([]);
});

test('the report is readable in 80 columns', async () => {
  const { status, stdout } = await runCommand(['demo']);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^ {2}duplicates +0 +1,\d{3}$/m);
  expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
});

test('a signal ends it, and the folder is removed', async () => {
  const running = startCommand(['demo'], { folder: folder.path, environment: { TMPDIR: folder.path } });
  await expect.poll(() => readdir(folder.path), patience).not.toEqual([]);
  running.child.kill('SIGINT');
  expect(await running.result).toMatchObject({ status: 130, stdout: '' });
  expect(await readdir(folder.path)).toEqual([]);
});
