import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Stamper, type StamperParts, type StampSummary } from '../../src/cli/stamp/stamper.js';
import type { Conversation } from '../../src/core/conversation.js';
import { TidemarkError } from '../../src/errors.js';

async function* pieces(...texts: readonly string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
}

interface Run {
  summary: Promise<StampSummary>;
  written: string[];
  bad: [number, string][];
  asked: Conversation[];
}

/** A run whose numbers count up at once, unless said otherwise. */
function run(parts: Partial<StamperParts>): Run {
  const written: string[] = [];
  const bad: [number, string][] = [];
  const asked: Conversation[] = [];
  const next = parts.next ?? (async () => asked.length);
  const stamper = new Stamper({
    source: pieces(),
    write: async (bytes) => void written.push(Buffer.from(bytes).toString()),
    badLines: 'reject',
    onBadLine: (line, reason) => bad.push([line, reason]),
    signal: new AbortController().signal,
    ...parts,
    next: (of) => {
      asked.push(of);
      return next(of);
    },
  });
  return { summary: stamper.run(), written, bad, asked };
}

const input = '{"group":"a"}\nbad\n\n{"group":"b"}\n';

test('an empty input', async () => {
  expect(await run({}).summary).toMatchObject({
    lines: 0,
    stamped: 0,
    bad: 0,
    conversations: 0,
    failed: undefined,
  });
});

describe('bad lines', () => {
  test('reject', async () => {
    const { summary, written, bad } = run({ source: pieces(input) });
    expect(await summary).toMatchObject({ lines: 3, stamped: 2, bad: 1, conversations: 2, lastLine: 4 });
    expect(written.join('')).toBe('{"group":"a","sequence":1}\n{"group":"b","sequence":2}\n');
    expect(bad).toEqual([[2, 'it is not JSON']]);
  });

  test('copy', async () => {
    const { summary, written, bad } = run({ source: pieces(input), badLines: 'copy' });
    expect(await summary).toMatchObject({ lines: 3, stamped: 2, bad: 1 });
    expect(written.join('')).toBe('{"group":"a","sequence":1}\nbad\n{"group":"b","sequence":2}\n');
    expect(bad).toHaveLength(1);
  });

  test('stop: no number is asked for behind the bad line', async () => {
    const { summary, written, asked } = run({ source: pieces(input), badLines: 'stop' });
    expect(await summary).toMatchObject({ lines: 2, stamped: 1, bad: 1, lastLine: 2, unused: 0 });
    expect(written.join('')).toBe('{"group":"a","sequence":1}\n');
    expect(asked.map(String)).toEqual(['group:a']);
  });

  test('a line over 1 MiB is reported and never copied', async () => {
    const long = `{"group":"a","text":"${'x'.repeat(1_048_576)}"}\n`;
    const { summary, written, bad } = run({ source: pieces(long, '{"group":"b"}'), badLines: 'copy' });
    expect(await summary).toMatchObject({ lines: 2, stamped: 1, bad: 1 });
    expect(written.join('')).toBe('{"group":"b","sequence":1}\n');
    expect(bad).toEqual([[1, 'it is longer than 1048576 bytes']]);
  });
});

test('lines are written in their order, whatever the order of the numbers', async () => {
  const resolvers: ((number: number) => void)[] = [];
  const { summary, written } = run({
    source: pieces('{"group":"a"}\n{"group":"b"}\n{"group":"c"}\n'),
    next: () => new Promise((resolve) => resolvers.push(resolve)),
  });
  while (resolvers.length < 3) await turn();
  for (const index of [2, 1, 0]) {
    expect(written).toEqual([]);
    resolvers[index]!(index + 10);
    await turn();
  }
  await summary;
  expect(written.join('')).toBe(
    '{"group":"a","sequence":10}\n{"group":"b","sequence":11}\n{"group":"c","sequence":12}\n',
  );
});

test('what is ready is written while the next number is waited for', async () => {
  let release: (number: number) => void = () => undefined;
  const { summary, written } = run({
    source: pieces('{"group":"a"}\n{"group":"b"}\n'),
    next: (of) => (of.id === 'a' ? Promise.resolve(1) : new Promise((resolve) => (release = resolve))),
  });
  while (written.length === 0) await turn();
  expect(written.join('')).toBe('{"group":"a","sequence":1}\n');
  release(2);
  await summary;
});

describe('bounded', () => {
  /** Endless lines, and how many bytes of them were taken. */
  function endless(line: string) {
    const state = { taken: 0 };
    const source = (async function* () {
      for (;;) {
        await turn();
        state.taken += 1;
        yield Buffer.from(`${line}\n`.repeat(100));
      }
    })();
    return { state, source };
  }

  async function settles(value: () => number): Promise<number> {
    for (let last = -1, quiet = 0; ; ) {
      await turn();
      quiet = value() === last ? quiet + 1 : 0;
      last = value();
      if (quiet > 20) return last;
    }
  }

  test('numbers that do not come hold the input', async () => {
    const stopping = new AbortController();
    const releases: ((number: number) => void)[] = [];
    const { source } = endless('{"group":"a"}');
    const { summary, asked } = run({
      source,
      signal: stopping.signal,
      next: () => new Promise((resolve) => releases.push(resolve)),
    });
    expect(await settles(() => asked.length)).toBe(4_000);
    stopping.abort();
    releases.forEach((release, index) => void release(index + 1));
    expect(await summary).toMatchObject({ lines: 4_000, stamped: 4_000 });
  });

  test('long lines hold the input earlier', async () => {
    const stopping = new AbortController();
    const releases: ((number: number) => void)[] = [];
    const { source } = endless(JSON.stringify({ group: 'a', text: 'x'.repeat(100_000) }));
    const { summary, asked } = run({
      source,
      signal: stopping.signal,
      next: () => new Promise((resolve) => releases.push(resolve)),
    });
    expect(await settles(() => asked.length)).toBe(Math.ceil((16 * 1_048_576) / 100_023));
    stopping.abort();
    releases.forEach((release, index) => void release(index + 1));
    await summary;
  });

  test('an output that does not take more holds the input', async () => {
    const stopping = new AbortController();
    let release: () => void = () => undefined;
    const blocked = new Promise<void>((resolve) => (release = resolve));
    const { source, state } = endless('{"group":"a"}');
    const { summary, asked } = run({ source, signal: stopping.signal, write: () => blocked });
    const before = await settles(() => asked.length);
    expect(before).toBeGreaterThan(0);
    expect(before).toBeLessThan(10_000);
    expect(state.taken).toBeLessThan(101);
    stopping.abort();
    release();
    await summary;
  });
});

test('a signal finishes what is under way, even when the input gives nothing more', async () => {
  const stopping = new AbortController();
  let release: (number: number) => void = () => undefined;
  const source = (async function* () {
    yield Buffer.from('{"group":"a"}\n');
    await new Promise(() => undefined);
  })();
  const next = (): Promise<number> => new Promise((resolve) => (release = resolve));
  const { summary, written, asked } = run({ source, signal: stopping.signal, next });
  while (asked.length === 0) await turn();
  stopping.abort();
  release(5);
  expect(await summary).toMatchObject({ lines: 1, stamped: 1 });
  expect(written.join('')).toBe('{"group":"a","sequence":5}\n');
});

test('a line whose number cannot be had ends the run behind the lines before it', async () => {
  const error = new TidemarkError('ledger_unavailable', 'gone');
  const { summary, written } = run({
    source: pieces('{"group":"a"}\n{"group":"b"}\n{"group":"a"}\n{"group":"a"}\n'),
    next: (of) => (of.id === 'b' ? Promise.reject(error) : Promise.resolve(1)),
  });
  expect(await summary).toMatchObject({
    lines: 1,
    stamped: 1,
    lastLine: 1,
    unused: 2,
    failed: { line: 2, error },
  });
  expect(written.join('')).toBe('{"group":"a","sequence":1}\n');
});

test('an output that fails rejects, and so does an input', async () => {
  const write = (): Promise<void> => Promise.reject(new Error('broken'));
  await expect(run({ source: pieces(input), write }).summary).rejects.toThrow('broken');
  const source = (async function* (): AsyncGenerator<Buffer> {
    yield Buffer.from('{"group":"a"}\n');
    throw new Error('torn');
  })();
  const torn = run({ source });
  await expect(torn.summary).rejects.toThrow('torn');
  expect(torn.written.join('')).toBe('{"group":"a","sequence":1}\n');
});
