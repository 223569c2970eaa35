/** What `verify` says of stored messages, over stores in memory. The real stores are in test/integration/verify.test.ts. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupChat, privateChat } from '../../src/core/conversation.js';
import type { Finding } from '../../src/core/findings.js';
import type { VerifyOptions } from '../../src/core/options.js';
import type { StoredNumber } from '../../src/core/stored-numbers.js';
import { embedded, failure, g1 } from '../support/generators.js';
import { randomised } from '../support/runs.js';

const g2 = groupChat('g2');

async function* stored(messages: readonly (readonly [string, number])[]): AsyncGenerator<StoredNumber> {
  for (const [conversation, number] of messages) yield { conversation, number };
}

function lookedAt(
  { sequences }: Pick<ReturnType<typeof embedded>, 'sequences'>,
  messages: readonly (readonly [string, number])[],
  options: VerifyOptions = {},
) {
  const findings: Finding[] = [];
  const onFinding = (finding: Finding) => findings.push(finding);
  const verified = sequences.verify({ messages: stored(messages), onFinding, ...options });
  return verified.then((report) => ({ report, findings }));
}

const shown = ({ kind, conversation, found }: Finding) => `${kind} ${conversation} ${found}`;

describe('stored messages', () => {
  it('twice, missing and above: each is found, and what is safe is mended', async () => {
    const stores = embedded();
    const { sequences } = stores;
    await sequences.nextMany(g1, 100);
    await sequences.next(g2);
    const messages = [
      ['group:g1', 1],
      ['group:g1', 4],
      ['group:g1', 4],
      ['group:g1', 4],
      ['group:g1', 90],
      ['group:g2', 1],
      ['group:g3', 7],
    ] as const;
    const looked = await lookedAt(stores, messages);
    expect(looked.findings.map(shown)).toEqual([
      'number_twice group:g1 4, so 2 too many messages',
      'number_missing group:g1 2-3, 5-89: 87 below the highest are neither stored nor in a gap',
      'number_above group:g3 a message has the number 7, and the stores have issued no more than 0',
    ]);
    expect(looked.report).toMatchObject({
      conversations: 3,
      messages: 7,
      failures: 2,
      warnings: 1,
      repaired: 0,
    });
    const again = await lookedAt(stores, messages, { repair: true });
    expect(again.report).toMatchObject({ failures: 1, repaired: 2 });
    expect(await sequences.gaps(g1)).toMatchObject([
      { first: 2, last: 3, reason: 'reply_lost' },
      { first: 5, last: 89, reason: 'reply_lost' },
    ]);
    expect(await sequences.next(groupChat('g3'))).toBeGreaterThan(7);
    const mended = await lookedAt(stores, messages);
    expect(mended.findings.map(({ kind }) => kind)).toEqual(['number_twice', 'number_missing']);
    // What g3 had issued before the message that told of it, nobody stored.
    expect(mended.findings[1]).toMatchObject({ conversation: 'group:g3', severity: 'warning' });
    await sequences.close();
  });

  it('of one conversation, or of one type, only these', async () => {
    const stores = embedded();
    const messages = [
      ['group:g1', 3],
      ['private:a:b', 4],
    ] as const;
    const kinds = async (options: VerifyOptions) =>
      (await lookedAt(stores, messages, options)).findings.map(({ conversation }) => conversation);
    expect(await kinds({})).toEqual(['group:g1', 'private:a:b']);
    expect(await kinds({ conversation: privateChat('b', 'a') })).toEqual(['private:a:b']);
    expect(await kinds({ type: 'group' })).toEqual(['group:g1']);
    await stores.sequences.close();
  });

  it('more conversations than are looked at together', async () => {
    const stores = embedded();
    const messages = Array.from(
      { length: 1_203 },
      (_, index) => [`group:${String(index).padStart(4, '0')}`, 1] as const,
    );
    const { report, findings } = await lookedAt(stores, messages);
    expect(report).toMatchObject({ conversations: 1_203, messages: 1_203, failures: 1_203 });
    expect(new Set(findings.map(({ kind }) => kind))).toEqual(new Set(['number_above']));
    await stores.sequences.close();
  });

  it.each([
    ['another spelling', [['private:b:a', 1]], 'is not the key of a conversation'],
    ['no number', [['group:g1', 1.5]], '"1.5", which is none'],
    ['zero', [['group:g1', 0]], 'which is none from 1 to'],
    [
      'numbers out of order',
      [
        ['group:g1', 2],
        ['group:g1', 1],
      ],
      'came after',
    ],
    [
      'conversations out of order',
      [
        ['group:g2', 1],
        ['group:g1', 1],
      ],
      'order the messages by the bytes',
    ],
    [
      'a conversation that comes again',
      [
        ['group:g1', 1],
        ['group:g2', 1],
        ['group:g1', 2],
      ],
      'came after',
    ],
    ['no conversation', [['nobody', 1]], '"nobody"', 'invalid_conversation'],
  ] as const)(
    'refuses %s, and nothing is changed',
    async (_, messages, reason, code: string = 'invalid_argument') => {
      const stores = embedded();
      const error = await failure(lookedAt(stores, messages, { repair: true }));
      expect(error).toMatchObject({ code, message: expect.stringContaining(reason) });
      expect(await stores.sequences.ledgerEntries('group')).toEqual([]);
      await stores.sequences.close();
    },
  );

  it('any table: exactly what comes twice, is missing, or is above is found', async () => {
    const numbers = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(numbers, fc.integer({ min: 0, max: 60 }), async (drawn, issued) => {
        const stores = embedded({ reservation: { kind: 'fixed', size: 1 } });
        for (let number = 0; number < issued; number += 1) await stores.sequences.next(g1);
        const floor = (await stores.sequences.ledgerEntry(g1))?.floor ?? 0;
        const table = drawn.sort((one, other) => one - other);
        const { findings } = await lookedAt(
          stores,
          table.map((number) => ['group:g1', number] as const),
        );
        const highest = table.at(-1)!;
        const missing = Array.from({ length: highest }, (_, index) => index + 1).filter(
          (number) => number <= floor && !table.includes(number),
        ).length;
        const twice = table.length - new Set(table).size;
        const found = Object.fromEntries(findings.map((finding) => [finding.kind, finding.found]));
        expect(found['number_twice'] ?? 'so 0 too many').toContain(`so ${twice} too many`);
        expect(found['number_missing'] ?? ': 0 below').toContain(`: ${missing} below`);
        expect(found['number_above'] !== undefined).toBe(highest > issued);
        await stores.sequences.close();
      }),
      randomised,
    );
  });
});
