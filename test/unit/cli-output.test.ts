import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { columns, Output, oneLine, ReaderGone, withoutCredentials } from '../../src/cli/output.js';
import { TidemarkError } from '../../src/errors.js';

class Sink extends Writable {
  text = '';
  failure: NodeJS.ErrnoException | undefined;
  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.text += chunk.toString();
    done(this.failure);
  }
}

function withSinks() {
  const stdout = new Sink();
  const stderr = new Sink();
  return { stdout, stderr, output: new Output(stdout, stderr) };
}

test.each([
  ['redis://user:pass@host:6379/0', 'redis://host:6379/0'],
  ['at redis://:p@ss@host, and', 'at redis://host, and'],
  ['mysql://root@host/db', 'mysql://root@host/db'],
  ['write mysql://user:password@host:3306/database', 'write mysql://user:password@host:3306/database'],
  ["unknown option '--redsi=rediss://a:b@h'", "unknown option '--redsi=rediss://h'"],
  ['"mysql://a:b@h/d" or redis://c:d@e', '"mysql://h/d" or redis://e'],
  ['alice@example.com at 10:30', 'alice@example.com at 10:30'],
])('no credentials: %s', (text, expected) => {
  expect(withoutCredentials(text)).toBe(expected);
});

test('an error is one line, or one JSON line, and gives its exit status', () => {
  const { stdout, stderr, output } = withSinks();
  const error = new TidemarkError('ledger_in_use', 'the folder\n  is open at mysql://a:secret@h', {
    conversation: 'group:g',
  });
  expect(output.error(error)).toBe(4);
  expect(stderr.text).toBe('tidemark: ledger_in_use: the folder is open at mysql://h\n');
  stderr.text = '';
  output.json = true;
  output.error(error, { line: 3 });
  expect(JSON.parse(stderr.text)).toEqual({
    error: {
      code: 'ledger_in_use',
      message: 'ledger_in_use: the folder is open at mysql://h',
      retryable: false,
      exitStatus: 4,
      conversation: 'group:g',
      line: 3,
    },
  });
  expect(stderr.text.split('\n')).toHaveLength(2);
  expect(stdout.text).toBe('');
});

test('a reader that went away ends writing quietly, now and later', async () => {
  const { stdout, output } = withSinks();
  stdout.failure = Object.assign(new Error('broken pipe'), { code: 'EPIPE' });
  await expect(output.write('a')).rejects.toBeInstanceOf(ReaderGone);
  await expect(output.write('b')).rejects.toBeInstanceOf(ReaderGone);
  expect(stdout.text).toBe('a');
});

test('an output that cannot be written is an error', async () => {
  const { stdout, output } = withSinks();
  stdout.failure = Object.assign(new Error('full'), { code: 'ENOSPC' });
  await expect(output.write('a')).rejects.toThrow('internal: the output cannot be written (ENOSPC)');
});

test('text helpers', () => {
  expect(oneLine(' a\n   b\r\nc ')).toBe('a b c');
  expect(
    columns([
      ['a', 'bbb', ''],
      ['aaaa', 'b', 'c'],
    ]),
  ).toBe('a     bbb\naaaa  b    c');
  expect(columns([])).toBe('');
});
