/** What the command refuses, and how it says so: errors, exit statuses and signals. */

import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runCommand, startCommand } from '../support/command.js';
import { freePort, temporaryFolder } from '../support/servers.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

const refused: [string, string[], number, string][] = [
  ['no command', [], 2, 'no command is given'],
  ['an unknown command', ['nxt'], 2, "unknown command 'nxt'"],
  ['an unknown flag', ['next', 'group:g', '--cuont', '1'], 2, "unknown option '--cuont'"],
  ['a flag of another command', ['next', 'group:g', '--after', 'x'], 2, "unknown option '--after'"],
  ['no conversation', ['next', '--data', 'd'], 2, 'missing required argument'],
  ['two conversations', ['next', 'group:g', 'group:h', '--data', 'd'], 2, 'too many arguments'],
  ['no store', ['next', 'group:g'], 2, 'no store is named'],
  ['no numbers', ['next', 'group:g', '--count', '0', '--data', 'd'], 2, 'from 1 to 1000'],
  ['too many numbers', ['next', 'group:g', '--count', '1001', '--data', 'd'], 2, 'from 1 to 1000'],
  ['a number that is none', ['gaps', 'group:g', '--from', '1e3', '--data', 'd'], 2, 'whole number'],
  [
    'a range that ends before it begins',
    ['gaps', 'group:g', '--from', '9', '--to', '8', '--data', 'd'],
    2,
    'to must be',
  ],
  ['a number that nothing explains', ['explain', 'group:g', '0', '--data', 'd'], 2, 'from 1 to 999999999999'],
  ['no number to explain', ['explain', 'group:g', '--data', 'd'], 2, "missing required argument 'number'"],
  [
    'several numbers for one message',
    ['next', 'group:g', '--message-id', 'm', '--count', '2', '--data', 'd'],
    2,
    'is for one number',
  ],
  ['a message id of nothing', ['take', 'group:g', '--message-id', '', '--data', 'd'], 2, '1 to 255 bytes'],
  ['a message id on a folder', ['next', 'group:g', '--message-id', 'm', '--data', 'd'], 2, 'are forgotten'],
  ['a take on a folder', ['take', 'group:g', '--data', 'd'], 2, 'open takes are lost'],
  ['settle on a folder', ['settle', 'group:g', '1', '--data', 'd'], 2, 'open takes are lost'],
  ['abandon on a folder', ['abandon', 'group:g', '1', '2', '--data', 'd'], 2, 'open takes are lost'],
  ['renew on a folder', ['renew', 'group:g', '1', '--data', 'd'], 2, 'open takes are lost'],
  ['a take that ends before it begins', ['settle', 'group:g', '9', '8', '--data', 'd'], 2, 'last must be'],
  ['a take without a store', ['take', 'group:g'], 2, 'no store is named'],
  ['a deadline of nothing', ['next', 'group:g', '--timeout', '0', '--data', 'd'], 2, 'from 1 to 600000'],
  ['no conversation in the text', ['next', 'g1', '--data', 'd'], 2, '"g1" has no type'],
  ['a type that is none', ['list', 'No', '--data', 'd'], 2, 'is not a conversation type'],
  ['an unknown policy', ['stamp', '--bad-lines', 'x', '--data', 'd'], 2, 'reject, copy, stop'],
  [
    'both kinds of store',
    ['next', 'group:g', '--data', 'd', '--redis', 'redis://h'],
    2,
    'exclude each other',
  ],
  [
    'half of the servers',
    ['next', 'group:g', '--redis', 'redis://h'],
    2,
    'server of the ledger is not named',
  ],
  ['migrate without a ledger', ['migrate'], 2, 'no ledger is named'],
  ['migrate of a folder', ['migrate', '--data', 'd'], 2, 'makes its own tables'],
  ['demo with a folder', ['demo', '--data', 'd'], 2, 'temporary folder of its own'],
  [
    'a prefix that Redis refuses',
    ['next', 'group:g', '--prefix', '{', '--redis', 'redis://h', '--ledger', 'mysql://h/d'],
    2,
    'prefix',
  ],
];
test.each(refused)('%s', async (_, args, status, message) => {
  const { stderr, ...result } = await runCommand([...args, '--json'], { folder: folder.path });
  expect(result).toEqual({ status, stdout: '' });
  const { error } = JSON.parse(stderr) as { error: Record<string, unknown> };
  expect(error).toMatchObject({
    code: expect.stringMatching(/^invalid_/),
    retryable: false,
    exitStatus: status,
  });
  expect(error['message']).toContain(message);
  // What is refused leaves nothing behind, except where the library refuses after the store was opened.
  if (!args.includes('--from') && !args.includes('No')) {
    expect(existsSync(path.join(folder.path, 'd'))).toBe(false);
  }
});

test('as text', async () => {
  expect(await runCommand(['nxt'])).toEqual({
    status: 2,
    stdout: '',
    stderr: "tidemark: invalid_argument: unknown command 'nxt' (Did you mean next?); see tidemark --help\n",
  });
});

test('servers out of reach: retryable, status 3, no password', async () => {
  const port = await freePort();
  const args = [
    'next',
    'group:g',
    '--timeout',
    '300',
    '--json',
    '--redis',
    `redis://:se%40cret@127.0.0.1:${port}`,
  ];
  const { status, stderr } = await runCommand([...args, '--ledger', `mysql://me:secret@127.0.0.1:${port}/x`]);
  expect(status).toBe(3);
  expect(JSON.parse(stderr)).toMatchObject({
    error: { retryable: true, exitStatus: 3, conversation: 'group:g' },
  });
  expect(stderr).not.toContain('cret');
});

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s ends a call that waits', async (signal, status) => {
  // A server that accepts and says nothing; once it is asked, the command is past its start.
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const servers = ['--redis', `redis://127.0.0.1:${port}`, '--ledger', `mysql://me@127.0.0.1:${port}/x`];
  const asked = once(server, 'connection');
  const running = startCommand(['next', 'group:g', '--timeout', '50000', ...servers], {
    folder: folder.path,
  });
  await asked;
  running.child.kill(signal);
  expect(await running.result).toMatchObject({
    status,
    stdout: '',
    stderr: expect.stringMatching(/^tidemark: aborted: /),
  });
  server.close();
});
