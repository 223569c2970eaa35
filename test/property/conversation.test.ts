import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  conversation,
  groupChat,
  maxIdBytes,
  parseConversation,
  privateChat,
} from '../../src/core/conversation.js';
import { compareUtf8 } from '../../src/core/utf8.js';
import { TidemarkError } from '../../src/errors.js';
import { randomised, seed } from '../support/runs.js';

/** Any Unicode text that fits once escaped, with separators and escapes as often as not. */
const id = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(':', '%', 'a', 'b', '3', 'A', '2', '5', '{', '}'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    minLength: 1,
    maxLength: 20,
  })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ids have none.
  .filter((text) => !/[\u0000-\u001f\u007f-\u009f]/.test(text));

const nameable = fc.oneof(
  fc
    .tuple(id, id)
    .map(([a, b]) => ({ names: ['private', ...[a, b].sort(compareUtf8)], made: privateChat(a, b) })),
  id.map((group) => ({ names: ['group', group], made: groupChat(group) })),
  fc
    .tuple(
      fc.stringMatching(/^[a-z][a-z0-9_-]{0,31}$/).filter((type) => type !== 'private'),
      id,
    )
    .map(([type, of]) => ({
      names: [type, of],
      made: conversation(type, of),
    })),
);

describe(`names of conversations, seed ${seed}`, () => {
  it('I9: two different conversations never share a key', () => {
    fc.assert(
      fc.property(nameable, nameable, (one, other) => {
        expect(one.made.key === other.made.key).toBe(
          JSON.stringify(one.names) === JSON.stringify(other.names),
        );
      }),
      randomised,
    );
  });

  it('I9: moving the separator makes another conversation', () => {
    fc.assert(
      fc.property(id, id, id, (a, b, c) => {
        const one = privateChat(`${a}:${b}`, c);
        const other = privateChat(a, `${b}:${c}`);
        const same =
          JSON.stringify([`${a}:${b}`, c].sort(compareUtf8)) ===
          JSON.stringify([a, `${b}:${c}`].sort(compareUtf8));
        expect(one.key === other.key).toBe(same);
      }),
      randomised,
    );
  });

  it('reading a key gives the conversation back', () => {
    fc.assert(
      fc.property(nameable, ({ made }) => {
        const read = parseConversation(made.key);
        expect([read.key, read.type, read.id]).toEqual([made.key, made.type, made.id]);
        expect(String(read)).toBe(made.key);
        expect(JSON.stringify({ read })).toBe(JSON.stringify({ read: made.key }));
      }),
      randomised,
    );
  });

  it('reference property 2: the order of the user ids does not matter', () => {
    fc.assert(
      fc.property(id, id, (a, b) => {
        expect(privateChat(a, b).key).toBe(privateChat(b, a).key);
      }),
      randomised,
    );
  });

  it('user ids are sorted by their UTF-8 bytes, not by UTF-16 units', () => {
    // U+FF5E is one unit above the surrogates; U+1F600 is larger in UTF-8, smaller in UTF-16.
    expect(privateChat('\u{1F600}', '\uFF5E').key).toBe('private:\uFF5E:\u{1F600}');
    fc.assert(
      fc.property(id, id, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
      }),
      randomised,
    );
  });

  it('reference property 6, and every other bad id: a clear error', () => {
    const bad = fc.oneof(
      fc.constantFrom(
        '',
        '\ud800',
        'a\udc00b',
        'a\nb',
        '\u0000',
        '\u007f',
        '\u0085',
        'x'.repeat(256),
        ':'.repeat(86),
        'é'.repeat(128),
      ),
      fc
        .constantFrom(undefined, null, 1, {}, [], true, Symbol('id'))
        .map((value) => value as unknown as string),
    );
    fc.assert(
      fc.property(bad, id, (wrong, right) => {
        const attempts = [
          () => groupChat(wrong),
          () => privateChat(wrong, right),
          () => privateChat(right, wrong),
          () => conversation('channel', wrong),
        ];
        for (const attempt of attempts) {
          expect(attempt).toThrow(TidemarkError);
          expect(attempt).toThrow(/^invalid_conversation: /);
        }
      }),
      { ...randomised, numRuns: 200 },
    );
  });
});

describe('names of conversations', () => {
  it('ordinary ids stay as they are', () => {
    expect(privateChat('user002', 'user001').key).toBe('private:user001:user002');
    expect(groupChat('group001').key).toBe('group:group001');
    expect(conversation('private', 'user002:user001').key).toBe('private:user001:user002');
    expect(privateChat('me', 'me').key).toBe('private:me:me');
  });

  it('takes ids of exactly the limit, counted in bytes after escaping', () => {
    expect(groupChat('x'.repeat(maxIdBytes)).id).toHaveLength(255);
    expect(groupChat(':'.repeat(85)).id).toHaveLength(255);
    expect(Buffer.byteLength(groupChat('é'.repeat(127)).id)).toBe(254);
  });

  it.each([
    '',
    'group',
    ':x',
    'Group:x',
    'group:',
    'private:a',
    'private:a:b:c',
    'group:a%',
    'group:a%41',
    'group:a:b',
    `${'t'.repeat(33)}:a`,
    '1x:a',
  ])('refuses %j', (text) => {
    if (text === 'group:a:b') expect(parseConversation(text).key).toBe('group:a%3Ab');
    else expect(() => parseConversation(text)).toThrow(/^invalid_conversation: /);
  });

  it('refuses what is no text, and types that are none', () => {
    for (const wrong of [undefined, null, 5, {}]) {
      expect(() => parseConversation(wrong as string)).toThrow(/^invalid_conversation: /);
      expect(() => conversation(wrong as string, 'x')).toThrow(/^invalid_conversation: /);
      expect(() => conversation('private', wrong as string)).toThrow(/^invalid_conversation: /);
    }
    expect(
      () => new (groupChat('x').constructor as new (...of: unknown[]) => unknown)(Symbol(), 'group', 'x'),
    ).toThrow(/^invalid_conversation: /);
  });

  it('shortens what it quotes', () => {
    expect(() => parseConversation('no separator '.repeat(50))).toThrow(/…/);
  });
});
