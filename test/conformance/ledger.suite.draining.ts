import { describe, expect } from 'vitest';
import { freezeMs } from '../../src/core/recovery.js';
import { ask, type LedgerRun, reserved } from './ledger.suite.run.js';

const word = (last: number, remaining: number) => ({ last, remaining });

export function describeHandBack(run: LedgerRun): void {
  describe('handing back', () => {
    run.test(
      'the unused rest of a block is handed back, and the next generation goes on without a gap',
      async () => {
        const [a, b] = [run.fresh(), run.fresh()];
        await run.ledger.reserve([ask(a, 1), ask(b, 1)]);
        await run.ledger.handBack(1, [
          { conversation: a, word: word(4, 6) },
          { conversation: b, word: word(0, 10) },
        ]);
        expect(await run.marks(a)).toEqual([4, 4, 1]);
        expect(await run.marks(b)).toEqual([0, 0, 1]);
        expect(await run.one(ask(a, 2))).toMatchObject({
          kind: 'takeover',
          block: { start: 4 },
          gap: undefined,
        });
        expect(await run.one(ask(b, 2))).toMatchObject({
          kind: 'takeover',
          block: { start: 0 },
          gap: undefined,
        });
        expect(await run.gapsOf(a)).toEqual([]);
      },
    );

    run.test('after it the same generation need not wait for an install', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      await run.ledger.handBack(1, [{ conversation: c, word: word(3, 7) }]);
      expect(await run.one(ask(c, 1))).toMatchObject({
        kind: 'takeover',
        block: { start: 3 },
        gap: undefined,
      });
    });

    run.test('a word of another generation hands nothing back', async () => {
      const c = run.fresh();
      await run.one(ask(c, 2));
      await run.ledger.handBack(1, [{ conversation: c, word: word(4, 6) }]);
      await run.ledger.handBack(3, [{ conversation: c, word: word(4, 6) }]);
      expect(await run.marks(c)).toEqual([10, 0, 2]);
    });

    run.test("a word whose ceiling is not the entry's hands nothing back", async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      for (const [last, remaining] of [
        [4, 5],
        [4, 7],
        [9, 0],
        [11, 0],
      ] as const) {
        await run.ledger.handBack(1, [{ conversation: c, word: word(last, remaining) }]);
        expect(await run.marks(c)).toEqual([10, 0, 1]);
      }
    });

    run.test('a word that was used up only raises the floor', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      await run.ledger.handBack(1, [{ conversation: c, word: word(10, 0) }]);
      expect(await run.marks(c)).toEqual([10, 10, 1]);
    });

    run.test('conversations that the ledger does not know are passed over', async () => {
      const [known, unknown] = [run.fresh(), run.fresh()];
      await run.one(ask(known, 1));
      await run.ledger.handBack(1, [
        { conversation: unknown, word: word(4, 6) },
        { conversation: known, word: word(4, 6) },
      ]);
      expect(await run.marks(known)).toEqual([4, 4, 1]);
      expect(await run.marks(unknown)).toBeUndefined();
    });

    run.test('500 at once, twice: the second time changes nothing', async () => {
      const all = Array.from({ length: 500 }, () => run.fresh('back'));
      await run.ledger.reserve(all.map((c) => ask(c, 1)));
      const words = all.map((conversation, n) => ({ conversation, word: word(n % 11, 10 - (n % 11)) }));
      await run.ledger.handBack(1, words);
      await run.ledger.handBack(1, words);
      expect((await run.ledger.load(all)).map((entry) => entry?.ceiling)).toEqual(all.map((_, n) => n % 11));
    });

    run.test('it says for each whether it was handed back', async () => {
      const [a, b, none] = [run.fresh(), run.fresh(), run.fresh()];
      await run.ledger.reserve([ask(a, 1), ask(b, 2)]);
      const words = [none, b, a].map((conversation) => ({ conversation, word: word(4, 6) }));
      expect(await run.ledger.handBack(1, words)).toEqual([false, false, true]);
      expect(await run.ledger.handBack(1, words)).toEqual([false, false, false]);
    });

    run.test('not where somebody has reserved meanwhile', async () => {
      const [extended, takenOver] = [run.fresh(), run.fresh()];
      await run.ledger.reserve([ask(extended, 1), ask(takenOver, 1)]);
      await run.ledger.reserve([ask(extended, 1, [4, 6]), ask(takenOver, 2)]);
      const words = [extended, takenOver].map((conversation) => ({ conversation, word: word(4, 6) }));
      expect(await run.ledger.handBack(1, words)).toEqual([false, false]);
      expect(await run.marks(extended)).toEqual([20, 4, 1]);
      expect(await run.marks(takenOver)).toEqual([20, 10, 2]);
    });

    run.test('the next block is as large as what was handed back, whatever the policy says', async () => {
      const [same, next, need] = [run.fresh(), run.fresh(), run.fresh()];
      for (const c of [same, next, need]) {
        await run.one(ask(c, 1, undefined, 64));
        await run.one(ask(c, 1, [40, 24], 90));
        // A word of two blocks: 24 numbers of the first, 90 of the second.
        expect(await run.ledger.handBack(1, [{ conversation: c, word: word(41, 113) }])).toEqual([true]);
        expect(await run.entry(c)).toMatchObject({ ceiling: 41, floor: 41, blockSize: 113 });
      }
      expect(await run.one(ask(same, 1, undefined, 5))).toEqual(
        reserved('takeover', 41, 154, { blockSize: 113 }),
      );
      expect(await run.one(ask(next, 2, undefined, 5))).toMatchObject({ block: { start: 41, end: 154 } });
      expect(await run.one(ask(need, 1, undefined, 5, 200))).toMatchObject({
        block: { start: 41, end: 241 },
      });
      // Once it has passed the old ceiling, the policy rules again.
      expect(await run.one(ask(same, 1, [150, 4], 5))).toEqual(
        reserved('extended', 154, 159, { blockSize: 5 }),
      );
    });

    run.test('a block that was never used is handed back whole', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1, undefined, 20));
      expect(await run.ledger.handBack(1, [{ conversation: c, word: word(0, 20) }])).toEqual([true]);
      expect(await run.one(ask(c, 1, undefined, 3))).toMatchObject({ block: { start: 0, end: 20 } });
    });
  });
}

export function describeHold(run: LedgerRun): void {
  const freeze = (conversation: string, generation = 1, last = 4, remaining = 6) =>
    run.ledger.freeze(generation, [{ conversation, word: word(last, remaining) }]);

  describe('freezing', () => {
    run.test('whoever reserves in the same generation hears busy, with a word and without', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      await run.pass(1_200);
      expect(await freeze(c)).toEqual([true]);
      for (const saw of [undefined, [4, 6], [10, 0], [10, 30], [2, 1]] as const)
        expect(await run.one(ask(c, 1, saw)), String(saw)).toEqual({ status: 'busy' });
      expect(await run.marks(c)).toEqual([10, 0, 1]);
      const { frozenUntilMs = 0, reservedAtMs = 0 } = (await run.entry(c)) ?? {};
      expect(frozenUntilMs - reservedAtMs).toBeGreaterThanOrEqual(freezeMs + 1_100);
    });

    run.test('a newer generation takes over at once, and ends the freeze', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      expect(await freeze(c)).toEqual([true]);
      expect(await run.one(ask(c, 2))).toMatchObject({ kind: 'takeover', block: { start: 10, end: 20 } });
      expect(await run.entry(c)).toMatchObject({ generation: 2, frozenUntilMs: 0 });
      expect(await run.one(ask(c, 2, [12, 8]))).toMatchObject({ kind: 'extended' });
      expect(await run.ledger.handBack(1, [{ conversation: c, word: word(4, 6) }])).toEqual([false]);
    });

    run.test('it ends by itself', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      await freeze(c);
      await run.pass(freezeMs + 200);
      expect(await run.one(ask(c, 1, [4, 6]))).toMatchObject({ kind: 'extended' });
      expect(await run.entry(c)).toMatchObject({ ceiling: 20, frozenUntilMs: 0 });
    });

    run.test('handing back ends it', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      await freeze(c);
      expect(await run.ledger.handBack(1, [{ conversation: c, word: word(4, 6) }])).toEqual([true]);
      expect(await run.entry(c)).toMatchObject({ ceiling: 4, floor: 4, frozenUntilMs: 0 });
      expect(await run.one(ask(c, 1))).toMatchObject({
        kind: 'takeover',
        block: { start: 4 },
        gap: undefined,
      });
    });

    run.test('numbers that were taken while it was frozen do not count', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      expect(await freeze(c, 1, 4, 6)).toEqual([true]);
      expect(await run.ledger.handBack(1, [{ conversation: c, word: word(7, 3) }])).toEqual([true]);
      expect(await run.marks(c)).toEqual([7, 7, 1]);
    });

    run.test('not where something is outstanding, or another generation reserved', async () => {
      const [c, unknown] = [run.fresh(), run.fresh()];
      await run.one(ask(c, 3));
      expect(await freeze(unknown)).toEqual([false]);
      expect(await freeze(c, 2)).toEqual([false]);
      expect(await freeze(c, 4)).toEqual([false]);
      await run.one(ask(c, 3, [4, 6]));
      expect(await freeze(c, 3, 5, 5)).toEqual([false]);
      expect(await freeze(c, 3, 20, 5)).toEqual([false]);
      expect(await run.entry(c)).toMatchObject({ ceiling: 20, frozenUntilMs: 0 });
      expect(await freeze(c, 3, 5, 15)).toEqual([true]);
    });

    run.test('of 20 callers at once one freezes it, and the next one when its time is over', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      const frozen = await Promise.all(Array.from({ length: 20 }, () => freeze(c)));
      expect(frozen.flat().filter(Boolean)).toHaveLength(1);
      await run.pass(freezeMs + 200);
      expect(await freeze(c)).toEqual([true]);
    });

    run.test('1,201 at once, and half of them', async () => {
      const all = Array.from({ length: 1_201 }, () => run.fresh('freeze'));
      await run.ledger.reserve(all.map((c) => ask(c, 1)));
      const words = all.map((conversation, n) => ({ conversation, word: word(4, n % 2 ? 6 : 5) }));
      const expected = all.map((_, n) => n % 2 === 1);
      expect(await run.ledger.freeze(1, words)).toEqual(expected);
      expect(await run.ledger.handBack(1, [...words].reverse())).toEqual([...expected].reverse());
      expect(await run.ledger.freeze(1, [])).toEqual([]);
    });
  });
}
