/** The properties that the reference description tests, and the generator against a plain counter as its model. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  groupChat,
  MemoryCounterStore,
  MemoryLedger,
  privateChat,
  SequenceGenerator,
} from '../../src/index.js';
import { randomised, seed } from '../support/runs.js';

function generator(): SequenceGenerator {
  return new SequenceGenerator({ counters: new MemoryCounterStore(), ledger: new MemoryLedger() });
}

const name = fc.constantFrom('g1', 'g2', 'g3');

describe(`properties of the reference description, seed ${seed}`, () => {
  it('1: numbers increase by one', async () => {
    const sequences = generator();
    await fc.assert(
      fc.asyncProperty(fc.uuid(), fc.integer({ min: 1, max: 30 }), async (id, calls) => {
        for (let expected = 1; expected <= calls; expected += 1) {
          expect(await sequences.generateGroupChatSequence(id)).toBe(expected);
        }
      }),
      randomised,
    );
    await sequences.close();
  });

  it('2: the order of user ids does not matter', async () => {
    const sequences = generator();
    await fc.assert(
      fc.asyncProperty(fc.uuid(), fc.uuid(), async (a, b) => {
        const first = await sequences.generatePrivateChatSequence(a, b);
        expect(await sequences.generatePrivateChatSequence(b, a)).toBe(first + 1);
      }),
      randomised,
    );
    await sequences.close();
  });

  it('3: conversations do not depend on each other', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(name, { maxLength: 60 }), async (order) => {
        const sequences = generator();
        const model = new Map<string, number>();
        for (const group of order) {
          const expected = (model.get(group) ?? 0) + 1;
          model.set(group, expected);
          expect(await sequences.next(groupChat(group))).toBe(expected);
        }
        await sequences.close();
      }),
      randomised,
    );
  });

  it('4: concurrent calls get every number once', async () => {
    const sequences = generator();
    await fc.assert(
      fc.asyncProperty(fc.uuid(), fc.integer({ min: 1, max: 200 }), async (id, calls) => {
        const numbers = await Promise.all(Array.from({ length: calls }, () => sequences.next(groupChat(id))));
        expect(numbers).toEqual(Array.from({ length: calls }, (_, index) => index + 1));
      }),
      randomised,
    );
    await sequences.close();
  });

  it('5: asking for the current number changes nothing', async () => {
    const sequences = generator();
    await fc.assert(
      fc.asyncProperty(
        fc.uuid(),
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 1, max: 5 }),
        async (id, taken, asked) => {
          for (let call = 0; call < taken; call += 1) await sequences.generateSequence('group', id);
          for (let call = 0; call < asked; call += 1)
            expect(await sequences.getCurrentSequence('group', id)).toBe(taken);
          expect(await sequences.next(groupChat(id))).toBe(taken + 1);
        },
      ),
      randomised,
    );
    await sequences.close();
  });

  it('6: empty ids are refused, and nothing changes', async () => {
    const sequences = generator();
    await fc.assert(
      fc.asyncProperty(fc.uuid(), async (id) => {
        const attempts = [
          sequences.generateSequence('', id),
          sequences.generateSequence('group', ''),
          sequences.generatePrivateChatSequence('', id),
          sequences.generatePrivateChatSequence(id, ''),
          sequences.generateGroupChatSequence(''),
          sequences.getCurrentSequence('group', ''),
        ];
        for (const attempt of attempts)
          await expect(attempt).rejects.toMatchObject({ code: 'invalid_conversation', retryable: false });
        expect(await sequences.current(groupChat(id))).toBe(0);
      }),
      { ...randomised, numRuns: 100 },
    );
    await sequences.close();
  });
});

type Step = { readonly group: string; readonly count: number; readonly waits: boolean } | 'lose' | 'reopen';

describe(`the generator against a plain counter, seed ${seed}`, () => {
  const step = fc.oneof(
    {
      weight: 20,
      arbitrary: fc.record({ group: name, count: fc.integer({ min: 1, max: 100 }), waits: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.constantFrom('lose' as const, 'reopen' as const) },
  );

  it('issues what the counter issues; after a loss it goes on behind the recorded gap', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array<Step>(step, { maxLength: 80 }), async (steps) => {
        const ledger = new MemoryLedger();
        ledger.close = async () => undefined;
        let counters = new MemoryCounterStore();
        let sequences = new SequenceGenerator({ counters, ledger });
        const model = new Map<string, number>();
        let pending: Promise<void>[] = [];
        const settle = async () => {
          await Promise.all(pending);
          pending = [];
        };
        for (const now of steps) {
          if (now === 'lose') {
            await settle();
            counters.lose();
            await skipGaps(sequences, model);
          } else if (now === 'reopen') {
            await settle();
            await sequences.close();
            counters = new MemoryCounterStore();
            sequences = new SequenceGenerator({ counters, ledger });
          } else {
            const first = (model.get(now.group) ?? 0) + 1;
            model.set(now.group, first + now.count - 1);
            pending.push(
              sequences.nextMany(groupChat(now.group), now.count).then((range) => {
                expect(range).toEqual({ first, last: first + now.count - 1 });
              }),
            );
            if (now.waits) await settle();
          }
        }
        await settle();
        for (const [group, last] of model) expect(await sequences.current(groupChat(group))).toBe(last);
        await sequences.close();
      }),
      randomised,
    );
  });

  /** The gap of each conversation begins right behind its last number; the model goes on behind its end. */
  async function skipGaps(sequences: SequenceGenerator, model: Map<string, number>): Promise<void> {
    for (const [group, last] of model) {
      const report = await sequences.recover(groupChat(group));
      const entry = await sequences.ledgerEntry(groupChat(group));
      if (entry === undefined) continue;
      expect(report.recovered).toBe(true);
      // The floor may lag behind the last number, so the gap may begin before it; it never begins after.
      if (report.gap !== undefined) expect(report.gap.first).toBeLessThanOrEqual(last + 1);
      expect(report.last).toBeGreaterThanOrEqual(last);
      model.set(group, report.last);
    }
  }

  it('private chats and groups of the same name do not meet', async () => {
    const sequences = generator();
    expect(await sequences.next(groupChat('a'))).toBe(1);
    expect(await sequences.next(privateChat('a', 'a'))).toBe(1);
    await sequences.close();
  });
});
