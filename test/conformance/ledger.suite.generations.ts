import { describe, expect } from 'vitest';
import type { Ledger } from '../../src/core/ledger.js';
import type { LedgerRun } from './ledger.suite.run.js';

export function describeGenerations(run: LedgerRun): void {
  describe('generations', () => {
    run.test('the same history has the same generation', async () => {
      const first = await run.ledger.registerHistory('history-same');
      expect(Number.isSafeInteger(first) && first >= 1).toBe(true);
      expect(await run.ledger.registerHistory('history-same')).toBe(first);
    });

    run.test('a history that was never met gets a higher generation', async () => {
      const seen: number[] = [];
      for (const n of [1, 2, 3, 4]) seen.push(await run.ledger.registerHistory(`history-rising-${n}`));
      expect([...seen].sort((a, b) => a - b)).toEqual(seen);
      expect(new Set(seen).size).toBe(4);
      // An older history that is met again keeps its place.
      expect(await run.ledger.registerHistory('history-rising-1')).toBe(seen[0]);
    });

    run.test('histories are told apart byte by byte', async () => {
      const histories = ['abcdef', 'ABCDEF', 'abcdef ', 'é', 'e\u0301'].map((text) => `exact-${text}`);
      const generations = await Promise.all(histories.map((history) => run.ledger.registerHistory(history)));
      expect(new Set(generations).size).toBe(histories.length);
    });

    run.test('20 callers that register one history at once agree', async () => {
      const generations = await Promise.all(
        Array.from({ length: 20 }, () => run.ledger.registerHistory('history-race')),
      );
      expect(new Set(generations).size).toBe(1);
    });

    run.test('20 histories registered at once get 20 generations', async () => {
      const histories = Array.from({ length: 20 }, (_, n) => `history-many-${n}`);
      const generations = await Promise.all(histories.map((history) => run.ledger.registerHistory(history)));
      expect(new Set(generations).size).toBe(20);
      expect(await Promise.all(histories.map((history) => run.ledger.registerHistory(history)))).toEqual(
        generations,
      );
    });

    run.test('a history that was never met has no generations', async () => {
      expect(await run.ledger.generationsOf('history-unknown')).toEqual([]);
    });

    run.test('a history gets a further generation where it has none that is high enough', async () => {
      const own = await run.ledger.registerHistory('history-raised');
      const other = await run.ledger.registerHistory('history-fencing');
      const raised = await run.ledger.registerHistory('history-raised', { atLeast: other });
      expect(raised).toBe(other + 1);
      for (const atLeast of [other, raised])
        expect(await run.ledger.registerHistory('history-raised', { atLeast })).toBe(raised);
      for (const atLeast of [undefined, 0, own])
        expect(await run.ledger.registerHistory('history-raised', atLeast ? { atLeast } : {})).toBe(own);
      expect(await run.ledger.generationsOf('history-raised')).toEqual([own, raised]);
      // A history that was never met begins above all of them anyway.
      expect(await run.ledger.registerHistory('history-after', { atLeast: own })).toBe(raised + 1);
    });

    run.test('20 callers at once whose generation is fenced get one new generation', async () => {
      const own = await run.ledger.registerHistory('history-fenced-race');
      const atLeast = await run.ledger.registerHistory('history-fencing-race');
      const generations = await Promise.all(
        Array.from({ length: 20 }, () => run.ledger.registerHistory('history-fenced-race', { atLeast })),
      );
      expect(new Set(generations)).toEqual(new Set([atLeast + 1]));
      expect(await run.ledger.generationsOf('history-fenced-race')).toEqual([own, atLeast + 1]);
    });

    run.test(
      'a generation above all that the ledger knows was forgotten, and is not given again',
      async () => {
        await run.another(async (ledger) => {
          const generations = await Promise.all(
            Array.from({ length: 20 }, () => ledger.registerHistory('history-restored', { atLeast: 7 })),
          );
          expect(new Set(generations)).toEqual(new Set([8]));
          expect(await ledger.registerHistory('history-restored')).toBe(8);
        });
      },
    );
  });
}

export function describeRenames(run: LedgerRun): void {
  /** Generations of a new ledger, whose numbers are known. */
  const inNewLedger = (use: (ledger: Ledger) => Promise<void>) => run.another(use);
  /** A history with the generations 1 and 3, another one with 2. */
  const twoHistories = async (ledger: Ledger) => {
    expect(await ledger.registerHistory('old')).toBe(1);
    expect(await ledger.registerHistory('other')).toBe(2);
    expect(await ledger.registerHistory('old', { atLeast: 2 })).toBe(3);
  };

  describe('renamed histories', () => {
    run.test('a new name has all generations of the old one, and both answer alike', async () => {
      await inNewLedger(async (ledger) => {
        await twoHistories(ledger);
        expect(await ledger.registerHistory('new', { renamedFrom: 'old' })).toBe(1);
        for (const name of ['old', 'new']) {
          expect(await ledger.generationsOf(name)).toEqual([1, 3]);
          expect(await ledger.registerHistory(name)).toBe(1);
          expect(await ledger.registerHistory(name, { atLeast: 2 })).toBe(3);
        }
        // Nothing was given, so the next one follows on the highest.
        expect(await ledger.registerHistory('fourth')).toBe(4);
      });
    });

    run.test('a new name may be renamed again', async () => {
      await inNewLedger(async (ledger) => {
        await twoHistories(ledger);
        await ledger.registerHistory('new', { renamedFrom: 'old', onlyIfNewest: true });
        expect(await ledger.registerHistory('newer', { renamedFrom: 'new', onlyIfNewest: true })).toBe(1);
        expect(await ledger.generationsOf('newer')).toEqual([1, 3]);
      });
    });

    run.test('a history that has a generation keeps its own', async () => {
      await inNewLedger(async (ledger) => {
        await twoHistories(ledger);
        expect(await ledger.registerHistory('other', { renamedFrom: 'old' })).toBe(2);
        expect(await ledger.generationsOf('other')).toEqual([2]);
      });
    });

    run.test('an old name that the ledger does not know is without effect', async () => {
      await inNewLedger(async (ledger) => {
        for (const onlyIfNewest of [false, true]) {
          const name = `new-${onlyIfNewest}`;
          const expected = onlyIfNewest ? 2 : 1;
          expect(await ledger.registerHistory(name, { renamedFrom: 'never', onlyIfNewest })).toBe(expected);
          expect(await ledger.generationsOf(name)).toEqual([expected]);
        }
        expect(await ledger.generationsOf('never')).toEqual([]);
      });
    });

    run.test('only if newest: another history that is newer makes it a history like any other', async () => {
      await inNewLedger(async (ledger) => {
        await twoHistories(ledger);
        expect(await ledger.registerHistory('other-new', { renamedFrom: 'other', onlyIfNewest: true })).toBe(
          4,
        );
        expect(await ledger.generationsOf('other-new')).toEqual([4]);
        // A cluster has many histories at once, and does not ask for it.
        expect(await ledger.registerHistory('old-new', { renamedFrom: 'old' })).toBe(1);
      });
    });

    run.test('a new name that needs a higher generation gets one beside those of the old one', async () => {
      await inNewLedger(async (ledger) => {
        await twoHistories(ledger);
        expect(await ledger.registerHistory('fourth')).toBe(4);
        expect(await ledger.registerHistory('new', { renamedFrom: 'old', atLeast: 4 })).toBe(5);
        expect(await ledger.generationsOf('new')).toEqual([1, 3, 5]);
        expect(await ledger.generationsOf('old')).toEqual([1, 3]);
      });
    });

    run.test('20 callers at once that rename, or do not know of it, agree', async () => {
      await inNewLedger(async (ledger) => {
        await twoHistories(ledger);
        const generations = await Promise.all(
          Array.from({ length: 20 }, (_, n) =>
            ledger.registerHistory('new', n % 2 ? { renamedFrom: 'old', onlyIfNewest: true } : {}),
          ),
        );
        expect(new Set(generations).size).toBe(1);
        const expected = generations[0] === 1 ? [1, 3] : [4];
        expect(await ledger.generationsOf('new')).toEqual(expected);
      });
    });
  });
}

export function describeKeepAlive(run: LedgerRun): void {
  describe('who lives in which generation', () => {
    run.test('tells the newest generation, and since when nobody was seen there', async () => {
      await run.another(async (ledger, pass) => {
        const first = await ledger.registerHistory('first');
        // Whoever only looks lives nowhere.
        expect(await ledger.keepAlive(undefined)).toEqual({ newest: 0, newestIdleMs: 0 });
        const early = await ledger.keepAlive(first);
        expect(early).toEqual({ newest: first, newestIdleMs: expect.any(Number) });
        expect(early.newestIdleMs).toBeLessThan(250);
        await pass(300);
        const second = await ledger.registerHistory('second');
        // It is only registered.
        expect((await ledger.keepAlive(first)).newest).toBe(first);
        expect((await ledger.keepAlive(second)).newest).toBe(second);
        await pass(300);
        const lonely = await ledger.keepAlive(first);
        expect(lonely.newest).toBe(second);
        expect(lonely.newestIdleMs).toBeGreaterThanOrEqual(290);
        expect((await ledger.keepAlive(second)).newestIdleMs).toBeLessThan(250);
        expect((await ledger.keepAlive(first)).newestIdleMs).toBeLessThan(250);
      });
    });

    run.test('a new name lives in the generation of the old one', async () => {
      await run.another(async (ledger, pass) => {
        const generation = await ledger.registerHistory('old');
        await ledger.keepAlive(generation);
        await ledger.registerHistory('new', { renamedFrom: 'old' });
        await pass(300);
        const { newest, newestIdleMs } = await ledger.keepAlive(undefined);
        expect(newest).toBe(generation);
        expect(newestIdleMs).toBeGreaterThanOrEqual(290);
        expect((await ledger.keepAlive(generation)).newestIdleMs).toBeLessThan(250);
      });
    });

    run.test('a generation that the ledger does not know is not made by it', async () => {
      await run.another(async (ledger) => {
        expect(await ledger.keepAlive(7)).toEqual({ newest: 0, newestIdleMs: 0 });
        expect(await ledger.registerHistory('first')).toBe(1);
        expect((await ledger.keepAlive(7)).newest).toBe(0);
        expect(await ledger.registerHistory('second')).toBe(2);
      });
    });

    run.test('20 callers at once are all told of it', async () => {
      await run.another(async (ledger) => {
        const [first, second] = [await ledger.registerHistory('a'), await ledger.registerHistory('b')];
        await ledger.keepAlive(second);
        const told = await Promise.all(
          Array.from({ length: 20 }, (_, n) => ledger.keepAlive(n % 2 ? first : second)),
        );
        expect(new Set(told.map(({ newest }) => newest))).toEqual(new Set([second]));
      });
    });
  });
}
