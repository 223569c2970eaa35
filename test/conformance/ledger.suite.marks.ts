import { describe, expect } from 'vitest';
import { maxIdBytes } from '../../src/core/conversation.js';
import { maxSequenceNumber } from '../../src/core/counter-word.js';
import type { CompleteMark } from '../../src/core/ledger.js';
import { ask, everything, gap, type LedgerRun } from './ledger.suite.run.js';

/** More conversations than one statement of any adapter takes. */
const severalStatements = 1_201;

function mark(conversation: string, completeUpTo: number): CompleteMark {
  return { conversation, completeUpTo };
}

export function describeCompleteMarks(run: LedgerRun): void {
  const marksOf = (...conversations: string[]) => run.ledger.completeMarks(conversations);

  describe('complete marks', () => {
    run.test('a conversation whose takes were never tracked has none', async () => {
      const c = run.fresh();
      expect(await marksOf(c)).toEqual([undefined]);
      await run.one(ask(c, 1));
      await run.ledger.recordGaps([gap(c, 1, 2)]);
      expect(await marksOf(c)).toEqual([undefined]);
    });

    run.test('the first raise makes one, and 0 is one, too', async () => {
      const [a, b] = [run.fresh(), run.fresh()];
      await run.ledger.raiseCompleteMarks([mark(a, 7), mark(b, 0)]);
      expect(await marksOf(a, b)).toEqual([7, 0]);
    });

    run.test('a raise never lowers', async () => {
      const c = run.fresh();
      for (const [to, after] of [
        [5, 5],
        [4, 5],
        [5, 5],
        [0, 5],
        [6, 6],
        [1_000_000, 1_000_000],
        [999_999, 1_000_000],
      ] as const) {
        await run.ledger.raiseCompleteMarks([mark(c, to)]);
        expect(await marksOf(c)).toEqual([after]);
      }
    });

    run.test('should a conversation come twice after all, its higher mark stays', async () => {
      const [a, b] = [run.fresh(), run.fresh()];
      await run.ledger.raiseCompleteMarks([mark(a, 5), mark(b, 3), mark(a, 3), mark(b, 5)]);
      expect(await marksOf(a, b)).toEqual([5, 5]);
    });

    run.test('any number of a conversation can be a mark, to 10^12 - 1', async () => {
      const all = [2 ** 31, 2 ** 32 + 1, 2 ** 39 - 1, maxSequenceNumber - 1, maxSequenceNumber];
      const marks = all.map((completeUpTo) => mark(run.fresh(), completeUpTo));
      await run.ledger.raiseCompleteMarks(marks);
      expect(await marksOf(...marks.map(({ conversation }) => conversation))).toEqual(all);
    });

    run.test('they come in the order that was asked for, as often as was asked for', async () => {
      const [a, b, none] = [run.fresh('b'), run.fresh('a'), run.fresh()];
      await run.ledger.raiseCompleteMarks([mark(a, 1), mark(b, 2)]);
      expect(await marksOf(none, b, a, none, b)).toEqual([undefined, 2, 1, undefined, 2]);
    });

    run.test('no conversations at all are fine', async () => {
      expect(await marksOf()).toEqual([]);
      await run.ledger.raiseCompleteMarks([]);
    });

    run.test(`${severalStatements} in one batch, in any order, some of them lower than before`, async () => {
      const all = Array.from({ length: severalStatements }, () => run.fresh('marks'));
      await run.ledger.raiseCompleteMarks(all.map((c, n) => mark(c, n)));
      expect(await marksOf(...all)).toEqual(all.map((_, n) => n));
      await run.ledger.raiseCompleteMarks(all.map((c, n) => mark(c, n % 2 ? n + 1 : 0)).reverse());
      expect(await marksOf(...[...all].reverse())).toEqual(all.map((_, n) => (n % 2 ? n + 1 : n)).reverse());
    });

    run.test('marks of conversations are told apart byte by byte', async () => {
      const base = run.fresh('mark').slice('group:'.length);
      const ids = ['Room', 'room', 'ROOM', 'room ', 'room  ', 'roöm', 'roo\u0308m', 'ｒoom', '😀', '😁'];
      const long = 'x'.repeat(maxIdBytes - 1);
      const all = [
        ...ids.map((id) => `group:${base}${id}`),
        ...['y', 'z', 'Z'].map((end) => `private:${long}x:${long}${end}`),
      ];
      await run.ledger.raiseCompleteMarks(all.map((c, n) => mark(c, n + 1)));
      expect(await marksOf(...all)).toEqual(all.map((_, n) => n + 1));
    });

    run.test(
      'raises at once, of overlapping batches in any order, end with the highest of each',
      async () => {
        const all = Array.from({ length: 40 }, () => run.fresh('raised'));
        const markBy = (caller: number, n: number) => 1 + ((caller * 7 + n * 3) % 20);
        const raise = (caller: number) => {
          const turned = [...all.slice(caller * 2), ...all.slice(0, caller * 2)];
          const marks = turned.map((c) => mark(c, markBy(caller, all.indexOf(c))));
          return run.ledger.raiseCompleteMarks(caller % 2 ? marks.reverse() : marks);
        };
        await Promise.all(Array.from({ length: 16 }, (_, caller) => raise(caller)));
        const highest = all.map((_, n) =>
          Math.max(...Array.from({ length: 16 }, (_unused, caller) => markBy(caller, n))),
        );
        expect(await marksOf(...all)).toEqual(highest);
      },
    );

    run.test('a value that is no number of a conversation is refused, and nothing changes', async () => {
      const [before, after] = [run.fresh(), run.fresh()];
      await run.ledger.raiseCompleteMarks([mark(before, 3)]);
      const wrong = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, maxSequenceNumber + 1, 2 ** 60];
      const wrongTypes = [undefined, null, '7', 7n] as unknown[] as number[];
      for (const completeUpTo of [...wrong, ...wrongTypes]) {
        const marks = [mark(before, 9), mark(run.fresh(), completeUpTo), mark(after, 9)];
        await expect(run.ledger.raiseCompleteMarks(marks), String(completeUpTo)).rejects.toMatchObject({
          code: 'invalid_argument',
          conversation: marks[1]!.conversation,
          message: expect.stringContaining(String(completeUpTo)),
        });
        expect(await marksOf(...marks.map(({ conversation }) => conversation))).toEqual([
          3,
          undefined,
          undefined,
        ]);
      }
    });

    run.test('a mark is neither an entry nor a gap', async () => {
      const type = 'only-marks';
      const [a, b] = [run.fresh('c', type), run.fresh('e', type)];
      await run.ledger.raiseCompleteMarks([mark(a, 5), mark(b, 6)]);
      expect(await run.ledger.load([a, b])).toEqual([undefined, undefined]);
      expect(await run.ledger.list(type, { after: undefined, limit: 10 })).toEqual([]);
      expect(await run.gapsOf(a)).toEqual([]);
      await run.one(ask(a, 1));
      await run.ledger.recordGaps([gap(a, 2, 3)]);
      await run.ledger.raiseCompleteMarks([mark(a, 10)]);
      expect(await run.marks(a)).toEqual([10, 0, 1]);
      expect(await run.ledger.list(type, { after: undefined, limit: 10 })).toHaveLength(1);
      expect(await run.gapsOf(a)).toEqual([[2, 3, 'reply_lost']]);
    });

    run.test('marks, entries and gaps are there when the ledger is opened again', async () => {
      const [a, b] = [run.fresh('again'), run.fresh('again')];
      await run.ledger.raiseCompleteMarks([mark(a, 5), mark(b, maxSequenceNumber)]);
      await run.one(ask(a, 1));
      await run.ledger.recordGaps([gap(a, 2, 3, { reason: 'lease_expired' })]);
      const before = [await run.entry(a), await run.ledger.gaps(a, everything)];
      await run.reopen();
      expect(await marksOf(a, b)).toEqual([5, maxSequenceNumber]);
      expect([await run.entry(a), await run.ledger.gaps(a, everything)]).toEqual(before);
      await run.ledger.raiseCompleteMarks([mark(a, 4), mark(b, 4)]);
      expect(await marksOf(a, b)).toEqual([5, maxSequenceNumber]);
    });
  });
}
