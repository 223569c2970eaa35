import { describe, expect } from 'vitest';
import { maxSequenceNumber } from '../../src/core/counter-word.js';
import { installWindowMs } from '../../src/core/recovery.js';
import { ask, everything, kindOf, type LedgerRun, reserved } from './ledger.suite.run.js';

/** Most conversations that the generator reserves in one transaction. */
const largestBatch = 500;

export function describeDecisions(run: LedgerRun): void {
  describe('the decision table', () => {
    run.test('new', async () => {
      const c = run.fresh();
      expect(await run.one(ask(c, 1))).toEqual(reserved('new', 0, 10));
      expect(await run.marks(c)).toEqual([10, 0, 1]);
      expect(await run.gapsOf(c)).toEqual([]);
    });

    run.test('a block is never smaller than what is needed', async () => {
      expect(await run.one(ask(run.fresh(), 1, undefined, 10, 1_000))).toEqual(
        reserved('new', 0, 1_000, { blockSize: 1_000 }),
      );
    });

    run.test('extended', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      expect(await run.one(ask(c, 1, [7, 3]))).toEqual(reserved('extended', 10, 20));
      expect(await run.marks(c)).toEqual([20, 7, 1]);
    });

    run.test('extended by a newer generation, which is then fenced in', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      expect(await run.one(ask(c, 3, [7, 3]))).toEqual(reserved('extended', 10, 20));
      expect(await run.one(ask(c, 2, [7, 13]))).toEqual({ status: 'fenced', newerGeneration: 3 });
    });

    run.test('adopted: the block that somebody reserved and did not grant', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      await run.one(ask(c, 1, [7, 3]));
      expect(await run.one(ask(c, 1, [9, 1]))).toEqual(reserved('adopted', 10, 20));
      expect(await run.marks(c)).toEqual([20, 7, 1]);
    });

    run.test('busy, and a takeover with a gap of reason word_lost a moment later', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      expect(await run.one(ask(c, 1))).toEqual({ status: 'busy' });
      expect(await run.marks(c)).toEqual([10, 0, 1]);
      await run.pass(installWindowMs + 200);
      const lost = { conversation: c, first: 1, last: 10, reason: 'word_lost', generation: 1 };
      expect(await run.one(ask(c, 1))).toEqual(reserved('takeover', 10, 20, { gap: lost }));
      expect(await run.marks(c)).toEqual([20, 10, 1]);
      expect(await run.gapsOf(c)).toEqual([[1, 10, 'word_lost']]);
    });

    run.test('takeover by a newer generation that sees no word', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      await run.one(ask(c, 1, [7, 3]));
      const lost = { conversation: c, first: 8, last: 20, reason: 'history_lost', generation: 2 };
      expect(await run.one(ask(c, 2))).toEqual(reserved('takeover', 20, 30, { gap: lost }));
      expect(await run.marks(c)).toEqual([30, 20, 2]);
      const [recorded] = await run.ledger.gaps(c, everything);
      expect(recorded).toEqual({ ...lost, certain: false, recordedAtMs: expect.any(Number) });
    });

    run.test('takeover by a newer generation that sees a lower word', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1, [30, 5]));
      expect(await run.one(ask(c, 2, [30, 5]))).toMatchObject({
        kind: 'takeover',
        block: { start: 45, end: 55 },
      });
      expect(await run.gapsOf(c)).toEqual([[31, 45, 'history_lost']]);
    });

    run.test('healed: no entry though the caller saw a word', async () => {
      const c = run.fresh();
      expect(await run.one(ask(c, 1, [500, 25]))).toEqual(reserved('healed', 525, 535));
      expect(await run.marks(c)).toEqual([535, 500, 1]);
    });

    run.test('healed: the entry is behind the caller', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      expect(await run.one(ask(c, 1, [95, 5]))).toEqual(reserved('healed', 100, 110));
      expect(await run.marks(c)).toEqual([110, 95, 1]);
    });

    run.test('fenced, before anything else, and nothing is written', async () => {
      const c = run.fresh();
      await run.one(ask(c, 5));
      for (const saw of [undefined, [3, 7], [900, 100]] as const) {
        expect(await run.one(ask(c, 4, saw))).toEqual({ status: 'fenced', newerGeneration: 5 });
      }
      expect(await run.marks(c)).toEqual([10, 0, 5]);
    });

    run.test('exhausted at 10^12 - 1, after a last block cut short', async () => {
      const c = run.fresh();
      const nearEnd = maxSequenceNumber - 6;
      expect(await run.one(ask(c, 1, [nearEnd, 2]))).toEqual(
        reserved('healed', nearEnd + 2, maxSequenceNumber),
      );
      expect(await run.marks(c)).toEqual([maxSequenceNumber, nearEnd, 1]);
      expect(await run.one(ask(c, 1, [maxSequenceNumber, 0]))).toEqual({ status: 'exhausted' });
      expect(await run.one(ask(c, 2))).toEqual({ status: 'exhausted' });
      expect(await run.marks(c)).toEqual([maxSequenceNumber, nearEnd, 1]);
    });

    run.test('an entry carries its block size and the time of the reservation', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1, undefined, 77));
      const before = (await run.entry(c))!;
      expect(before).toMatchObject({ conversation: c, blockSize: 77 });
      await run.pass(50);
      await run.one(ask(c, 1, [70, 7], 4_500));
      const after = (await run.entry(c))!;
      expect(after.blockSize).toBe(4_500);
      expect(Number.isSafeInteger(after.reservedAtMs)).toBe(true);
      expect(after.reservedAtMs - before.reservedAtMs).toBeGreaterThan(20);
      expect(after.reservedAtMs - before.reservedAtMs).toBeLessThan(30_000);
    });
  });
}

export function describeBatches(run: LedgerRun): void {
  describe('batches', () => {
    run.test('an empty batch of anything is fine', async () => {
      expect(await run.ledger.reserve([])).toEqual([]);
      expect(await run.ledger.load([])).toEqual([]);
      await run.ledger.recordGaps([]);
      await run.ledger.handBack(1, []);
    });

    run.test('500 conversations in one batch, twice', async () => {
      const all = Array.from({ length: largestBatch }, () => run.fresh('batch'));
      const first = await run.ledger.reserve(all.map((c, n) => ask(c, 1, undefined, n + 1)));
      expect(first.map((outcome) => outcome.status === 'reserved' && outcome.block.end)).toEqual(
        all.map((_, n) => n + 1),
      );
      const second = await run.ledger.reserve(all.map((c, n) => ask(c, 1, [n + 1, 0])).reverse());
      expect(second.map((outcome) => outcome.status === 'reserved' && outcome.block.start)).toEqual(
        all.map((_, n) => n + 1).reverse(),
      );
      const entries = await run.ledger.load(all);
      expect(entries.map((entry) => entry?.conversation)).toEqual(all);
      expect(entries.map((entry) => entry?.ceiling)).toEqual(all.map((_, n) => n + 11));
    });

    run.test('outcomes of different kinds come in the order of the requests', async () => {
      const [gone, last, grown, half, lost, fenced, waits] = Array.from({ length: 7 }, () =>
        run.fresh('mix'),
      ) as [
        string,
        string,
        string,
        string,
        string,
        string,
        string, // biome-ignore format: one line
      ];
      const unknown = run.fresh('a-first-by-name');
      await run.ledger.reserve([
        ask(gone, 1, [maxSequenceNumber - 10, 0]),
        ask(last, 1),
        ask(grown, 1),
        ask(half, 1),
      ]);
      await run.ledger.reserve([ask(half, 1, [8, 2]), ask(lost, 1), ask(fenced, 9), ask(waits, 2)]);
      const outcomes = await run.ledger.reserve([
        ask(waits, 2),
        ask(lost, 2),
        ask(gone, 2, [maxSequenceNumber, 0]),
        ask(half, 2 - 1, [9, 1]),
        ask(unknown, 2),
        ask(fenced, 2, [10, 0]),
        ask(last, 2, [40, 2]),
        ask(grown, 2, [5, 5]),
      ]);
      expect(outcomes.map(kindOf)).toEqual([
        'busy',
        'takeover',
        'exhausted',
        'adopted',
        'new',
        'fenced',
        'healed',
        'extended', // biome-ignore format: one line
      ]);
    });

    run.test('callers whose batches overlap in any order all succeed', async () => {
      const all = Array.from({ length: 40 }, () => run.fresh('overlap'));
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, caller) => {
          const turned = [...all.slice(caller * 5), ...all.slice(0, caller * 5)];
          return run.ledger.reserve((caller % 2 ? turned.reverse() : turned).map((c) => ask(c, 1)));
        }),
      );
      const kinds = outcomes.flat().map(kindOf);
      expect(kinds.filter((kind) => kind === 'new')).toHaveLength(all.length);
      expect(kinds.filter((kind) => kind === 'busy')).toHaveLength(all.length * 7);
    });
  });

  describe('several callers at once', () => {
    run.test('of 20 callers that miss a word, one reserves', async () => {
      const c = run.fresh();
      const outcomes = await Promise.all(Array.from({ length: 20 }, () => run.one(ask(c, 1))));
      expect(outcomes.filter((outcome) => outcome.status === 'reserved')).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome.status === 'busy')).toHaveLength(19);
    });

    run.test('of 20 callers that saw the same word, one extends and the others adopt its block', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, n) => run.one(ask(c, 1, [8, 2], 10 + n))),
      );
      const kinds = outcomes.map((outcome) => outcome.status === 'reserved' && outcome.kind);
      expect(kinds.filter((kind) => kind === 'extended')).toHaveLength(1);
      expect(kinds.filter((kind) => kind === 'adopted')).toHaveLength(19);
      const blocks = outcomes.map((outcome) => (outcome.status === 'reserved' ? outcome.block : undefined));
      expect(new Set(blocks.map((block) => `${block?.start}-${block?.end}`)).size).toBe(1);
    });

    run.test(
      'takeovers of 20 generations at once never overlap, and every skipped number is in a gap',
      async () => {
        const c = run.fresh();
        const outcomes = await Promise.all(
          Array.from({ length: 20 }, (_, n) => run.one(ask(c, n + 1, undefined, n + 1))),
        );
        const blocks = outcomes.flatMap((outcome) => (outcome.status === 'reserved' ? [outcome.block] : []));
        blocks.sort((a, b) => a.start - b.start);
        expect(blocks.length).toBeGreaterThan(0);
        for (const [n, block] of blocks.entries()) expect(block.start).toBe(n === 0 ? 0 : blocks[n - 1]!.end);
        const skipped = blocks.slice(0, -1).map(({ start, end }) => [start + 1, end, 'history_lost']);
        expect(await run.gapsOf(c)).toEqual(skipped);
        expect(await run.marks(c)).toEqual([blocks.at(-1)!.end, blocks.at(-1)!.start, 20]);
      },
    );
  });
}
