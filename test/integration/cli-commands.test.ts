/** Every command on the embedded store, as a process of its own, and what all commands have in common. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runCommand, startCommand } from '../support/command.js';
import { commandFile, repositoryRoot } from '../support/compiled.js';
import { freePort, temporaryFolder } from '../support/servers.js';

/** A busy machine takes long to start a process. */
const patience = { interval: 5, timeout: 30_000 };

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

/** Runs with the folder `d`, expects success, and returns what was printed. */
async function embedded(...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await runCommand([...args, '--data', 'd'], { folder: folder.path });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

async function embeddedJson(...args: string[]): Promise<unknown> {
  return JSON.parse(await embedded(...args, '--json'));
}

/** Takes numbers and is killed with the folder open: the next start finds a loss. */
async function takeAndDie(): Promise<void> {
  const running = startCommand(['stamp', '--data', 'd'], {
    folder: folder.path,
    input: '{"group":"g1"}\n'.repeat(10),
    keepInputOpen: true,
  });
  await expect.poll(running.stdoutSoFar, patience).toContain('"sequence":10}');
  running.child.kill('SIGKILL');
  await running.result;
}

test('numbers go on from process to process without a hole', async () => {
  expect(await embedded('next', 'group:g1')).toBe('1\n');
  expect(await embedded('next', 'group:g1', '--count', '3')).toBe('2\n3\n4\n');
  expect(await embedded('current', 'group:g1')).toBe('4\n');
  expect(await embedded('current', 'group:new')).toBe('0\n');
  expect(await embedded('next', 'group:g1')).toBe('5\n');
  expect(await embeddedJson('next', 'private:bob:alice', '--count', '2')).toEqual({
    conversation: 'private:alice:bob',
    first: 1,
    last: 2,
    count: 2,
  });
  expect(await embeddedJson('current', 'private:alice:bob')).toEqual({
    conversation: 'private:alice:bob',
    current: 2,
  });
  expect(await embedded('gaps', 'group:g1')).toBe('no gaps\n');
  expect(await embedded('gaps', 'group:g1', '--json')).toBe('');
});

test('a process that died leaves a recorded gap', async () => {
  await takeAndDie();
  expect(await embeddedJson('recover', 'group:g1')).toEqual({
    conversation: 'group:g1',
    recovered: true,
    last: 64,
    gap: { conversation: 'group:g1', first: 1, last: 64, reason: 'history_lost', generation: 2 },
  });
  expect(await embedded('recover', 'group:unknown')).toBe('nothing to recover; the next number follows 0\n');
  expect(await embedded('next', 'group:g1')).toBe('65\n');
  const gap = {
    conversation: 'group:g1',
    first: 1,
    last: 64,
    reason: 'history_lost',
    certain: false,
    generation: 2,
  };
  expect(await embeddedJson('gaps', 'group:g1')).toEqual({ ...gap, recordedAtMs: expect.any(Number) });
  expect(await embedded('gaps', 'group:g1')).toMatch(
    /^1-64 {2}history_lost {2}some may be in use {2}generation 2 {2}20\d\d-\S+Z\n$/,
  );
  expect(await embedded('gaps', 'group:g1', '--from', '65')).toBe('no gaps\n');
  const { stdout, stderr } = await runCommand(['gaps', 'group:g1', '--limit', '1', '--data', 'd'], {
    folder: folder.path,
  });
  expect(stdout).toContain('1-64');
  expect(stderr).toBe('tidemark: 1 gaps are shown, there may be more; go on with --from 65\n');
});

test('explain, and how far a conversation is complete', async () => {
  await embedded('next', 'group:g1', '--count', '3');
  expect(await embedded('explain', 'group:g1', '3')).toBe('issued\n');
  expect(await embedded('explain', 'group:g1', '4')).toBe('not issued yet\n');
  expect(await embeddedJson('explain', 'group:g1', '3')).toEqual({
    conversation: 'group:g1',
    number: 3,
    status: 'issued',
    complete: true,
  });
  expect(await embeddedJson('explain', 'group:g1', '4')).toEqual({
    conversation: 'group:g1',
    number: 4,
    status: 'not_issued_yet',
  });
  expect(await embedded('complete-up-to', 'group:g1')).toBe('3\n');
  expect(await embeddedJson('complete-up-to', 'group:new')).toEqual({
    conversation: 'group:new',
    completeUpTo: 0,
  });
});

test('explain after a process died', async () => {
  await takeAndDie();
  expect(await embedded('explain', 'group:g1', '7')).toBe(
    'uncertain: the counter word is lost, and no gap is recorded yet; see recover\n',
  );
  expect(await embeddedJson('explain', 'group:g1', '7')).toEqual({
    conversation: 'group:g1',
    number: 7,
    status: 'uncertain',
    gap: null,
    sinceMs: null,
  });
  await embedded('recover', 'group:g1');
  expect(await embedded('explain', 'group:g1', '7')).toMatch(
    /^uncertain since 20\d\d-\S+Z: history_lost, generation \d\n$/,
  );
  expect(await embeddedJson('explain', 'group:g1', '7')).toEqual({
    conversation: 'group:g1',
    number: 7,
    status: 'uncertain',
    gap: {
      conversation: 'group:g1',
      first: 1,
      last: 64,
      reason: 'history_lost',
      generation: expect.any(Number),
      certain: false,
      recordedAtMs: expect.any(Number),
    },
    sinceMs: expect.any(Number),
  });
  expect(await embedded('gaps', 'group:g1', '--from', '60', '--to', '62')).toMatch(/^60-62 {2}history_lost /);
  expect(await embedded('gaps', 'group:g1', '--to', '64', '--limit', '1')).toMatch(/^1-64 /);
});

test('inspect', async () => {
  await embedded('next', 'group:g1', '--count', '5');
  expect(await embeddedJson('inspect', 'group:g1')).toEqual({
    conversation: 'group:g1',
    history: expect.stringMatching(/^[0-9a-f-]{36}$/),
    generation: 2,
    redisKey: null,
    word: null,
    ledger: { ceiling: 5, floor: 5, blockSize: 64, generation: 1, reservedAtMs: expect.any(Number) },
    gaps: 0,
    moreGaps: false,
  });
  const text = await embedded('inspect', 'group:g1');
  expect(text).toContain('ledger        ceiling 5, floor 5, block size 64, generation 1\n');
  expect(await embedded('inspect', 'group:new')).toContain('ledger        no entry\n');
});

test('list, page by page', async () => {
  const input = Array.from(
    { length: 1_500 },
    (_, index) => `{"group":"g${String(index).padStart(4, '0')}"}\n`,
  ).join('');
  const stamped = await runCommand(['stamp', '--data', 'd'], { folder: folder.path, input });
  expect(stamped.status).toBe(0);
  await embedded('next', 'private:a:b');
  const all = (await embedded('list', 'group', '--limit', '5000', '--json')).trimEnd().split('\n');
  expect(all).toHaveLength(1_500);
  const entries = all.map((line) => JSON.parse(line) as { conversation: string });
  expect(entries.map(({ conversation }) => conversation)).toEqual(
    entries.map((_, index) => `group:g${String(index).padStart(4, '0')}`),
  );
  expect(entries[7]).toEqual({
    conversation: 'group:g0007',
    ceiling: 1,
    floor: 1,
    generation: 1,
    blockSize: 64,
    reservedAtMs: expect.any(Number),
  });
  const page = await runCommand(['list', 'group', '--limit', '2', '--after', 'group:g0007', '--data', 'd'], {
    folder: folder.path,
  });
  expect(page.stdout).toMatch(/^conversation .*\ngroup:g0008 .*\ngroup:g0009 .*\n$/);
  expect(page.stderr).toBe(
    'tidemark: 2 entries are shown, there may be more; go on with --after group:g0009\n',
  );
  expect(await embedded('list', 'channel')).toBe('');
  expect((await embedded('list', 'private')).split('\n')).toHaveLength(3);
});

describe('doctor', () => {
  interface Report {
    ok: boolean;
    checks: { check: string; status: string; found: string; advice: string | null }[];
  }
  const doctor = async (data = 'd'): Promise<Report & { status: number | undefined }> => {
    const { status, stdout } = await runCommand(['doctor', '--data', data, '--json'], {
      folder: folder.path,
    });
    return { status, ...(JSON.parse(stdout) as Report) };
  };

  test('a missing folder is fine, and is not made', async () => {
    const report = await doctor();
    expect(report).toMatchObject({ status: 0, ok: true });
    expect(report.checks[0]).toMatchObject({
      check: 'data.folder',
      status: 'ok',
      found: expect.stringContaining('is missing'),
    });
    expect(existsSync(path.join(folder.path, 'd'))).toBe(false);
  });

  test('a folder in order, and nothing is left in it', async () => {
    await embedded('next', 'group:g1');
    const before = await readdir(path.join(folder.path, 'd'));
    const report = await doctor();
    expect(report).toMatchObject({ status: 0, ok: true });
    expect(report.checks.map(({ check }) => check)).toEqual(['data.folder', 'data.space', 'data.ledger']);
    expect(await readdir(path.join(folder.path, 'd'))).toEqual(before);
    expect(await embedded('next', 'group:g1')).toBe('2\n');
    expect((await runCommand(['doctor', '--data', 'd'], { folder: folder.path })).stdout).toMatch(
      /^ok +data.folder .* is writable\n/,
    );
  });

  test('a folder in use is a warning', async () => {
    const running = startCommand(['stamp', '--data', 'd'], {
      folder: folder.path,
      input: '{"group":"g"}\n',
      keepInputOpen: true,
    });
    await expect.poll(running.stdoutSoFar, patience).toContain('"sequence":1}');
    expect((await doctor()).checks.at(-1)).toMatchObject({ check: 'data.ledger', status: 'warning' });
    const other = await runCommand(['next', 'group:g', '--data', 'd'], { folder: folder.path });
    expect(other).toMatchObject({
      status: 4,
      stdout: '',
      stderr: expect.stringMatching(/^tidemark: ledger_in_use: [^\n]+\n$/),
    });
    running.child.stdin!.end();
    expect((await running.result).status).toBe(0);
  });

  test('a file instead of a folder is a failure', async () => {
    await writeFile(path.join(folder.path, 'd'), '');
    const report = await doctor();
    expect(report).toMatchObject({ status: 1, ok: false });
    expect(report.checks).toMatchObject([
      { check: 'data.folder', status: 'failure', advice: expect.any(String) },
    ]);
  });

  test('a folder that cannot be written is a failure', async ({ skip }) => {
    skip(process.getuid?.() === 0, 'root may write everywhere');
    await mkdir(path.join(folder.path, 'd'));
    await chmod(path.join(folder.path, 'd'), 0o500);
    expect(await doctor()).toMatchObject({ status: 1, ok: false });
  });

  test('servers that are not there are failures, without passwords', async () => {
    const port = await freePort();
    const { status, stdout } = await runCommand([
      'doctor',
      '--redis',
      `redis://me:secret@127.0.0.1:${port}`,
      '--ledger',
      `mysql://me:secret@127.0.0.1:${port}/x`,
    ]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^failure +redis.connection .*ECONNREFUSED/m);
    expect(stdout).toMatch(/^failure +ledger.connection .*ECONNREFUSED/m);
    expect(stdout).not.toContain('secret');
  });
});

test('settings from the environment and the config file', async () => {
  const environment = { TIDEMARK_DATA: 'e' };
  expect((await runCommand(['next', 'group:g'], { folder: folder.path, environment })).stdout).toBe('1\n');
  await writeFile(
    path.join(folder.path, 'tidemark.config.json'),
    '{"data":"f","reservation":{"kind":"fixed","size":7}}',
  );
  expect((await runCommand(['next', 'group:g'], { folder: folder.path })).stdout).toBe('1\n');
  expect((await runCommand(['next', 'group:g'], { folder: folder.path, environment })).stdout).toBe('2\n');
  const { stdout } = await runCommand(['list', 'group', '--json'], { folder: folder.path });
  expect(JSON.parse(stdout)).toMatchObject({ conversation: 'group:g', blockSize: 7 });
  const named = await runCommand(['next', 'group:g', '--config', 'none.json'], { folder: folder.path });
  expect(named).toMatchObject({ status: 2, stderr: expect.stringContaining('none.json cannot be read') });
});

test('help and version', async () => {
  const version = await runCommand(['--version']);
  const { version: expected } = JSON.parse(
    readFileSync(path.join(repositoryRoot, 'package.json'), 'utf8'),
  ) as { version: string };
  expect(version).toEqual({ status: 0, stdout: `${expected}\n`, stderr: '' });
  const help = await runCommand(['--help']);
  expect(help).toMatchObject({ status: 0, stderr: '' });
  expect(help.stdout).toContain('Exit status: 0 done;');
});

test('a reader that goes away ends the command quietly, and the folder is left in order', () => {
  const script = `yes '{"group":"g"}' | head -n 200000 | "${process.execPath}" "${commandFile}" stamp --data d | head -n 3; echo "\${PIPESTATUS[2]}"`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script], { cwd: folder.path, encoding: 'utf8' });
  expect(stdout.split('\n')).toEqual(
    [1, 2, 3].map((number) => `{"group":"g","sequence":${number}}`).concat('141', ''),
  );
  expect(stderr).toBe('');
  const { stdout: current } = spawnSync(process.execPath, [commandFile, 'gaps', 'group:g', '--data', 'd'], {
    cwd: folder.path,
    encoding: 'utf8',
  });
  expect(current).toBe('no gaps\n');
});
