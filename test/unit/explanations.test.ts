import { describe, expect, it } from 'vitest';
import type { Gap } from '../../src/core/ledger.js';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { TidemarkError } from '../../src/errors.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { embedded, failure, g1, simulated } from '../support/generators.js';

const gapOf = (gap: Partial<Gap>): object =>
  expect.objectContaining({ conversation: 'group:g1', ...gap }) as object;

describe('explain', () => {
  it('issued, and not issued yet', async () => {
    const { sequences } = embedded();
    expect(await sequences.explain(g1, 1)).toEqual({ number: 1, status: 'not_issued_yet' });
    await sequences.nextMany(g1, 3);
    for (const number of [1, 3])
      expect(await sequences.explain(g1, number)).toEqual({ number, status: 'issued', complete: true });
    for (const number of [4, 64, 65, 999_999_999_999])
      expect(await sequences.explain(g1, number)).toEqual({ number, status: 'not_issued_yet' });
    await sequences.close();
  });

  it('never issued: in a certain gap', async () => {
    const { sequences, ledger } = embedded();
    await sequences.nextMany(g1, 9);
    const gap = { conversation: 'group:g1', reason: 'abandoned', generation: 1 } as const;
    await ledger.recordGaps([
      { ...gap, first: 3, last: 4 },
      { ...gap, first: 5, last: 5 },
    ]);
    expect(await sequences.explain(g1, 4)).toEqual({
      number: 4,
      status: 'never_issued',
      gap: gapOf({ first: 3, last: 5, reason: 'abandoned', certain: true }),
    });
    expect(await sequences.explain(g1, 6)).toMatchObject({ status: 'issued' });
    await sequences.close();
  });

  it('uncertain: in an uncertain gap, also above the last number', async () => {
    const { sequences, ledger } = embedded();
    await sequences.nextMany(g1, 9);
    const gap = { conversation: 'group:g1', reason: 'reply_lost', generation: 1 } as const;
    await ledger.recordGaps([{ ...gap, first: 8, last: 12 }]);
    for (const number of [8, 9, 10, 12]) {
      const explanation = await sequences.explain(g1, number);
      expect(explanation).toEqual({
        number,
        status: 'uncertain',
        gap: gapOf({ first: 8, last: 12, reason: 'reply_lost' }),
        sinceMs: expect.any(Number),
      });
      if (explanation.status === 'uncertain') expect(explanation.sinceMs).toBe(explanation.gap!.recordedAtMs);
    }
    expect(await sequences.explain(g1, 13)).toEqual({ number: 13, status: 'not_issued_yet' });
    await sequences.close();
  });

  it('a lost word: uncertain without a gap until the next number records it', async () => {
    const { sequences, counters } = embedded();
    await sequences.nextMany(g1, 40);
    // The refill at half of the block tells the ledger of the numbers before it.
    await expect.poll(async () => (await sequences.ledgerEntry(g1))?.floor).toBe(40);
    const { floor, ceiling } = (await sequences.ledgerEntry(g1))!;
    expect(ceiling).toBeGreaterThan(floor);
    counters.lose();
    expect(await sequences.explain(g1, floor)).toEqual({ number: floor, status: 'issued', complete: true });
    expect(await sequences.explain(g1, floor + 1)).toEqual({
      number: floor + 1,
      status: 'uncertain',
      gap: undefined,
      sinceMs: undefined,
    });
    expect(await sequences.explain(g1, ceiling)).toMatchObject({ status: 'uncertain', gap: undefined });
    expect(await sequences.explain(g1, ceiling + 1)).toEqual({
      number: ceiling + 1,
      status: 'not_issued_yet',
    });
    const next = await sequences.next(g1);
    expect(next).toBe(ceiling + 1);
    expect(await sequences.explain(g1, ceiling)).toMatchObject({
      status: 'uncertain',
      gap: { first: floor + 1, last: ceiling, reason: 'history_lost' },
    });
    expect(await sequences.explain(g1, next)).toEqual({ number: next, status: 'issued', complete: true });
    await sequences.close();
  });

  it('after a clean end everything issued is known', async () => {
    const ledger = new MemoryLedger();
    // A ledger in memory ends with its generator; this one outlives it.
    ledger.close = () => Promise.resolve();
    const start = () => new SequenceGenerator({ counters: new MemoryCounterStore(), ledger });
    const first = start();
    await first.nextMany(g1, 5);
    await first.close();
    const second = start();
    expect(await second.explain(g1, 5)).toEqual({ number: 5, status: 'issued', complete: true });
    expect(await second.explain(g1, 6)).toEqual({ number: 6, status: 'not_issued_yet' });
    await second.close();
  });

  it('refuses what is no number', async () => {
    const { sequences } = embedded();
    for (const number of [0, -1, 1.5, 1e12, Number.NaN, '1' as unknown as number])
      expect((await failure(sequences.explain(g1, number))).code).toBe('invalid_argument');
    await sequences.close();
    expect((await failure(sequences.explain(g1, 1))).code).toBe('closed');
  });

  it('a ledger that does not answer is the reason, when the deadline passes', async () => {
    const { sequences, ledger } = embedded();
    await sequences.next(g1);
    let attempts = 0;
    ledger.gaps = () => {
      attempts += 1;
      return new Promise(() => undefined);
    };
    expect((await failure(sequences.explain(g1, 1, { timeoutMs: 50 }))).code).toBe('deadline_exceeded');
    expect(attempts).toBe(1);
    await sequences.close();
  });
});

describe('explain on counters that others share', () => {
  it('asks again in the new history after a failover', async () => {
    const { clock, redis, sequences } = simulated();
    await clock.run(sequences.nextMany(g1, 3));
    redis.restart();
    const explanation = await clock.run(sequences.explain(g1, 2));
    expect(explanation).toEqual({ number: 2, status: 'uncertain', gap: undefined, sinceMs: undefined });
    const next = await clock.run(sequences.next(g1));
    expect(await clock.run(sequences.explain(g1, 2))).toMatchObject({
      status: 'uncertain',
      gap: { reason: 'history_lost' },
    });
    expect(await clock.run(sequences.explain(g1, next))).toEqual({
      number: next,
      status: 'issued',
      complete: true,
    });
    await clock.run(sequences.close());
  });

  it('a word that is none is an error', async () => {
    const { clock, counters, sequences } = simulated();
    await clock.run(sequences.next(g1));
    counters.readOpen = () =>
      Promise.resolve({ status: 'done', results: [{ status: 'corrupt', found: 'text' }] });
    const error = await clock.run(failure(sequences.explain(g1, 1)));
    expect(error).toMatchObject({ code: 'counter_corrupt', conversation: 'group:g1' });
    await clock.run(sequences.close());
  });

  it('waits for a ledger that is out of reach', async () => {
    const { clock, ledger, sequences } = simulated();
    await clock.run(sequences.next(g1));
    const recorded = ledger.gaps.bind(ledger);
    let failures = 3;
    ledger.gaps = (...args) => {
      failures -= 1;
      if (failures >= 0) return Promise.reject(new TidemarkError('ledger_unavailable', 'planned'));
      return recorded(...args);
    };
    expect(await clock.run(sequences.explain(g1, 1))).toMatchObject({ status: 'issued' });
    expect(failures).toBe(-1);
    await clock.run(sequences.close());
  });
});

describe('explain beside tracked takes', () => {
  it('a number is complete when nothing up to it is open', async () => {
    const { sequences } = embedded();
    await sequences.next(g1);
    const [early, late] = [await sequences.take(g1), await sequences.take(g1)];
    const complete = async (): Promise<unknown[]> => {
      const answers = await Promise.all([1, 2, 3].map((number) => sequences.explain(g1, number)));
      return answers.map((answer) => answer.status === 'issued' && answer.complete);
    };
    expect(await complete()).toEqual([true, false, false]);
    await late.settle();
    expect(await complete()).toEqual([true, false, false]);
    await early.settle();
    expect(await complete()).toEqual([true, true, true]);
    await sequences.close();
  });

  it('an abandoned take was never issued', async () => {
    const { sequences } = embedded();
    const take = await sequences.take(g1, 2);
    await take.abandon();
    expect(await sequences.explain(g1, 2)).toEqual({
      number: 2,
      status: 'never_issued',
      gap: gapOf({ first: 1, last: 2, reason: 'abandoned' }),
    });
    await sequences.close();
  });

  it('a take whose lease has ended is given up before the answer', async () => {
    let nowMs = 1_000;
    const counters = new MemoryCounterStore({ nowMs: () => nowMs });
    const { sequences, ledger } = embedded({ counters });
    await sequences.take(g1);
    expect(await sequences.explain(g1, 1)).toEqual({ number: 1, status: 'issued', complete: false });
    nowMs += 30_001;
    expect(await sequences.explain(g1, 1)).toEqual({
      number: 1,
      status: 'uncertain',
      gap: gapOf({ first: 1, last: 1, reason: 'lease_expired' }),
      sinceMs: expect.any(Number),
    });
    expect(await ledger.gaps('group:g1', { from: 1, to: 9, limit: 9 })).toMatchObject([
      { reason: 'lease_expired' },
    ]);
    expect(await sequences.completeUpTo(g1)).toBe(1);
    await sequences.close();
  });

  it('says of a new history no more than completeUpTo', async () => {
    const ledger = new MemoryLedger();
    ledger.close = () => Promise.resolve();
    const start = () => new SequenceGenerator({ counters: new MemoryCounterStore(), ledger });
    const first = start();
    await (await first.take(g1)).settle();
    await first.take(g1);
    await first.close();
    const second = start();
    expect(await second.explain(g1, 1)).toEqual({ number: 1, status: 'issued', complete: true });
    expect(await second.explain(g1, 2)).toEqual({ number: 2, status: 'issued', complete: false });
    // The word is there now, and tracking has not begun.
    expect(await second.next(g1)).toBe(3);
    expect(await second.explain(g1, 1)).toEqual({ number: 1, status: 'issued', complete: true });
    expect(await second.explain(g1, 2)).toEqual({ number: 2, status: 'issued', complete: false });
    expect(await second.completeUpTo(g1)).toBe(1);
    await second.close();
  });
});
