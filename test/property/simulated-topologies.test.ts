/** Simulated processes over a cluster, over histories that get new names, and while conversations are drained. */

import { describe, expect, it } from 'vitest';
import { expectNoViolation, small } from '../support/simulated-calls.js';
import { noFaults } from '../support/simulated-faults.js';

const runs = Number(process.env['TIDEMARK_RUNS'] ?? 1_000);
const firstSeed = Number(process.env['TIDEMARK_SEED'] ?? 1);
const rates = { lostAfter: 0.02, lostBefore: 0.02, unavailable: 0.02, ledgerFails: 0.02, maxDelayMs: 4 };
const clustered = { ...small, conversations: 6, cluster: true };

describe(`simulated topologies, seeds ${firstSeed}…${firstSeed + runs - 1}`, () => {
  it('P1, P2, P4: a cluster whose slots move', async () => {
    const faults = ['moveSlot', 'moveSlot', 'crash'] as const;
    for (let seed = firstSeed; seed < firstSeed + runs / 2; seed += 1)
      await expectNoViolation({ ...clustered, rates, faultEveryMs: 40, faults }, seed);
  });

  it('P1, P2, P4: a cluster whose primaries fail over to stale replicas', async () => {
    const faults = ['nodeFailOver', 'nodeFailOver', 'crash'] as const;
    for (let seed = firstSeed; seed < firstSeed + runs / 2; seed += 1)
      await expectNoViolation({ ...clustered, rates, faultEveryMs: 60, faults }, seed);
  });

  it('P1, P4: both; a slot that moves there and back may break the order, if a failover in between loses what was there', async () => {
    const faults = ['moveSlot', 'moveSlot', 'nodeFailOver', 'ledgerDown'] as const;
    for (let seed = firstSeed; seed < firstSeed + runs / 2; seed += 1)
      await expectNoViolation({ ...clustered, rates, faultEveryMs: 60, faults }, seed, true);
  });

  it('P1, P4: processes that stay with an old primary of a cluster; no slot is fenced for good', async () => {
    const faults = ['isolatedNode', 'moveSlot', 'nodeFailOver', 'rename'] as const;
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      const { calls } = await expectNoViolation(
        { ...clustered, rates, faultEveryMs: 150, faults },
        seed,
        true,
      );
      const inTime = calls.filter(
        ({ numbers, start, end }) => numbers !== undefined || end! - start < 20_000,
      );
      expect({ seed, late: calls.length - inTime.length }).toEqual({ seed, late: 0 });
    }
  });

  it('I13: histories that get a new name cause no takeover and no gap', async () => {
    let renamed = 0;
    for (let seed = firstSeed; seed < firstSeed + runs / 2; seed += 1) {
      const cluster = seed % 2 === 0;
      const plan = {
        ...small,
        callsPerProcess: 60,
        cluster,
        options: { fenceCheckMs: 100 },
        rates: noFaults,
        faultEveryMs: 20,
        faultSpacingMs: 150,
        faults: ['rename'] as const,
      };
      const { events, gaps } = await expectNoViolation(plan, seed);
      renamed += events.filter(
        (event) => event.type === 'generation' && event.renamedFrom !== undefined,
      ).length;
      expect({ seed, takeovers: events.filter(({ type }) => type === 'takeover') }).toEqual({
        seed,
        takeovers: [],
      });
      expect({ seed, gaps: gaps.filter(({ reason }) => reason !== 'abandoned') }).toEqual({ seed, gaps: [] });
    }
    expect(renamed).toBeGreaterThan(runs / 2);
  });

  it('I14: draining under load leaves no gap', async () => {
    let drained = 0;
    for (let seed = firstSeed; seed < firstSeed + runs / 2; seed += 1) {
      const cluster = seed % 2 === 0;
      const plan = { ...small, cluster, rates: noFaults, faultEveryMs: 10, faults: ['drain'] as const };
      const { events, gaps } = await expectNoViolation(plan, seed);
      drained += events.filter(({ type }) => type === 'drained').length;
      expect({ seed, gaps: gaps.filter(({ reason }) => reason !== 'abandoned') }).toEqual({ seed, gaps: [] });
    }
    expect(drained).toBeGreaterThan(runs);
  });

  it('P1, P2, P4: draining while everything else breaks, too', async () => {
    // A process that dies while the ledger is away takes with it what it had to record (P3), so never both.
    for (let seed = firstSeed; seed < firstSeed + runs / 2; seed += 1) {
      const outage = seed % 2 === 0 ? (['ledgerDown', 'redisDown'] as const) : (['crash', 'crash'] as const);
      const faults = ['drain', 'drain', 'drain', 'failOver', ...outage] as const;
      await expectNoViolation({ ...small, rates, faultEveryMs: 25, faults }, seed);
    }
  });
});
