import { describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import type { Gap } from '../../src/core/ledger.js';
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
  readonly ledgerOutage?: 'continue' | 'refuse';
  /** A fault of Redis, the ledger or a process as a whole, once in so many virtual milliseconds; 0 for none. */
  readonly faultEveryMs: number;
  /** The least time between two faults, in virtual milliseconds. */
  readonly faultSpacingMs?: number;
  readonly faults: readonly Fault[];
}

type Fault =
  | 'failOver'
  | 'restart'
  | 'flush'
  | 'redisDown'
  | 'ledgerDown'
  | 'lostWord'
  | 'splitBrain'
  | 'crash';

/** One generator and the promise that rejects when its process dies. */
interface Process {
  counters: SimulatedCounterStore;
  generator: SequenceGenerator;
  died: Promise<never>;
  die: () => void;
  diedAtMs: number;
}

class Simulation {
  readonly random: Random;
  readonly clock = new VirtualClock();
  readonly ledger: SimulatedLedger;
  readonly calls: CallRecord[] = [];
  readonly events: TidemarkEvent[] = [];
  readonly processes: Process[];
  readonly #failed: { call: { callerDied: boolean; end: number }; process: Process }[] = [];
  readonly #plan: Plan;
  #primary = new SimulatedRedis();
  #running = true;

  constructor(seed: number, plan: Plan) {
    this.#plan = plan;
    this.random = new Random(seed);
    this.ledger = new SimulatedLedger(this.clock, this.random, plan.rates);
    this.processes = Array.from({ length: plan.processes }, () => this.#startProcess());
  }

  async run(): Promise<void> {
    const { clock } = this;
    const work = Promise.all(
      this.processes.flatMap((_, index) => [this.#caller(index), this.#caller(index)]),
    );
    const breaking = this.#breakThings();
    await clock.run(work);
    this.#running = false;
    await clock.run(breaking);
    // Abandoned numbers are recorded in the background.
    await clock.run(clock.sleep(5_000));
    await clock.run(Promise.all(this.processes.map(({ generator }) => generator.close())));
    this.#countRecordsThatDied();
  }

  /**
   * A caller that gave up leaves numbers that its process records soon. If the process dies before that, the record dies
   * with it, as numbers in the hands of callers do (P3).
   */
  #countRecordsThatDied(): void {
    for (const { call, process } of this.#failed) {
      if (process.diedAtMs - call.end < recordDelayMs) call.callerDied = true;
    }
  }

  async gaps(): Promise<readonly Gap[]> {
    const all = { from: 1, to: 1e12 - 1, limit: 10_000 };
    const names = Array.from({ length: this.#plan.conversations }, (_, index) => `group:g${index}`);
    return (await Promise.all(names.map((name) => this.ledger.gaps(name, all)))).flat();
  }

  #startProcess(): Process {
    const { clock, random, ledger } = this;
    const counters = new SimulatedCounterStore(this.#primary, clock, random, this.#plan.rates);
    const generator = new SequenceGenerator({
      clock,
      counters,
      ledger,
      timeoutMs: 30_000,
      ledgerOutage: this.#plan.ledgerOutage ?? 'refuse',
      onEvent: (event) => this.events.push(event),
      reservation: { kind: 'adaptive', initial: 4, max: 32, growBelowMs: 50, shrinkAboveMs: 500 },
    });
    let die = () => {};
    const died = new Promise<never>((_, reject) => {
      die = () => reject(dead);
    });
    died.catch(() => undefined);
    return { counters, generator, died, die, diedAtMs: Number.POSITIVE_INFINITY };
  }

  async #caller(index: number): Promise<void> {
    const { clock, random } = this;
    for (let call = 0; call < this.#plan.callsPerProcess; call += 1) {
      const process = this.processes[index]!;
      const { generator, died } = process;
      const of = groupChat(`g${random.below(this.#plan.conversations)}`);
      const count = random.chance(0.2) ? 1 + random.below(20) : 1;
      const start = clock.monotonicMs();
      const timeoutMs = random.chance(0.05) ? 5 : 30_000;
      let callerDied = false;
      const numbers = await Promise.race([generator.nextMany(of, count, { timeoutMs }), died]).catch(
        (error) => {
          callerDied = error === dead;
          return undefined;
        },
      );
      const call = { conversation: of.key, start, end: clock.monotonicMs(), numbers, count, callerDied };
      this.calls.push(call);
      if (numbers === undefined) this.#failed.push({ call, process });
      if (random.chance(0.3)) await clock.sleep(random.next() * 20);
    }
  }

  async #breakThings(): Promise<void> {
    const { faultEveryMs, faultSpacingMs = 0, faults } = this.#plan;
    while (this.#running && faultEveryMs > 0) {
      await this.clock.sleep(faultSpacingMs + this.random.next() * 2 * faultEveryMs);
      if (this.random.chance(0.5)) this.#primary.replicate();
      await this.#break(faults[this.random.below(faults.length)]!);
    }
  }

  async #break(fault: Fault): Promise<void> {
    const { random } = this;
    const redis = this.#primary;
    if (fault === 'failOver') redis.failOver();
    else if (fault === 'flush') redis.flush();
    else if (fault === 'lostWord')
      redis.words.delete([...redis.words.keys()][random.below(redis.words.size)] ?? '');
    else if (fault === 'restart') {
      redis.words.clear();
      redis.restart();
    } else if (fault === 'crash') this.#crash(random.below(this.processes.length));
    else if (fault === 'splitBrain') await this.#splitBrain();
    else {
      const victim = fault === 'redisDown' ? redis : this.ledger;
      victim.up = false;
      await this.clock.sleep(random.next() * 200);
      victim.up = true;
    }
  }

  #crash(index: number): void {
    const process = this.processes[index]!;
    process.counters.kill();
    process.diedAtMs = this.clock.monotonicMs();
    process.die();
    this.processes[index] = this.#startProcess();
  }

  /** Some processes stay on the old primary for a while, and believe in it. */
  async #splitBrain(): Promise<void> {
    this.#primary = this.#primary.split();
    for (const { counters } of this.processes) if (this.random.chance(0.5)) counters.redis = this.#primary;
    await this.clock.sleep(this.random.next() * 300);
    for (const { counters } of this.processes) counters.redis = this.#primary;
  }
}

const dead = new Error('the process died');
/** Longest that the record of abandoned numbers takes in these runs, in virtual milliseconds. */
const recordDelayMs = 100;

async function simulate(seed: number, plan: Plan) {
  const simulation = new Simulation(seed, plan);
  await simulation.run();
  const gaps = await simulation.gaps();
  const { calls, events } = simulation;
  return { verdict: judge(calls, gaps), calls, gaps, events };
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
      const plan: Plan = {
        ...small,
        callsPerProcess: 60,
        rates,
        ledgerOutage: 'continue',
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
