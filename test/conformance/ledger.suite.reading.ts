import { describe, expect } from 'vitest';
import { maxIdBytes } from '../../src/core/conversation.js';
import { maxSequenceNumber } from '../../src/core/counter-word.js';
import type { GapReason } from '../../src/core/ledger.js';
import { gapReasons } from '../../src/core/ledger.js';
import { compareUtf8 } from '../../src/core/utf8.js';
import { ask, everything, gap, type LedgerRun } from './ledger.suite.run.js';

/** `private:` and two ids of up to 255 bytes: the longest key that a conversation can have. */
function longestKey(fill: string): string {
  const id = fill.repeat(Math.floor(maxIdBytes / Buffer.byteLength(fill)));
  return `private:${id}:${id}`;
}

export function describeKeys(run: LedgerRun): void {
  describe('keys', () => {
    run.test('conversations are told apart byte by byte', async () => {
      const base = run.fresh('Room');
      const twins = [
        base,
        base.toUpperCase().replace('GROUP', 'group'),
        base.toLowerCase(),
        `${base} `,
        `${base}  `,
      ];
      const ids = ['é', 'e\u0301', 'ß', 'ss', 'ı', 'i', 'I', '😀', '😁', '\ufb01', 'fi', 'ａ', 'a', '٣', '3'];
      const all = [...twins, ...ids.map((id) => `${base}${id}`)];
      const distinct = [...new Set(all)];
      await run.ledger.reserve(distinct.map((c, n) => ask(c, 1, undefined, n + 1)));
      expect((await run.ledger.load(distinct)).map((entry) => [entry?.conversation, entry?.ceiling])).toEqual(
        distinct.map((c, n) => [c, n + 1]),
      );
      await run.ledger.recordGaps(distinct.map((c, n) => gap(c, n + 1, n + 1)));
      for (const [n, c] of distinct.entries())
        expect(await run.gapsOf(c)).toEqual([[n + 1, n + 1, 'reply_lost']]);
    });

    run.test('the longest keys differ in their last byte', async () => {
      const all = [longestKey('x'), `${longestKey('x').slice(0, -1)}y`, longestKey('é')];
      await run.ledger.reserve(all.map((c, n) => ask(c, 1, undefined, n + 1)));
      await run.ledger.recordGaps(all.map((c) => gap(c, maxSequenceNumber - 1, maxSequenceNumber)));
      expect((await run.ledger.load(all)).map((entry) => entry?.ceiling)).toEqual([1, 2, 3]);
      expect(
        (await run.ledger.list('private', { after: all[0], limit: 1 })).map((entry) => entry.conversation),
      ).toEqual([all[1]]);
      for (const c of all) expect(await run.gapsOf(c)).toHaveLength(1);
    });
  });
}

export function describeGaps(run: LedgerRun): void {
  describe('gaps', () => {
    run.test('a recorded gap is returned as it was recorded', async () => {
      const c = run.fresh();
      const before = Date.now();
      const all = [
        gap(c, 3, 3, { reason: 'abandoned', generation: 7 }),
        gap(c, 5, 9, { reason: 'history_lost', generation: 8 }),
        gap(c, 11, 12, { reason: 'word_lost' }),
        gap(c, 20, maxSequenceNumber),
      ];
      await run.ledger.recordGaps(all);
      const recorded = await run.ledger.gaps(c, everything);
      expect(recorded).toEqual(
        all.map((one) => ({ ...one, certain: one.reason === 'abandoned', recordedAtMs: expect.any(Number) })),
      );
      for (const one of recorded) expect(Math.abs(one.recordedAtMs - before)).toBeLessThan(3_600_000);
    });

    run.test('every reason is kept, and says whether the numbers were certainly never issued', async () => {
      const c = run.fresh();
      const reasons = Object.keys(gapReasons) as GapReason[];
      expect(reasons).toContain('unclaimed');
      expect(reasons).toContain('lease_expired');
      await run.ledger.recordGaps(reasons.map((reason, n) => gap(c, n + 1, n + 1, { reason })));
      const recorded = await run.ledger.gaps(c, everything);
      expect(recorded.map(({ reason, certain }) => [reason, certain])).toEqual(
        reasons.map((reason) => [reason, reason === 'abandoned']),
      );
    });

    run.test('recording the same gap again changes nothing', async () => {
      const c = run.fresh();
      await run.ledger.recordGaps([gap(c, 3, 9)]);
      const first = await run.ledger.gaps(c, everything);
      await run.pass(20);
      await run.ledger.recordGaps([gap(c, 3, 9), gap(c, 3, 9, { generation: 2 }), gap(c, 3, 10)]);
      expect((await run.ledger.gaps(c, everything))[0]).toEqual(first[0]);
      expect(await run.gapsOf(c)).toEqual([
        [3, 9, 'reply_lost'],
        [3, 10, 'reply_lost'],
      ]);
    });

    run.test('the same numbers may be missing for two reasons', async () => {
      const conversation = run.fresh();
      await run.ledger.recordGaps([gap(conversation, 4, 5, { reason: 'unclaimed' })]);
      await run.ledger.recordGaps([gap(conversation, 4, 5, { reason: 'lease_expired' })]);
      await run.ledger.recordGaps([gap(conversation, 4, 5, { reason: 'unclaimed', generation: 9 })]);
      const found = await run.ledger.gaps(conversation, everything);
      expect(found.map(({ reason, generation }) => [reason, generation]).sort()).toEqual([
        ['lease_expired', 1],
        ['unclaimed', 1],
      ]);
    });

    run.test('a gap that was recorded before does not stop a takeover that records it again', async () => {
      const c = run.fresh();
      await run.one(ask(c, 1));
      await run.ledger.recordGaps([gap(c, 1, 10)]);
      expect(await run.one(ask(c, 2))).toMatchObject({ kind: 'takeover', block: { start: 10, end: 20 } });
      expect((await run.gapsOf(c)).sort()).toEqual([
        [1, 10, 'history_lost'],
        [1, 10, 'reply_lost'],
      ]);
    });

    run.test('20 callers that record one gap at once record it once', async () => {
      const c = run.fresh();
      await Promise.all(
        Array.from({ length: 20 }, () => run.ledger.recordGaps([gap(c, 4, 5), gap(c, 1, 2)])),
      );
      expect(await run.gapsOf(c)).toEqual([
        [1, 2, 'reply_lost'],
        [4, 5, 'reply_lost'],
      ]);
    });

    run.test('gaps come by first, then last number, whatever the order of recording', async () => {
      const c = run.fresh();
      const ranges = [
        [1_000_000_000, 1_000_000_001],
        [9, 200],
        [9, 10],
        [100, 100],
        [2, 900_000_000_000],
        [10, 99],
      ] as const;
      for (const [first, last] of ranges) await run.ledger.recordGaps([gap(c, first, last)]);
      expect((await run.gapsOf(c)).map(([first, last]) => [first, last])).toEqual(
        [...ranges].sort((a, b) => a[0] - b[0] || a[1] - b[1]),
      );
    });

    run.test('a range selects the gaps that touch it, and they are returned whole', async () => {
      const c = run.fresh();
      await run.ledger.recordGaps([gap(c, 10, 20), gap(c, 30, 40), gap(c, 50, 60), gap(c, 5, 100)]);
      const touching = async (from: number, to: number) =>
        (await run.gapsOf(c, { from, to })).map(([first, last]) => `${first}-${last}`);
      expect(await touching(20, 30)).toEqual(['5-100', '10-20', '30-40']);
      expect(await touching(21, 29)).toEqual(['5-100']);
      expect(await touching(35, 35)).toEqual(['5-100', '30-40']);
      expect(await touching(1, 4)).toEqual([]);
      expect(await touching(1, 5)).toEqual(['5-100']);
      expect(await touching(100, 100)).toEqual(['5-100']);
      expect(await touching(101, maxSequenceNumber)).toEqual([]);
    });

    run.test('a limit cuts the list after its first gaps, and one can go on behind them', async () => {
      const c = run.fresh();
      await run.ledger.recordGaps(Array.from({ length: 300 }, (_, n) => gap(c, n * 10 + 1, n * 10 + 5)));
      expect(await run.gapsOf(c, { limit: 2 })).toEqual([
        [1, 5, 'reply_lost'],
        [11, 15, 'reply_lost'],
      ]);
      expect(await run.gapsOf(c, { from: 16, limit: 1 })).toEqual([[21, 25, 'reply_lost']]);
      expect(await run.gapsOf(c)).toHaveLength(300);
    });

    run.test('gaps belong to one conversation', async () => {
      const c = run.fresh();
      await run.ledger.recordGaps([gap(c, 1, 2), gap(`${c}x`, 3, 4), gap(c.slice(0, -1), 5, 6)]);
      expect(await run.gapsOf(c)).toEqual([[1, 2, 'reply_lost']]);
      expect(await run.gapsOf(run.fresh())).toEqual([]);
    });
  });
}

export function describeListing(run: LedgerRun): void {
  const page = async (type: string, after: string | undefined, limit: number) =>
    (await run.ledger.list(type, { after, limit })).map((entry) => entry.conversation);
  const pages = async (type: string, limit: number) => {
    const all: string[] = [];
    for (let after: string | undefined; ; after = all.at(-1)) {
      const next = await page(type, after, limit);
      expect(next.length).toBeLessThanOrEqual(limit);
      all.push(...next);
      if (next.length < limit) return all;
    }
  };

  describe('loading and listing', () => {
    run.test('load answers in order, with undefined where there is no entry', async () => {
      const [a, b, none] = [run.fresh(), run.fresh(), run.fresh()];
      await run.ledger.reserve([ask(b, 1), ask(a, 1, undefined, 20)]);
      const entries = await run.ledger.load([none, a, none, b, a]);
      expect(entries.map((entry) => entry?.ceiling)).toEqual([undefined, 20, undefined, 10, 20]);
    });

    run.test(
      'pages of a type, in order of key bytes, without the types that begin or go on like it',
      async () => {
        const ids = ['b', 'B', 'a', 'aa', 'a b', 'ａ', '😀', 'é', 'z', '~', 'a:b', '0', '00', 'a%3Ab'];
        const types = ['a', 'a-b', 'a_b', 'ab', 'b'];
        const keys = types.flatMap((type) => ids.map((id) => `${type}:${id}`));
        await run.ledger.reserve([...keys].sort().map((key, n) => ask(key, 1, undefined, n + 1)));
        for (const type of types) {
          const expected = ids.map((id) => `${type}:${id}`).sort(compareUtf8);
          expect(await page(type, undefined, 1_000)).toEqual(expected);
          for (const limit of [1, 5, expected.length]) expect(await pages(type, limit)).toEqual(expected);
        }
      },
    );

    run.test('pages of all types, in order of key bytes', async () => {
      await run.another(async (ledger) => {
        const keys = ['b:1', 'a:z', 'a:10', 'a-b:c', 'z:é', 'z:😀', 'z:ａ', 'private:x:y', 'group:g'];
        await ledger.reserve(keys.map((key, n) => ask(key, 1, undefined, n + 1)));
        await ledger.registerHistory('history-beside-entries');
        await ledger.recordGaps([gap('a:gap', 1, 2)]);
        await ledger.raiseCompleteMarks([{ conversation: 'a:mark', completeUpTo: 1 }]);
        const expected = [...keys].sort(compareUtf8);
        for (const limit of [1, 4, 100]) {
          const found: string[] = [];
          for (let after: string | undefined; ; after = found.at(-1)) {
            const some = await ledger.list(undefined, { after, limit });
            found.push(...some.map(({ conversation }) => conversation));
            if (some.length < limit) break;
          }
          expect(found).toEqual(expected);
        }
        const behind = await ledger.list(undefined, { after: 'b', limit: 2 });
        expect(behind.map(({ ceiling }) => ceiling)).toEqual([1, 9]);
      });
    });

    run.test('a page begins behind any key, there or not, even one of another type', async () => {
      const keys = ['pg:b', 'pg:d', 'pg:f'];
      await run.ledger.reserve(keys.map((key) => ask(key, 1)));
      expect(await page('pg', 'pg:b', 10)).toEqual(['pg:d', 'pg:f']);
      expect(await page('pg', 'pg:c', 10)).toEqual(['pg:d', 'pg:f']);
      expect(await page('pg', 'pg:f', 10)).toEqual([]);
      expect(await page('pg', 'a:zzz', 10)).toEqual(keys);
      expect(await page('pg', 'zz:a', 10)).toEqual([]);
    });

    run.test('a type without entries is an empty list', async () => {
      expect(await page('nothing-here', undefined, 10)).toEqual([]);
      // A pattern character of any query language is only a character.
      await run.one(ask('likeXtype:1', 1));
      expect(await page('like_type', undefined, 10)).toEqual([]);
    });

    run.test('a listed entry is the same as a loaded one', async () => {
      await run.one(ask('whole:one', 3, [maxSequenceNumber - 100, 50], 25));
      const [listed] = await run.ledger.list('whole', { after: undefined, limit: 10 });
      expect(listed).toEqual({
        conversation: 'whole:one',
        ceiling: maxSequenceNumber - 25,
        floor: maxSequenceNumber - 100,
        generation: 3,
        blockSize: 25,
        reservedAtMs: expect.any(Number),
        frozenUntilMs: 0,
      });
      expect(await run.entry('whole:one')).toEqual(listed);
    });
  });
}
