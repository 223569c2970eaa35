import { describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { TidemarkError } from '../../src/errors.js';
import { g1, simulated } from '../support/generators.js';

/** A generator whose store says that these conversations are idle, and when it was asked. */
function idling(idleAfterMs: number | undefined, idle: readonly string[] = []) {
  const generator = simulated(idleAfterMs === undefined ? {} : { idleAfterMs });
  const { clock, counters, sequences } = generator;
  const looks: number[] = [];
  counters.idle = async function* () {
    looks.push(clock.monotonicMs());
    await clock.sleep(10);
    yield idle;
  };
  const run = <T>(work: Promise<T>) => clock.run(work, 10_000_000);
  return { ...generator, run, looks, begin: () => run(sequences.next(g1)) };
}

describe('how often it looks', () => {
  it.each([
    [1_000, 1_000],
    [8_000, 2_000],
    [2_592_000_000, 300_000],
  ])('words that are idle after %d ms: every %d ms', async (idleAfterMs, everyMs) => {
    const { run, clock, looks, begin, sequences } = idling(idleAfterMs);
    await begin();
    await run(clock.sleep(5.5 * everyMs));
    expect(looks).toHaveLength(5);
    expect(looks[4]! - looks[3]!).toBeGreaterThanOrEqual(everyMs);
    expect(looks[4]! - looks[3]!).toBeLessThan(everyMs + 100);
    await run(sequences.close());
  });

  it('never, unless it is told to', async () => {
    const { run, clock, looks, begin, sequences } = idling(undefined);
    await begin();
    await run(clock.sleep(1_000_000));
    expect(looks).toEqual([]);
    await run(sequences.close());
  });
});

it('hands back what is idle, and nothing else', async () => {
  const { run, clock, redis, ledger, events, sequences, begin } = idling(1_000, ['group:idle']);
  await begin();
  await run(sequences.next(groupChat('idle')));
  await run(clock.sleep(1_500));
  expect([...redis.words.keys()]).toEqual(['group:g1@1']);
  expect(events.filter(({ type }) => type === 'drained')).toMatchObject([{ conversations: 1, numbers: 63 }]);
  expect(await run(sequences.next(groupChat('idle')))).toBe(2);
  expect(await ledger.gaps('group:idle', { from: 1, to: 1_000, limit: 10 })).toEqual([]);
  await run(sequences.close());
});

it('looks on after an error, and tells of it', async () => {
  const { run, clock, counters, looks, events, begin, sequences } = idling(1_000);
  const { idle } = counters;
  counters.idle = () => {
    looks.push(clock.monotonicMs());
    throw new TidemarkError('counter_unsupported', 'planned fault');
  };
  await begin();
  await run(clock.sleep(3_500));
  expect(looks).toHaveLength(3);
  const failed = events.filter((event) => event.type === 'idle_failed');
  expect(failed.map(({ cause }) => cause.code)).toEqual(looks.map(() => 'counter_unsupported'));
  counters.idle = idle;
  await run(clock.sleep(2_000));
  expect(looks.length).toBeGreaterThan(3);
  await run(sequences.close());
});

it('close ends a look, and waits for what it is just draining', async () => {
  const { run, clock, counters, redis, ledger, begin, sequences } = idling(1_000);
  let wasAborted: boolean | undefined;
  counters.idle = async function* (_slot, _epoch, _idleMs, signal) {
    yield [g1.key];
    await clock.sleep(1);
    wasAborted = signal.aborted;
    yield ['group:other'];
  };
  await begin();
  await run(sequences.next(groupChat('other')));
  const { freeze } = ledger;
  let closed: Promise<void> | undefined;
  ledger.freeze = (...parts) => {
    closed ??= sequences.close();
    return freeze.apply(ledger, parts);
  };
  await run(clock.sleep(1_100));
  await run(closed!);
  expect(wasAborted).toBeUndefined();
  expect([...redis.words.keys()]).toEqual(['group:other@1']);
  expect(await run(ledger.load([g1.key]))).toMatchObject([{ ceiling: 1, floor: 1 }]);
  expect(clock.timers).toBe(0);
});
