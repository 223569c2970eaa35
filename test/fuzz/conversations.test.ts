import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  Conversation,
  conversation,
  groupChat,
  maxIdBytes,
  parseConversation,
  privateChat,
} from '../../src/core/conversation.js';
import {
  laneKey,
  openKey,
  readWordKey,
  receiptKey,
  slotKey,
  wordKey,
} from '../../src/counters/redis/keys.js';
import { seed } from '../support/runs.js';
import { anyText, anyValue, errorOf, fuzzed } from './hostile.js';

/** Characters that a terminal acts on, or that end a line for somebody. */
const unprintable = /[\p{Cc}\p{Bidi_Control}\u2028\u2029\ufeff]|\p{Cs}/u;
const anyId = fc.oneof({ weight: 3, arbitrary: anyText }, { weight: 1, arbitrary: anyValue });

/** The conversation of a call, checked; undefined when it was refused clearly. */
function made(make: () => Conversation): Conversation | undefined {
  let found: Conversation | undefined;
  const error = errorOf(() => {
    found = make();
  });
  if (error === undefined) return sound(found!);
  expect(error.code).toBe('invalid_conversation');
  expect(error.message).not.toMatch(unprintable);
  return undefined;
}

/** Everything that the rest relies on. */
function sound(of: Conversation): Conversation {
  expect(of).toBeInstanceOf(Conversation);
  expect(of.key).toBe(`${of.type}:${of.id}`);
  expect(of.type).toMatch(/^[a-z][a-z0-9_-]{0,31}$/);
  expect(of.key.isWellFormed()).toBe(true);
  expect(of.key).not.toMatch(/\p{Cc}/u);
  const ids = of.id.split(':');
  expect(ids).toHaveLength(of.type === 'private' ? 2 : 1);
  for (const id of ids) {
    expect(Buffer.byteLength(id)).toBeGreaterThan(0);
    expect(Buffer.byteLength(id)).toBeLessThanOrEqual(maxIdBytes);
    expect(id.replaceAll(/%(3A|25)/g, '')).not.toContain('%');
  }
  // What was written is read back as the same conversation, whoever reads it.
  expect(parseConversation(of.key).key).toBe(of.key);
  if (of.type === 'private') expect(conversation('private', of.id).key).toBe(of.key);
  return of;
}

describe(`names of conversations, hostile, seed ${seed}`, () => {
  it('ids of groups and of users: a sound conversation or a clear error, for any value', () => {
    fc.assert(
      fc.property(anyId, anyId, (a, b) => {
        const group = made(() => groupChat(a as string));
        if (group !== undefined) expect(typeof a).toBe('string');
        const pair = made(() => privateChat(a as string, b as string));
        const swapped = made(() => privateChat(b as string, a as string));
        expect(pair?.key).toBe(swapped?.key);
        // A user may have any id that a group may have.
        const other = made(() => groupChat(b as string));
        expect(pair !== undefined).toBe(group !== undefined && other !== undefined);
      }),
      fuzzed(),
    );
  });

  it('types, and keys that are read: a sound conversation or a clear error, for any value', () => {
    const type = fc.oneof(
      fc.constantFrom('private', 'group', 'channel', 'Group', '', '__proto__', 'constructor'),
      anyId,
    );
    fc.assert(
      fc.property(type, anyId, (of, id) => {
        made(() => conversation(of as string, id as string));
        made(() => parseConversation(id as string));
        if (typeof of === 'string' && typeof id === 'string') made(() => parseConversation(`${of}:${id}`));
      }),
      fuzzed(),
    );
  });

  it('a name of many megabytes is refused at once, without being quoted', () => {
    for (const part of ['x', ':', '%3A', '%', '\ud800', 'a:']) {
      const huge = part.repeat(8_000_000 / part.length);
      const startedAtMs = performance.now();
      for (const attempt of [
        () => groupChat(huge),
        () => privateChat('a', huge),
        () => conversation(huge, 'a'),
        () => conversation('private', huge),
        () => parseConversation(`group:${huge}`),
        () => parseConversation(`private:${huge}`),
        () => parseConversation(huge),
      ]) {
        expect(made(attempt)).toBeUndefined();
      }
      expect(performance.now() - startedAtMs, part).toBeLessThan(2_000);
    }
  });

  it('I9: keys in Redis tell conversations, message ids, lanes and slots apart, whatever the names hold', () => {
    const name = anyText.filter((text) => errorOf(() => groupChat(text)) === undefined);
    const messageId = anyText.filter((text) => text !== '' && text.isWellFormed());
    const generation = fc.integer({ min: 1, max: 999_999_999_999_999 });
    fc.assert(
      fc.property(name, messageId, generation, name, messageId, (a, m, of, b, n) => {
        const [one, other] = [groupChat(a).key, groupChat(b).key];
        const keys = [one, other].flatMap((key, index) => [
          wordKey('seq', key, of),
          openKey('seq', key),
          receiptKey('seq', key, index === 0 ? m : n),
          receiptKey('seq', key, 'open'),
          receiptKey('seq', key, String(of)),
          laneKey('seq', 'p', 0, key),
          slotKey('seq', key),
        ]);
        const names = [one, other].flatMap((key, index) =>
          [
            'word',
            'open',
            ['receipt', index === 0 ? m : n],
            ['receipt', 'open'],
            ['receipt', String(of)],
            'lane',
            'slot',
          ].map((kind) => JSON.stringify([kind, key])),
        );
        expect(new Set(keys).size).toBe(new Set(names).size);
        expect(readWordKey('seq', wordKey('seq', one, of))).toEqual({ conversation: one, generation: of });
        for (const key of keys) {
          const isWord = key === wordKey('seq', one, of) || key === wordKey('seq', other, of);
          expect(readWordKey('seq', key) !== undefined, key).toBe(isWord);
        }
      }),
      fuzzed(),
    );
  });

  it('any text as a key of Redis: what is read as a word is written back as the same key', () => {
    const key = fc.oneof(
      anyText,
      fc.tuple(anyText, anyText).map(([of, generation]) => `seq:{${of}}:${generation}`),
      fc.tuple(anyText, fc.nat()).map(([id, generation]) => `seq:{group:${id}}:${generation}`),
    );
    fc.assert(
      fc.property(key, (text) => {
        const read = readWordKey('seq', text);
        if (read === undefined) return;
        expect(wordKey('seq', read.conversation, read.generation)).toBe(text);
        expect(Number.isSafeInteger(read.generation) && read.generation > 0).toBe(true);
      }),
      fuzzed(),
    );
  });
});
