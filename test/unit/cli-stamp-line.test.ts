import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linesOf } from '../../src/cli/stamp/lines.js';
import { conversationOfLine, isBlank, withSequence } from '../../src/cli/stamp/stamp-line.js';

const seed = Math.floor(Math.random() * 2 ** 31);
const runs = { numRuns: 1_000, seed, verbose: true } as const;

function keyOf(line: unknown): string {
  return conversationOfLine(Buffer.from(typeof line === 'string' ? line : JSON.stringify(line))).key;
}

describe('the conversation of a line', () => {
  test.each([
    [{ group: 'g1' }, 'group:g1'],
    [{ group: 'a:b' }, 'group:a%3Ab'],
    [{ sender: 'bob', recipient: 'alice' }, 'private:alice:bob'],
    [{ sender: 'bob', group: 'g1' }, 'group:g1'],
    [{ sender: 'bob', group: 'g1', recipient: null }, 'group:g1'],
    [{ conversation: 'private:bob:alice' }, 'private:alice:bob'],
    [{ conversation: 'group:g1', group: 'other', recipient: 'x' }, 'group:g1'],
    [{ type: 'channel', id: 'news' }, 'channel:news'],
    [{ type: 'text', id: 'm1', group: 'g1' }, 'group:g1'],
    [{ type: 'text', id: 'm1', sender: 'a', recipient: 'b' }, 'private:a:b'],
  ])('%j', (line, key) => {
    expect(keyOf(line)).toBe(key);
  });

  test.each([
    ['', /not JSON/],
    ['{"group":"g1"', /not JSON/],
    ['{"group":"g1"} {"group":"g1"}', /not JSON/],
    ['"group:g1"', /not a JSON object/],
    ['null', /not a JSON object/],
    ['[{"group":"g1"}]', /not a JSON object/],
    [{}, /names no conversation/],
    [{ sender: 'bob' }, /names no conversation/],
    [{ type: 'channel' }, /names no conversation/],
    ['{"__proto__":{"group":"g1"}}', /names no conversation/],
    [{ recipient: 'bob' }, /a recipient and no sender/],
    [{ group: 'g', recipient: 'bob' }, /both a group and a recipient/],
    [{ group: 'g', sequence: 1 }, /has a "sequence" already/],
    [{ group: 'g', sequence: null }, /has a "sequence" already/],
    [{ group: 5 }, /must be a string, got number/],
    [{ group: '' }, /is empty/],
    [{ group: 'x'.repeat(256) }, /longer than 255 bytes/],
    [{ conversation: 'g1' }, /has no type/],
    [{ conversation: {} }, /written as text, got object/],
    [{ type: 'No', id: 'x' }, /is not a conversation type/],
    [{ sender: 'a', recipient: ['b'] }, /must be a string, got object/],
    ['{"group":"\\ud800"}', /lone surrogate/],
    ['{"group":"a\\u0000"}', /control character/],
  ])('bad: %j', (line, reason) => {
    expect(() => keyOf(line)).toThrow(reason);
  });

  test('bytes that are not UTF-8 are bad, wherever they are', () => {
    const line = Buffer.concat([
      Buffer.from('{"group":"g","text":"'),
      Buffer.from([0xff]),
      Buffer.from('"}'),
    ]);
    expect(() => conversationOfLine(line)).toThrow(/not UTF-8/);
  });
});

describe('the number in the line', () => {
  test.each([
    ['{"group":"g"}', '{"group":"g","sequence":7}'],
    [' { "group" : "g" } \t\r', ' { "group" : "g" ,"sequence":7} \t\r'],
    ['{"group":"}","x":{"y":"}"}}', '{"group":"}","x":{"y":"}"},"sequence":7}'],
    ['{"group":"g","n":1.0e2,"n":2}', '{"group":"g","n":1.0e2,"n":2,"sequence":7}'],
  ])('%s', (line, expected) => {
    expect(Buffer.concat(withSequence(Buffer.from(line), 7)).toString()).toBe(expected);
  });

  test(`any object keeps everything else (seed ${seed})`, () => {
    const lines = fc.tuple(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.constantFrom('', ' ', '\t'),
      fc.nat(1e12 - 1),
    );
    fc.assert(
      fc.property(lines, ([fields, space, number]) => {
        const { sequence: _, ...others } = fields;
        const source = { ...others, conversation: 'group:g' };
        const line = Buffer.from(space + JSON.stringify(source) + space);
        expect(conversationOfLine(line).key).toBe('group:g');
        const stamped = Buffer.concat(withSequence(line, number)).toString();
        expect(JSON.parse(stamped)).toEqual(JSON.parse(JSON.stringify({ ...source, sequence: number })));
        expect(stamped.replace(`,"sequence":${number}`, '')).toBe(line.toString());
      }),
      runs,
    );
  });
});

test('blank lines', () => {
  for (const blank of ['', ' ', '\r', '\t \r']) expect(isBlank(Buffer.from(blank))).toBe(true);
  for (const other of ['{}', ' x', '\u00a0']) expect(isBlank(Buffer.from(other))).toBe(false);
});

describe('lines of a stream', () => {
  async function cut(pieces: readonly Buffer[], maxLineBytes: number) {
    const lines: { number: number; text: string; tooLong: boolean }[] = [];
    const source = (async function* () {
      yield* pieces;
    })();
    for await (const some of linesOf(source, maxLineBytes)) {
      for (const { number, bytes, tooLong } of some)
        lines.push({ number, text: bytes.toString('latin1'), tooLong });
    }
    return lines;
  }

  test(`are the same however the stream is cut (seed ${seed})`, async () => {
    const bytes = fc.array(fc.constantFrom(0x0a, 0x61, 0xc3, 0xa9, 0x0d), { maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(
        bytes,
        fc.array(fc.nat(40), { maxLength: 6 }),
        fc.integer({ min: 1, max: 8 }),
        async (all, cuts, max) => {
          const whole = Buffer.from(all);
          const places = [
            0,
            ...cuts.map((place) => Math.min(place, whole.length)).sort((a, b) => a - b),
            whole.length,
          ];
          const pieces = places.slice(1).map((end, index) => whole.subarray(places[index], end));
          const expected = whole.toString('latin1').split('\n');
          // What follows the last newline is a line only if there is something.
          if (expected.at(-1) === '') expected.pop();
          expect(await cut(pieces, max)).toEqual(
            expected.map((text, index) =>
              text.length > max
                ? { number: index + 1, text: '', tooLong: true }
                : { number: index + 1, text, tooLong: false },
            ),
          );
        },
      ),
      runs,
    );
  });

  test('a line of the longest length is taken, one byte more is not', async () => {
    const piece = Buffer.from(`${'a'.repeat(10)}\n${'a'.repeat(11)}\nb`);
    expect((await cut([piece], 10)).map(({ tooLong }) => tooLong)).toEqual([false, true, false]);
  });
});
