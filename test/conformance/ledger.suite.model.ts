import { describe, expect } from 'vitest';
import type { NewGap, ReserveRequest } from '../../src/core/ledger.js';
import { TidemarkError } from '../../src/errors.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { ask, everything, gap, type LedgerRun } from './ledger.suite.run.js';

/** A small generator of numbers, so that a failing run can be repeated from its printed seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** The adapter against the reference model: any history of calls has the same answers and leaves the same entries. */
export function describeModel(run: LedgerRun): void {
  describe('the reference model', () => {
    run.test('answers like the reference model to 300 random batches', async () => {
      const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000);
      const random = randomFrom(seed);
      const model = new MemoryLedger();
      const all = Array.from({ length: 12 }, () => run.fresh('model'));
      let generation = 1;
      const request = async (conversation: string): Promise<ReserveRequest> => {
        const [entry] = await model.load([conversation]);
        const size = 1 + random(40);
        // Without a word, only as a new generation: whether it is busy else depends on the time of day.
        if (random(4) === 0) {
          generation += 1;
          return ask(conversation, generation, undefined, size, 1 + random(60));
        }
        const ceiling = Math.max(0, (entry?.ceiling ?? 0) + [0, 0, 0, 5, -5, -1][random(6)]!);
        const remaining = Math.min(ceiling, random(10));
        const behind = Math.max(1, (entry?.generation ?? generation) + [0, 0, 0, 1, -1][random(5)]!);
        generation = Math.max(generation, behind);
        return ask(conversation, behind, [ceiling - remaining, remaining], size, 1 + random(60));
      };
      for (let round = 0; round < 300; round += 1) {
        const some = all.filter(() => random(3) === 0);
        const where = `seed ${seed}, round ${round}`;
        const turn = random(10);
        if (turn === 0) {
          const gaps: NewGap[] = some.map((c) => gap(c, 1 + random(5), 6 + random(5)));
          await Promise.all([model.recordGaps(gaps), run.ledger.recordGaps(gaps)]);
        } else if (turn === 1) {
          const known = (await model.load(some)).filter((entry) => entry !== undefined);
          const words = known.map(({ conversation, ceiling }) => {
            const remaining = Math.min(ceiling, random(30));
            return { conversation, word: { last: ceiling - remaining, remaining } };
          });
          const of = known[0]?.generation ?? generation;
          expect(await run.ledger.handBack(of, words), where).toEqual(await model.handBack(of, words));
        } else if (turn === 2) {
          const marks = some.map((conversation) => ({ conversation, completeUpTo: random(round + 1) }));
          await Promise.all([model.raiseCompleteMarks(marks), run.ledger.raiseCompleteMarks(marks)]);
        } else {
          const requests: ReserveRequest[] = [];
          for (const conversation of some) requests.push(await request(conversation));
          expect(await run.ledger.reserve(requests), where).toEqual(await model.reserve(requests));
        }
      }
      const timeless = { reservedAtMs: 0, recordedAtMs: 0 };
      const entries = (found: readonly (object | undefined)[]) =>
        found.map((one) => one && { ...one, ...timeless });
      expect(entries(await run.ledger.load(all)), `seed ${seed}`).toEqual(entries(await model.load(all)));
      expect(await run.ledger.completeMarks(all), `seed ${seed}`).toEqual(await model.completeMarks(all));
      for (const c of all) {
        const [mine, theirs] = await Promise.all([run.ledger.gaps(c, everything), model.gaps(c, everything)]);
        expect(entries(mine), `seed ${seed}`).toEqual(entries(theirs));
      }
    });
  });
}

export function describeClosing(run: LedgerRun): void {
  describe('closing', () => {
    run.test(
      'after close every call is refused with the code closed, and close can be called again',
      async () => {
        await run.another(async (ledger) => {
          await ledger.reserve([ask('group:closing', 1)]);
          await ledger.close();
          const calls = {
            registerHistory: () => ledger.registerHistory('history-closed'),
            reserve: () => ledger.reserve([ask('group:closing', 1, [10, 0])]),
            generationsOf: () => ledger.generationsOf('history-closed'),
            keepAlive: () => ledger.keepAlive(1),
            recordGaps: () => ledger.recordGaps([gap('group:closing', 1, 2)]),
            freeze: () =>
              ledger.freeze(1, [{ conversation: 'group:closing', word: { last: 1, remaining: 9 } }]),
            handBack: () =>
              ledger.handBack(1, [{ conversation: 'group:closing', word: { last: 1, remaining: 9 } }]),
            load: () => ledger.load(['group:closing']),
            list: () => ledger.list('group', { after: undefined, limit: 1 }),
            gaps: () => ledger.gaps('group:closing', everything),
            completeMarks: () => ledger.completeMarks(['group:closing']),
            raiseCompleteMarks: () =>
              ledger.raiseCompleteMarks([{ conversation: 'group:closing', completeUpTo: 1 }]),
          };
          for (const [name, call] of Object.entries(calls)) {
            const error = await call().then(
              () => undefined,
              (thrown: unknown) => thrown,
            );
            expect(error, name).toBeInstanceOf(TidemarkError);
            expect((error as TidemarkError).code, name).toBe('closed');
          }
          await ledger.close();
        });
      },
    );

    run.test('calls under way when the ledger is closed either succeed or are refused', async () => {
      await run.another(async (ledger) => {
        const calls = Array.from({ length: 50 }, (_, n) => ledger.reserve([ask(`group:under-way-${n}`, 1)]));
        const closed = ledger.close();
        for (const result of await Promise.allSettled(calls)) {
          if (result.status === 'fulfilled')
            expect(result.value[0]).toMatchObject({ status: 'reserved', kind: 'new' });
          else expect(result.reason).toBeInstanceOf(TidemarkError);
        }
        await closed;
      });
    });

    run.test('a listener of notices can be set, and replaced', async () => {
      await run.another(async (ledger) => {
        ledger.onNotice(() => undefined);
        ledger.onNotice(() => undefined);
        expect(await ledger.load(['group:none'])).toEqual([undefined]);
      });
    });
  });
}
