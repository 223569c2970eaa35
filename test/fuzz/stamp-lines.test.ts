/** `stamp` against a model that takes whole lines one after another, on input that no chat would have. */

import { isUtf8 } from 'node:buffer';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { linesOf } from '../../src/cli/stamp/lines.js';
import { conversationOfLine } from '../../src/cli/stamp/stamp-line.js';
import { type BadLinePolicy, maxLineBytes, Stamper } from '../../src/cli/stamp/stamper.js';
import {
  type Conversation,
  conversation,
  groupChat,
  parseConversation,
  privateChat,
} from '../../src/core/conversation.js';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { seed } from '../support/runs.js';
import { anyText, expectNoPollution, fuzzed, timeoutMs } from './hostile.js';

const name = fc.constantFrom(
  ...['conversation', 'group', 'sender', 'recipient', 'type', 'id', 'text', 'n'],
  ...['sequence', '__proto__', 'constructor', 'hasOwnProperty', 'toString', '', 'Group'],
);
const scalar = fc.oneof(
  fc.constantFrom(
    '"g1"',
    '"a"',
    '"b"',
    '"group:g1"',
    '"private:a:b"',
    '"channel"',
    'null',
    'true',
    '0',
    '-0',
    '""',
  ),
  fc.constantFrom(
    '1e999',
    '9007199254740993',
    '12345678901234567890',
    '-1.5E-400',
    '"\\u0067\\u0031"',
    '"\\ud800"',
  ),
  fc.constantFrom(
    '"\\u0000"',
    '"}"',
    '"{\\"group\\":\\"x\\"}"',
    '"\\n"',
    '"%3A"',
    '"a:b"',
    '"😀"',
    '01',
    '+1',
    'NaN',
  ),
  anyText.map((text) => JSON.stringify(text)),
);
const value = fc.oneof(
  { weight: 6, arbitrary: scalar },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.nat(60), scalar).map(([deep, of]) => '['.repeat(deep) + of + ']'.repeat(deep)),
  },
  { weight: 1, arbitrary: fc.tuple(name, scalar).map(([key, of]) => `{${JSON.stringify(key)}:${of}}`) },
);
const escapedName = name.map((text) =>
  text === '' ? '""' : `"\\u${text.charCodeAt(0).toString(16).padStart(4, '0')}${text.slice(1)}"`,
);
const member = fc
  .tuple(
    fc.oneof(
      { weight: 5, arbitrary: name.map((text) => JSON.stringify(text)) },
      { weight: 1, arbitrary: escapedName },
    ),
    fc.constantFrom('', ' ', '\t', '\r'),
    value,
  )
  .map(([key, space, of]) => `${key}${space}:${space}${of}`);
const object = fc
  .tuple(
    fc.array(member, { maxLength: 5 }),
    fc.constantFrom('', ' ', '\r', '\t \r', '\f', '\ufeff', '\0', ','),
  )
  .map(([members, end]) => `{${members.join(',')}}${end}`);
const good = fc
  .tuple(
    fc.constantFrom('"group":"g1"', '"group":"g2"', '"sender":"a","recipient":"b"', '"type":"x","id":"y"'),
    member,
  )
  .map(([of, more]) => `{${of},${more}}`);
const lineBytes = fc
  .tuple(
    fc.oneof(
      { weight: 3, arbitrary: good },
      { weight: 3, arbitrary: object },
      { weight: 1, arbitrary: anyText },
    ),
    fc.option(fc.tuple(fc.nat(80), fc.nat(255), fc.nat(2))),
  )
  .map(([text, damage]) => {
    const bytes = Buffer.from(text);
    if (damage === null) return bytes;
    const [at, byte, kind] = damage;
    const place = Math.min(at, bytes.length);
    const inserted = kind === 0 ? Buffer.alloc(0) : Buffer.from([byte]);
    return Buffer.concat([bytes.subarray(0, place), inserted, bytes.subarray(place + (kind === 2 ? 1 : 0))]);
  });
const stream = fc
  .tuple(
    fc.array(lineBytes, { maxLength: 12 }),
    fc.constantFrom('', '\n', '\r\n', '\n\n'),
    fc.constantFrom('', '\ufeff'),
  )
  .map(([lines, end, start]) =>
    Buffer.concat([
      Buffer.from(start),
      ...lines.flatMap((line, at) => [...(at > 0 ? [Buffer.from('\n')] : []), line]),
      Buffer.from(end),
    ]),
  );
const policies = fc.constantFrom<BadLinePolicy[]>('reject', 'copy', 'stop');

interface Result {
  readonly output: string;
  readonly bad: readonly number[];
  readonly stamped: number;
  readonly lines: number;
  readonly lastLine: number;
  readonly conversations: number;
}

describe(`stamp, hostile, seed ${seed}`, () => {
  it(
    'writes what the model writes, however the input is cut and whatever it holds',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          stream,
          policies,
          fc.array(fc.nat(300), { maxLength: 6 }),
          async (bytes, badLines, cuts) => {
            const generator = new SequenceGenerator({
              counters: new MemoryCounterStore(),
              ledger: new MemoryLedger(),
            });
            const pieces = piecesOf(bytes, cuts);
            const found = await stamp(pieces, badLines, (of) => generator.next(of));
            expect(found).toEqual(model(bytes, badLines));
            await generator.close();
            expectNoPollution();
          },
        ),
        fuzzed(),
      );
    },
    timeoutMs(10),
  );

  it('every line that gets a number is what it was, but for the number, and valid JSON still', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(good, { minLength: 1, maxLength: 5 }), async (lines) => {
        const { output } = await stamp([Buffer.from(lines.join('\n'))], 'reject', async () => 7);
        for (const line of Buffer.from(output, 'latin1').toString().split('\n').slice(0, -1)) {
          expect(line.endsWith(',"sequence":7}')).toBe(true);
          expect(lines).toContain(line.replace(/,"sequence":7}$/, '}'));
          const parsed = JSON.parse(line) as Record<string, unknown>;
          expect(Object.hasOwn(parsed, 'sequence') && parsed['sequence']).toBe(7);
        }
      }),
      fuzzed(0.3),
    );
  });

  it('lines about as long as the limit, nested to the limit, and far beyond it', async () => {
    const filled = (bytes: number) => {
      const [head, tail] = ['{"group":"g1","text":"', '"}'];
      return Buffer.from(`${head}${'x'.repeat(bytes - head.length - tail.length)}${tail}`);
    };
    const nested = (bytes: number, [open, close]: readonly [string, string]) => {
      const [head, tail] = ['{"group":"g1","x":', '}'];
      const deep = Math.floor((bytes - head.length - tail.length - 1) / (open.length + close.length));
      return Buffer.from(`${head}${open.repeat(deep)}1${close.repeat(deep)}${tail}`);
    };
    const lines = [
      ...[maxLineBytes - 1, maxLineBytes, maxLineBytes + 1, maxLineBytes * 3].map(filled),
      ...[['[', ']'] as const, ['{"":', '}'] as const].map((of) => nested(maxLineBytes, of)),
      Buffer.from('['.repeat(maxLineBytes)),
      Buffer.from(`{"group":"${'%'.repeat(maxLineBytes - 20)}"}`),
      Buffer.from(`{"conversation":"private:${'a:'.repeat(maxLineBytes / 2 - 20)}"}`),
      Buffer.from(`{${'"group":"g1",'.repeat(80_000)}"group":"g1"}`),
      Buffer.alloc(maxLineBytes),
    ];
    for (const line of lines) {
      const bytes = Buffer.concat([line, Buffer.from('\n{"group":"g1"}\n')]);
      const startedAtMs = performance.now();
      let number = 0;
      const found = await stamp(piecesOf(bytes, [65_536]), 'reject', async () => ++number);
      expect(performance.now() - startedAtMs).toBeLessThan(5_000);
      expect(found).toEqual(model(bytes, 'reject'));
    }
  });

  it('what is too long is not held in memory: an endless line without an end', async () => {
    const piece = Buffer.alloc(1_000_000, 0x61);
    let given = 0;
    const source = (async function* () {
      for (; given < 2_000; given += 1) {
        yield piece;
        if (given % 100 === 0) await turn();
      }
      yield Buffer.from('\n{"group":"g1"}');
    })();
    const before = process.memoryUsage();
    const found: { number: number; tooLong: boolean }[] = [];
    for await (const lines of linesOf(source, maxLineBytes))
      found.push(...lines.map(({ number, tooLong }) => ({ number, tooLong })));
    expect(found).toEqual([
      { number: 1, tooLong: true },
      { number: 2, tooLong: false },
    ]);
    expect(given).toBe(2_000);
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(20_000_000);
  });

  it('the reason of a bad line is short, and has nothing in it that a terminal acts on', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          lineBytes,
          anyText.map((text) => Buffer.from(JSON.stringify({ conversation: text }))),
        ),
        (bytes) => {
          try {
            conversationOfLine(bytes);
          } catch (error) {
            const { name: kind, message } = error as Error;
            expect(kind).toBe('BadLine');
            expect(message.length).toBeLessThan(500);
            expect(message).not.toMatch(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
          }
        },
      ),
      fuzzed(),
    );
  });
});

function piecesOf(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let from = 0;
  for (const length of cuts) {
    pieces.push(bytes.subarray(from, from + length));
    from += length;
  }
  return [...pieces, bytes.subarray(from)];
}

async function stamp(
  pieces: readonly Buffer[],
  badLines: BadLinePolicy,
  next: (of: Conversation) => Promise<number>,
): Promise<Result> {
  const written: Buffer[] = [];
  const bad: number[] = [];
  const source = (async function* () {
    for (const piece of pieces) yield piece;
  })();
  const stamper = new Stamper({
    source,
    next,
    write: async (bytes) => void written.push(Buffer.from(bytes)),
    badLines,
    onBadLine: (line) => bad.push(line),
    signal: new AbortController().signal,
  });
  const { lines, stamped, lastLine, conversations, failed, unused } = await stamper.run();
  expect([failed, unused]).toEqual([undefined, 0]);
  return { output: Buffer.concat(written).toString('latin1'), bad, stamped, lines, lastLine, conversations };
}

/** As the documentation says it, with nothing of the code but the names of conversations. */
function model(bytes: Buffer, badLines: BadLinePolicy): Result {
  const numbers = new Map<string, number>();
  const bad: number[] = [];
  let [output, stamped, lines, lastLine] = ['', 0, 0, 0];
  const texts = bytes.toString('latin1').split('\n');
  if (texts.at(-1) === '') texts.pop();
  for (const [index, text] of texts.entries()) {
    if (text.length <= maxLineBytes && /^[ \t\r]*$/.test(text)) continue;
    lines += 1;
    lastLine = index + 1;
    const of = namedBy(Buffer.from(text, 'latin1'));
    if (of === undefined) {
      bad.push(lastLine);
      if (badLines === 'copy' && text.length <= maxLineBytes) output += `${text}\n`;
      if (badLines === 'stop') break;
      continue;
    }
    const number = (numbers.get(of.key) ?? 0) + 1;
    numbers.set(of.key, number);
    stamped += 1;
    const end = text.lastIndexOf('}');
    output += `${text.slice(0, end)},"sequence":${number}}${text.slice(end + 1)}\n`;
  }
  return { output, bad, stamped, lines, lastLine, conversations: numbers.size };
}

function namedBy(bytes: Buffer): Conversation | undefined {
  if (bytes.length > maxLineBytes || !isUtf8(bytes)) return undefined;
  try {
    const parsed = JSON.parse(bytes.toString()) as unknown;
    if (Object.prototype.toString.call(parsed) !== '[object Object]') return undefined;
    const given = new Map(Object.entries(parsed as object));
    if (given.has('sequence')) return undefined;
    const [whole, group, sender, recipient, type, id] = [
      ...['conversation', 'group', 'sender', 'recipient', 'type', 'id'],
    ].map((key) => given.get(key) ?? undefined) as (string | undefined)[];
    if (whole !== undefined) return parseConversation(whole);
    if (group !== undefined && recipient !== undefined) return undefined;
    if (group !== undefined) return groupChat(group);
    if (recipient !== undefined) return sender === undefined ? undefined : privateChat(sender, recipient);
    return type === undefined || id === undefined ? undefined : conversation(type, id);
  } catch {
    return undefined;
  }
}
