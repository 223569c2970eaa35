import { describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import { SequenceGenerator } from '../../src/core/sequence-generator.js';
import { type CallRecord, judge } from '../support/judge.js';
import {
  type FaultRates,
  noFaults,
  Random,
  SimulatedCounterStore,
  SimulatedLedger,
  SimulatedRedis,
  VirtualClock,
} from '../support/simulation.js';

/** Runs of each test; `TIDEMARK_RUNS` and `TIDEMARK_SEED` change them, the seed of a failure replays it. */
const runs = Number(process.env['TIDEMARK_RUNS'] ?? 1_000);
const firstSeed = Number(process.env['TIDEMARK_SEED'] ?? 1);

interface Plan {
  readonly processes: number;
  readonly conversations: number;
  readonly callsPerProcess: number;
  readonly rates: FaultRates;
  /** Faults of Redis and the ledger as a whole, once in so many virtual milliseconds; 0 for none. */
  readonly faultEveryMs: number;
  readonly faults: readonly ('failOver' | 'restart' | 'flush' | 'redisDown' | 'ledgerDown' | 'lostWord')[];
}

async function simulate(seed: number, plan: Plan) {
  const random = new Random(seed);
  const clock = new VirtualClock();
  const redis = new SimulatedRedis();
  const ledger = new SimulatedLedger(clock, random, plan.rates);
  const calls: CallRecord[] = [];
  const events: TidemarkEvent[] = [];
  const generators = Array.from(
    { length: plan.processes },
    () =>
      new SequenceGenerator({
        clock,
        counters: new SimulatedCounterStore(redis, clock, random, plan.rates),
        ledger,
        timeoutMs: 30_000,
        ledgerOutage: 'refuse',
        onEvent: (event) => events.push(event),
        reservation: { kind: 'adaptive', initial: 4, max: 32, growBelowMs: 50, shrinkAboveMs: 500 },
      }),
  );
  let running = true;
  const caller = async (generator: SequenceGenerator) => {
    for (let index = 0; index < plan.callsPerProcess; index += 1) {
      const of = groupChat(`g${random.below(plan.conversations)}`);
      const count = random.chance(0.2) ? 1 + random.below(20) : 1;
      const start = clock.monotonicMs();
      const timeoutMs = random.chance(0.05) ? 5 : 30_000;
      const numbers = await generator.nextMany(of, count, { timeoutMs }).catch(() => undefined);
      calls.push({ conversation: of.key, start, end: clock.monotonicMs(), numbers, count });
      if (random.chance(0.3)) await clock.sleep(random.next() * 20);
    }
  };
  const chaos = async () => {
    while (running && plan.faultEveryMs > 0) {
      await clock.sleep(random.next() * 2 * plan.faultEveryMs);
      if (random.chance(0.5)) redis.replicate();
      await breakSomething(plan.faults[random.below(plan.faults.length)]!, redis, ledger, clock, random);
    }
  };
  const work = Promise.all(generators.flatMap((generator) => [caller(generator), caller(generator)]));
  const breaking = chaos();
  await clock.run(work);
  running = false;
  await clock.run(breaking);
  // Abandoned numbers are recorded in the background.
  await clock.run(clock.sleep(5_000));
  await clock.run(Promise.all(generators.map((generator) => generator.close())));
  const gaps = (
    await Promise.all(
      Array.from({ length: plan.conversations }, (_, index) =>
        ledger.gaps(`group:g${index}`, { from: 1, to: 1e12 - 1, limit: 10_000 }),
      ),
    )
  ).flat();
  return { verdict: judge(calls, gaps), calls, gaps, events };
}

async function breakSomething(
  fault: Plan['faults'][number],
  redis: SimulatedRedis,
  ledger: SimulatedLedger,
  clock: VirtualClock,
  random: Random,
): Promise<void> {
  if (fault === 'failOver') redis.failOver();
  else if (fault === 'flush') redis.flush();
  else if (fault === 'lostWord')
    redis.words.delete([...redis.words.keys()][random.below(redis.words.size)] ?? '');
  else if (fault === 'restart') {
    redis.words.clear();
    redis.restart();
  } else if (fault === 'redisDown') {
    redis.up = false;
    await clock.sleep(random.next() * 200);
    redis.up = true;
  } else {
    ledger.up = false;
    await clock.sleep(random.next() * 200);
    ledger.up = true;
  }
}

async function expectNoViolation(
  plan: Plan,
  seed: number,
  ignoreOrder = false,
): Promise<Awaited<ReturnType<typeof simulate>>> {
  const result = await simulate(seed, plan);
  const { duplicates, regressions, holes } = result.verdict;
  expect({ seed, duplicates, regressions: ignoreOrder ? [] : regressions, holes }).toEqual({
    seed,
    duplicates: [],
    regressions: [],
    holes: [],
  });
  return result;
}

const small = { processes: 3, conversations: 2, callsPerProcess: 30 };

describe(`simulated processes, seeds ${firstSeed}…${firstSeed + runs - 1}`, () => {
  it('P3: without faults the numbers are dense', async () => {
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      const { verdict, calls } = await expectNoViolation(
        { ...small, rates: noFaults, faultEveryMs: 0, faults: [] },
        seed,
      );
      expect(calls.length).toBe(180);
      // Only calls whose short deadline passed may leave numbers behind, and those are recorded.
      if (calls.every((call) => call.numbers !== undefined))
        expect({ seed, missing: verdict.missing }).toEqual({ seed, missing: 0 });
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
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      await expectNoViolation(
        { ...small, callsPerProcess: 60, rates, faultEveryMs: 1_500, faults: ['flush', 'lostWord'] },
        seed,
      );
    }
  });

  it('P1, P4: everything at once, words lost as often as they like', async () => {
    const rates = { lostAfter: 0.03, lostBefore: 0.02, unavailable: 0.02, ledgerFails: 0.02, maxDelayMs: 10 };
    for (let seed = firstSeed; seed < firstSeed + runs / 4; seed += 1) {
      const faults = ['failOver', 'restart', 'flush', 'lostWord', 'redisDown', 'ledgerDown'] as const;
      await expectNoViolation({ ...small, rates, faultEveryMs: 40, faults }, seed, true);
    }
  });
});
