import { describe, expect, it } from 'vitest';
import type { TidemarkEvent } from '../../src/core/events.js';
import type { GeneratorOptions } from '../../src/core/options.js';
import { SequenceGenerator } from '../../src/core/sequence-generator.js';
import { failure, g1, simulated } from '../support/generators.js';
import { Random } from '../support/random.js';
import { SimulatedCounterStore } from '../support/simulated-counter-store.js';
import { noFaults } from '../support/simulated-faults.js';

/** One process stays on the old primary, the other one has left for its replica, which was promoted. */
async function split(options: Partial<GeneratorOptions> = {}) {
  const isolated = simulated({ timeoutMs: 1_000, ...options });
  const { clock, ledger, redis } = isolated;
  const run = <T>(work: Promise<T>) => clock.run(work);
  await run(isolated.sequences.next(g1));
  redis.replicate();
  const promoted = redis.split();
  const counters = new SimulatedCounterStore(promoted, clock, new Random(2), noFaults);
  const moved = new SequenceGenerator({ clock, counters, ledger });
  await run(moved.next(g1));
  const pass = (ms: number) => run(clock.sleep(ms));
  return { ...isolated, run, pass, promoted, moved, movedCounters: counters };
}

function fencesOf(events: readonly TidemarkEvent[]) {
  return events.filter(({ type }) => type === 'fenced');
}

describe('I6: a process on an old primary', () => {
  it('issues nothing more when it has looked, although its block would last', async () => {
    const { run, pass, sequences, moved, events } = await split();
    await pass(1_100);
    expect(fencesOf(events)).toEqual([
      { type: 'fenced', conversation: undefined, generation: 1, newerGeneration: 2 },
    ]);
    expect(await run(failure(sequences.next(g1)))).toMatchObject({ code: 'fenced' });
    await run(Promise.all([sequences.close(), moved.close()]));
  });

  it('goes on without the look', async () => {
    const { run, pass, sequences, moved, events } = await split({ fenceCheckMs: 0 });
    await pass(10_000);
    expect(await run(sequences.next(g1))).toBe(2);
    expect(fencesOf(events)).toEqual([]);
    await run(Promise.all([sequences.close(), moved.close()]));
  });

  it('stays fenced as long as somebody lives on the new one, and goes on there when it finds it', async () => {
    const { run, pass, sequences, counters, promoted, moved, events } = await split();
    await pass(30_000);
    expect(await run(failure(sequences.next(g1)))).toMatchObject({ code: 'fenced' });
    counters.redis = promoted;
    const after = await run(moved.next(g1));
    expect(await run(sequences.next(g1))).toBe(after + 1);
    expect(fencesOf(events)).toHaveLength(1);
    await run(Promise.all([sequences.close(), moved.close()]));
  });

  it('goes on in a further generation when nobody was seen on the new one for 5 s', async () => {
    const { run, pass, clock, sequences, moved, events } = await split();
    await run(moved.close());
    const leftAtMs = clock.monotonicMs();
    await pass(2_000);
    expect(await run(failure(sequences.next(g1)))).toMatchObject({ code: 'fenced' });
    expect(await run(sequences.next(g1, { timeoutMs: 10_000 }))).toBe(129);
    expect(clock.monotonicMs() - leftAtMs).toBeGreaterThan(4_000);
    expect(clock.monotonicMs() - leftAtMs).toBeLessThan(7_000);
    expect(events.filter(({ type }) => type === 'generation').at(-1)).toMatchObject({ generation: 3 });
    const gaps = await sequences.gaps(g1);
    expect(gaps.map(({ first, last, reason }) => [first, last, reason])).toEqual([
      [1, 64, 'history_lost'],
      [65, 128, 'history_lost'],
    ]);
    await run(sequences.close());
  });

  it('goes on while the ledger is out of reach, and is fenced when it is back', async () => {
    const { run, pass, ledger, sequences, moved, events } = await split();
    ledger.up = false;
    await pass(5_000);
    expect(await run(sequences.next(g1))).toBe(2);
    expect(fencesOf(events)).toEqual([]);
    ledger.up = true;
    await pass(1_100);
    expect(fencesOf(events)).toHaveLength(1);
    await run(Promise.all([sequences.close(), moved.close()]));
  });

  it.each([0, 2_000])('does not take turns with the new one (fenceCheckMs %d)', async (fenceCheckMs) => {
    const reservation = { kind: 'fixed', size: 8 } as const;
    const { run, pass, sequences, moved, events } = await split({ fenceCheckMs, reservation });
    let issued = 0;
    for (let turn = 0; turn < 300; turn += 1) {
      const none = () => undefined;
      await run(sequences.next(g1, { timeoutMs: 100 }).then(() => (issued += 1), none));
      await run(moved.next(g1, { timeoutMs: 100 }));
      await pass(100);
    }
    expect(issued).toBeLessThan(8);
    const generations = events.filter(({ type }) => type === 'generation');
    expect([generations.length, (await run(moved.gaps(g1))).length]).toEqual([1, 1]);
    await run(Promise.all([sequences.close(), moved.close()]));
  });

  it('is not fenced by somebody who only looks at another store', async () => {
    const { clock, ledger, redis, sequences, events } = simulated();
    const run = <T>(work: Promise<T>) => clock.run(work);
    await run(sequences.next(g1));
    const counters = new SimulatedCounterStore(redis.split(), clock, new Random(2), noFaults);
    const looking = new SequenceGenerator({ clock, counters, ledger });
    expect(await run(looking.current(g1))).toBe(0);
    await run(clock.sleep(3_000));
    expect(fencesOf(events)).toEqual([]);
    expect(await run(sequences.next(g1))).toBe(2);
    await run(Promise.all([sequences.close(), looking.close()]));
  });
});

describe('a process that has nothing to do', () => {
  it('meets another history by itself', async () => {
    const { clock, redis, sequences, events } = simulated();
    await clock.run(sequences.next(g1));
    redis.restart();
    await clock.run(clock.sleep(1_100));
    const generations = events.filter((event) => event.type === 'generation');
    expect(generations.map(({ generation }) => generation)).toEqual([1, 2]);
    await clock.run(sequences.close());
  });

  it('looks as often as it is told to, tells the ledger that it lives, and stops when it is closed', async () => {
    const { clock, ledger, sequences } = simulated({ fenceCheckMs: 200 });
    const looks: (number | undefined)[] = [];
    const { keepAlive } = ledger;
    ledger.keepAlive = (generation) => {
      looks.push(generation);
      return keepAlive.call(ledger, generation);
    };
    await clock.run(sequences.next(g1));
    await clock.run(clock.sleep(2_000));
    expect(looks.length).toBeGreaterThanOrEqual(8);
    expect(looks.length).toBeLessThanOrEqual(10);
    expect(new Set(looks)).toEqual(new Set([1]));
    await clock.run(sequences.close());
    expect(clock.timers).toBe(0);
  });
});
