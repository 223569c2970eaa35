/** The command on real Redis and MariaDB. */

import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Check } from '../../src/cli/commands/doctor.js';
import {
  bundledChat,
  type CommandResult,
  linesOfFile,
  notDense,
  notRising,
  readStamped,
  realChat,
  runCommand,
  startCommand,
  withoutNumbers,
} from '../support/command.js';
import { type MariaDbServer, type RedisServer, startMariaDb, startRedis } from '../support/servers.js';

let redis: RedisServer;
let mariaDb: MariaDbServer;

beforeAll(async () => {
  [redis, mariaDb] = await Promise.all([startRedis({ appendonly: true }), startMariaDb()]);
});
afterAll(async () => {
  await Promise.all([redis?.stop(), mariaDb?.stop()]);
});

/** A database and a prefix of its own. */
async function freshStores(): Promise<{ flags: string[]; ledger: string; prefix: string }> {
  const ledger = await mariaDb.createDatabase();
  const prefix = `p${ledger.split('_').at(-1)}`;
  return { flags: ['--redis', redis.url, '--ledger', ledger, '--prefix', prefix], ledger, prefix };
}

async function succeed(args: readonly string[], input?: string | Buffer): Promise<CommandResult> {
  const result = await runCommand(args, input === undefined ? {} : { input });
  expect(result).toMatchObject({ status: 0 });
  return result;
}

test('next, current, inspect, list, gaps and recover', async () => {
  const { flags, prefix } = await freshStores();
  const text = async (...args: string[]): Promise<string> => (await succeed([...args, ...flags])).stdout;
  expect(await text('next', 'group:g1')).toBe('1\n');
  expect(await text('next', 'group:g1', '--count', '4')).toBe('2\n3\n4\n5\n');
  expect(await text('current', 'group:g1')).toBe('5\n');

  const inspect = async (): Promise<Record<string, unknown> & { generation: number }> =>
    JSON.parse(await text('inspect', 'group:g1', '--json')) as Record<string, unknown> & {
      generation: number;
    };
  const before = await inspect();
  expect(before).toMatchObject({
    conversation: 'group:g1',
    history: expect.stringMatching(/^[0-9a-f]{40}$/),
    generation: 1,
    redisKey: `${prefix}:{group:g1}:1`,
    word: { last: 5, remaining: 59, ceiling: 64 },
    ledger: { ceiling: 64, generation: 1, blockSize: 64 },
    gaps: 0,
  });
  expect(await redis.command('GET', String(before['redisKey']))).toBe('59000000000005');
  expect(await text('inspect', 'group:g1')).toContain('word          last 5, remaining 59, ceiling 64\n');
  expect(await text('recover', 'group:g1')).toBe('nothing to recover; the next number follows 5\n');

  // A word that is younger than a second may still be on its way in.
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await redis.command('DEL', String(before['redisKey']));
  expect(await text('recover', 'group:g1')).toMatch(
    /^recovered, gap \d+-64 \(word_lost\); the next number follows 64\n$/,
  );
  expect(await text('next', 'group:g1')).toBe('65\n');
  const gap = { conversation: 'group:g1', last: 64, reason: 'word_lost', certain: false, generation: 1 };
  expect(JSON.parse(await text('gaps', 'group:g1', '--json'))).toMatchObject(gap);
  expect((await inspect())['gaps']).toBe(1);
  expect(JSON.parse(await text('list', 'group', '--json'))).toMatchObject({
    conversation: 'group:g1',
    generation: 1,
  });
});

test('a message that is sent again gets the same number', async () => {
  const { flags } = await freshStores();
  const next = (id: string, ...more: string[]) =>
    succeed(['next', 'group:g1', '--message-id', id, ...more, ...flags]);
  expect(await next('a')).toEqual({ status: 0, stdout: '1\n', stderr: '' });
  expect((await next('b')).stdout).toBe('2\n');
  expect(await next('a')).toEqual({
    status: 0,
    stdout: '1\n',
    stderr: 'tidemark: repeated: this message id got its number before\n',
  });
  const again = await next('b', '--json');
  expect(again.stderr).toBe('');
  expect(JSON.parse(again.stdout)).toEqual({ conversation: 'group:g1', number: 2, repeated: true });
});

test('take, settle, abandon and renew, and how far the conversation is complete', async () => {
  const { flags } = await freshStores();
  const run = (command: string, ...more: string[]) => runCommand([command, 'group:g1', ...more, ...flags]);
  const text = async (command: string, ...more: string[]): Promise<string> =>
    (await succeed([command, 'group:g1', ...more, ...flags])).stdout;
  expect(await text('next')).toBe('1\n');
  expect(await text('take', '--count', '2')).toBe('2\n3\n');
  const taken = { conversation: 'group:g1', first: 4, last: 4, count: 1, repeated: false };
  expect(JSON.parse(await text('take', '--message-id', 'm', '--json'))).toEqual(taken);
  expect(JSON.parse(await text('take', '--message-id', 'm', '--json'))).toEqual({ ...taken, repeated: true });
  expect(await text('complete-up-to')).toBe('1\n');
  expect(await text('explain', '1')).toBe('issued\n');
  expect(await text('explain', '2')).toBe('issued; a take up to it may be open\n');

  expect(await text('settle', '4')).toBe('settled 4\n');
  expect(await text('renew', '2', '3')).toBe('renewed 2-3\n');
  expect(JSON.parse(await text('complete-up-to', '--json'))).toEqual({
    conversation: 'group:g1',
    completeUpTo: 1,
  });
  expect(JSON.parse(await text('abandon', '2', '3', '--json'))).toEqual({
    conversation: 'group:g1',
    first: 2,
    last: 3,
    status: 'abandoned',
  });
  expect(await text('complete-up-to')).toBe('4\n');
  expect(await text('explain', '2')).toMatch(
    /^never issued: abandoned, generation 1, recorded 20\d\d-\S+Z\n$/,
  );
  expect(JSON.parse(await text('explain', '3', '--json'))).toMatchObject({
    status: 'never_issued',
    gap: { first: 2, last: 3, reason: 'abandoned', certain: true },
  });
  expect(await text('explain', '4')).toBe('issued\n');

  expect(await text('settle', '4')).toBe('settled 4\n');
  for (const command of ['abandon', 'renew']) {
    const { status, stderr } = await run(command, '4');
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: expect.stringContaining('4 in group:g1 is no open take'),
    });
  }
});

test('migrate, once and again', async () => {
  const { ledger } = await freshStores();
  const migrate = async (...more: string[]): Promise<string> =>
    (await succeed(['migrate', '--ledger', ledger, ...more])).stdout;
  const { from, to } = JSON.parse(await migrate('--json')) as { from: number; to: number };
  expect(from).toBe(0);
  expect(to).toBeGreaterThan(0);
  expect(await migrate()).toBe(`schema version ${to}, nothing to do\n`);
});

const chats = [
  { name: 'the bundled chat', file: bundledChat, lines: 4_000, conversations: 40 },
  { name: 'a real chat', file: realChat, lines: 11_612, conversations: 1_316 },
];

describe.each(chats)('stamp of $name', ({ name, file, lines, conversations }) => {
  test('numbers 1 to k in each conversation', async ({ skip }) => {
    skip(!existsSync(file), `${name} is not here: ../shared/data/ubuntu-irc.ndjson is missing`);
    const { flags } = await freshStores();
    const input = readFileSync(file);
    const { stdout, stderr } = await succeed(['stamp', ...flags], input);
    expect(stderr).toMatch(
      new RegExp(`^${lines} lines, 0 bad, ${conversations} conversations, \\d+ lines/s\\n$`),
    );
    expect(notDense(readStamped(stdout))).toEqual([]);
    expect(withoutNumbers(stdout)).toBe(input.toString());
  });

  test('killed half-way and run on: no duplicate', async ({ skip }) => {
    skip(!existsSync(file), `${name} is not here: ../shared/data/ubuntu-irc.ndjson is missing`);
    const { flags } = await freshStores();
    const all = linesOfFile(file);
    const input = `${all.slice(0, all.length / 2).join('\n')}\n`;
    const running = startCommand(['stamp', ...flags], { input, keepInputOpen: true });
    await expect
      .poll(() => running.stdoutSoFar().length, { interval: 1, timeout: 30_000 })
      .toBeGreaterThan(0);
    running.child.kill('SIGKILL');
    const first = await running.result;
    const done = readStamped(first.stdout).lines;
    expect(done).toBeGreaterThan(0);
    const second = await succeed(['stamp', ...flags], `${all.slice(done).join('\n')}\n`);
    const complete = first.stdout.slice(0, first.stdout.lastIndexOf('\n') + 1);
    expect(withoutNumbers(complete + second.stdout)).toBe(`${all.join('\n')}\n`);
    expect(notRising(readStamped(complete, second.stdout))).toEqual([]);
  });
});

test('stamp outlives a restart of Redis that loses everything', async () => {
  const own = await startRedis();
  const all = linesOfFile(bundledChat);
  const ledger = await mariaDb.createDatabase();
  const running = startCommand(['stamp', '--redis', own.url, '--ledger', ledger], {
    input: `${all.slice(0, 2_000).join('\n')}\n`,
    keepInputOpen: true,
  });
  await expect.poll(() => readStamped(running.stdoutSoFar()).lines, { timeout: 30_000 }).toBe(2_000);
  await own.kill();
  running.child.stdin!.end(`${all.slice(2_000).join('\n')}\n`);
  await own.start();
  const { status, stdout, stderr } = await running.result;
  expect(status).toBe(0);
  expect(stderr).toMatch(/^4000 lines, 0 bad, 40 conversations, \d+ gaps recorded, /);
  const stamped = readStamped(stdout);
  expect(stamped.lines).toBe(4_000);
  expect(notRising(stamped)).toEqual([]);
  await own.stop();
});

test('stamp without a store that answers stops at the line, and says where to go on', async () => {
  const own = await startRedis();
  const ledger = await mariaDb.createDatabase();
  const args = ['stamp', '--redis', own.url, '--ledger', ledger, '--timeout', '500', '--json'];
  const running = startCommand(args, { input: '{"group":"g"}\n{"group":"h"}\n', keepInputOpen: true });
  await expect.poll(() => readStamped(running.stdoutSoFar()).lines, { timeout: 30_000 }).toBe(2);
  await own.kill();
  running.child.stdin!.end('{"group":"g"}\n');
  const { status, stderr } = await running.result;
  expect(status).toBe(3);
  const [summary, error] = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(summary).toMatchObject({ summary: { lines: 2, lastLine: 2 } });
  // Which of the two depends on whether the take had been sent when the connection was lost.
  const code = expect.stringMatching(/^(counter_unavailable|deadline_exceeded)$/);
  expect(error).toMatchObject({
    error: { code, retryable: true, conversation: 'group:g', line: 3, unused: 0 },
  });
  await own.stop();
});

describe('doctor', () => {
  async function doctor(
    ...args: string[]
  ): Promise<{ status: number | undefined; checks: Record<string, Check> }> {
    const { status, stdout } = await runCommand(['doctor', '--json', ...args]);
    const { checks } = JSON.parse(stdout) as { checks: Check[] };
    return { status, checks: Object.fromEntries(checks.map((check) => [check.check, check])) };
  }

  test('servers in order', async () => {
    const { flags, ledger } = await freshStores();
    const fresh = await doctor(...flags);
    expect(fresh.status).toBe(0);
    expect(fresh.checks['ledger.schema']).toMatchObject({
      status: 'warning',
      advice: expect.stringContaining('tidemark migrate'),
    });
    await succeed(['migrate', '--ledger', ledger]);
    const { status, checks } = await doctor(...flags);
    expect(status).toBe(0);
    const found = Object.fromEntries(
      Object.entries(checks).map(([name, check]) => [name, `${check.status}: ${check.found}`]),
    );
    expect(found).toEqual({
      'redis.connection': expect.stringMatching(/^ok: redis:\/\/127\.0\.0\.1:\d+, \d+ ms$/),
      'redis.version': expect.stringMatching(/^ok: (Redis|Valkey) \d+\./),
      'redis.role': 'ok: primary with 0 replicas',
      'redis.mode': 'ok: standalone',
      'redis.replication_id': expect.stringMatching(/^ok: [0-9a-f]{40}$/),
      'redis.permissions': 'ok: scripts and keys may be used',
      'redis.persistence': 'ok: append-only file, appendfsync everysec',
      'redis.eviction': 'ok: noeviction, no memory limit',
      'redis.clock': expect.stringMatching(/^ok: (0|[+-]\d+) ms against this machine/),
      'ledger.connection': expect.stringMatching(/^ok: mysql:\/\/127\.0\.0\.1:\d+\/tidemark_\d+, \d+ ms$/),
      'ledger.version': expect.stringMatching(/^ok: (MariaDB|MySQL) \d+\./),
      'ledger.writable': 'ok: read_only is off',
      'ledger.flush': 'ok: innodb_flush_log_at_trx_commit = 1',
      'ledger.binlog': 'ok: no binary log',
      'ledger.isolation': expect.stringMatching(/^ok: READ COMMITTED in our sessions/),
      'ledger.clock': expect.stringMatching(/^ok: (0|[+-]\d+) ms against this machine/),
      'ledger.schema': expect.stringMatching(/^ok: version \d+$/),
    });
  });

  test('risky settings are warnings', async () => {
    const risky = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru', '--maxmemory', '100mb'] });
    const ledger = await mariaDb.createDatabase();
    await query(ledger, 'SET GLOBAL innodb_flush_log_at_trx_commit = 2');
    const { status, checks } = await doctor('--redis', risky.url, '--ledger', ledger);
    await query(ledger, 'SET GLOBAL innodb_flush_log_at_trx_commit = 1');
    expect(status).toBe(0);
    expect(checks['redis.eviction']).toMatchObject({
      status: 'warning',
      found: 'allkeys-lru, memory limit 100.00M',
    });
    expect(checks['redis.persistence']).toMatchObject({
      status: 'warning',
      found: expect.stringContaining('nothing is saved'),
    });
    expect(checks['ledger.flush']).toMatchObject({
      status: 'warning',
      found: 'innodb_flush_log_at_trx_commit = 2',
    });
    await risky.stop();
  });

  test('a replica, and a read-only ledger, are failures', async () => {
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(redis.port)] });
    const ledger = await mariaDb.createDatabase();
    await query(ledger, 'SET GLOBAL read_only = 1');
    const { status, checks } = await doctor('--redis', replica.url, '--ledger', ledger);
    await query(ledger, 'SET GLOBAL read_only = 0');
    expect(status).toBe(1);
    expect(checks['redis.role']).toMatchObject({ status: 'failure', found: 'slave' });
    expect(checks['ledger.writable']).toMatchObject({ status: 'failure' });
    await replica.stop();
  });

  test('a user with few rights: what it may not see is a warning', async () => {
    const { ledger } = await freshStores();
    await redis.command(
      'ACL',
      'SETUSER',
      'few',
      'on',
      '>secret',
      '~seq:*',
      '+evalsha',
      '+script|load',
      '+info',
      '+time',
      '+get',
      '+set',
      '+incrby',
      '+unlink',
      '+scan',
      '+zadd',
      '+zrange',
      '+zrem',
      '+zremrangebyscore',
    );
    const url = `redis://few:secret@127.0.0.1:${redis.port}`;
    const { status, checks } = await doctor('--redis', url, '--ledger', ledger);
    expect(status).toBe(0);
    expect(checks['redis.permissions']).toMatchObject({ status: 'ok' });
    expect(checks['redis.persistence']).toMatchObject({ status: 'ok', found: 'append-only file' });

    await redis.command('ACL', 'SETUSER', 'few', '-info');
    const blind = await doctor('--redis', url, '--ledger', ledger);
    expect(blind.status).toBe(1);
    expect(blind.checks['redis.info']).toMatchObject({ status: 'warning', found: 'INFO is forbidden' });
    expect(blind.checks['redis.permissions']).toMatchObject({ status: 'failure' });
    expect(JSON.stringify(blind)).not.toContain('secret');
  });

  test('a wrong password, a missing database and a newer schema are failures', async () => {
    const ledger = await mariaDb.createDatabase();
    const { checks } = await doctor(
      '--redis',
      `redis://nobody:secret@127.0.0.1:${redis.port}`,
      '--ledger',
      `${ledger}_missing`,
    );
    expect(checks['redis.connection']).toMatchObject({
      status: 'failure',
      found: expect.stringContaining('WRONGPASS'),
    });
    expect(checks['ledger.connection']).toMatchObject({
      status: 'failure',
      found: expect.stringContaining('Unknown database'),
    });
    await succeed(['migrate', '--ledger', ledger]);
    await query(ledger, 'INSERT INTO tidemark_schema VALUES (999, 0)');
    const newer = await doctor('--ledger', ledger);
    expect(newer.status).toBe(1);
    expect(newer.checks['ledger.schema']).toMatchObject({
      status: 'failure',
      found: expect.stringContaining('schema_too_new'),
    });
    expect(newer.checks['redis.connection']).toMatchObject({
      status: 'warning',
      found: 'not named, not looked at',
    });
  });
});

async function query(url: string, sql: string): Promise<void> {
  const { createConnection } = await import('mysql2/promise');
  const connection = await createConnection(url);
  await connection.query(sql);
  await connection.end();
}
