import { describe, expect, it } from 'vitest';
import { type CallPlan, expectNoViolation, small } from '../support/simulated-calls.js';
import { noFaults } from '../support/simulated-faults.js';

/** Runs of each test; `TIDEMARK_RUNS` and `TIDEMARK_SEED` change them, the seed of a failure replays it. */
const runs = Number(process.env['TIDEMARK_RUNS'] ?? 1_000);
const firstSeed = Number(process.env['TIDEMARK_SEED'] ?? 1);

describe(`simulated processes, seeds ${firstSeed}…${firstSeed + runs - 1}`, () => {
  it('P3: without faults the numbers are dense, and no gap is recorded but for callers that gave up', async () => {
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      const plan = { ...small, rates: noFaults, faultEveryMs: 0, faults: [] };
      const { verdict, calls, gaps } = await expectNoViolation(plan, seed);
      expect(calls.length).toBe(180);
      const abandoned = gaps.reduce(
        (sum, gap) => sum + (gap.reason === 'abandoned' ? gap.last - gap.first + 1 : 0),
        0,
      );
      const others = gaps.filter((gap) => gap.reason !== 'abandoned');
      expect({ seed, missing: verdict.missing <= abandoned, others }).toEqual({
        seed,
        missing: true,
        others: [],
      });
    }
  });

  it('P1, P2, P4: failovers to stale replicas, restarts, outages, lost replies', async () => {
    const rates = { lostAfter: 0.03, lostBefore: 0.02, unavailable: 0.02, ledgerFails: 0.02, maxDelayMs: 4 };
    for (let seed = firstSeed; seed < firstSeed + runs; seed += 1) {
      await expectNoViolation(
        { ...small, rates, faultEveryMs: 60, faults: ['failOver', 'restart', 'redisDown', 'ledgerDown'] },
        seed,
      );
    }
  });

  it('P1, P2, P4: flushed and lost words, no more than one a second', async () => {
    const rates = { lostAfter: 0.02, lostBefore: 0.02, unavailable: 0.01, ledgerFails: 0.01, maxDelayMs: 4 };
    const faults = ['flush', 'lostWord'] as const;
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      const plan = { ...small, callsPerProcess: 60, rates, faultEveryMs: 100, faultSpacingMs: 1_010, faults };
      await expectNoViolation(plan, seed);
    }
  });

  it('I8: an install that comes late does not bring an older block back', async () => {
    const rates = { ...noFaults, maxDelayMs: 20, slowChance: 0.1, slowMs: 1_500 };
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      const plan = { ...small, rates, faultEveryMs: 100, faultSpacingMs: 1_010, faults: ['flush'] } as const;
      await expectNoViolation(plan, seed);
    }
  });

  it('P1, P4: everything at once, words lost as often as they like', async () => {
    const rates = { lostAfter: 0.03, lostBefore: 0.02, unavailable: 0.02, ledgerFails: 0.02, maxDelayMs: 10 };
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      const faults = ['failOver', 'restart', 'flush', 'lostWord', 'redisDown', 'ledgerDown'] as const;
      await expectNoViolation({ ...small, rates, faultEveryMs: 40, faults }, seed, true);
    }
  });

  it('P1, P4: split brains; order is the one thing that an isolated primary may break', async () => {
    const rates = { lostAfter: 0.02, lostBefore: 0.02, unavailable: 0.02, ledgerFails: 0.02, maxDelayMs: 5 };
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      const faults = ['splitBrain', 'failOver', 'ledgerDown'] as const;
      await expectNoViolation({ ...small, rates, faultEveryMs: 150, faults }, seed, true);
    }
  });

  it('P1, P2, P4: processes that die and start again, between failovers', async () => {
    const rates = { lostAfter: 0.01, lostBefore: 0.01, unavailable: 0.01, ledgerFails: 0.01, maxDelayMs: 4 };
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      await expectNoViolation(
        { ...small, rates, faultEveryMs: 50, faults: ['crash', 'crash', 'failOver', 'restart'] },
        seed,
      );
    }
  });

  it('P6: with the ledger down and Redis alive, numbers go on, and the ledger learns of them afterwards', async () => {
    const rates = { lostAfter: 0, lostBefore: 0, unavailable: 0.01, ledgerFails: 0.05, maxDelayMs: 4 };
    let unbacked = 0;
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      const plan: CallPlan = {
        ...small,
        callsPerProcess: 60,
        rates,
        options: { ledgerOutage: 'continue' },
        faultEveryMs: 100,
        faults: ['ledgerDown'],
      };
      const { events } = await expectNoViolation(plan, seed);
      const extended = new Set(
        events.filter((event) => event.type === 'unbacked').map((event) => event.conversation),
      );
      unbacked += extended.size;
      for (const conversation of extended) {
        expect({
          seed,
          conversation,
          backed: events.some((event) => event.type === 'backed' && event.conversation === conversation),
        }).toEqual({ seed, conversation, backed: true });
      }
    }
    expect(unbacked).toBeGreaterThan(0);
  });
});
