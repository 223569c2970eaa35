import { describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { SequenceGenerator } from '../../src/core/sequence-generator.js';
import { embedded, failure, g1, simulated } from '../support/generators.js';
import { Random } from '../support/random.js';
import { SimulatedCounterStore } from '../support/simulated-counter-store.js';
import { noFaults, unavailable } from '../support/simulated-faults.js';

const everything = { from: 1, to: 1_000, limit: 100 };

/** A generator on virtual time, with five numbers of its first block of 64 issued. */
async function used() {
  const generator = simulated({ timeoutMs: 2_000 });
  const { clock, sequences, ledger } = generator;
  const run = <T>(work: Promise<T>) => clock.run(work);
  await run(sequences.nextMany(g1, 5));
  const gaps = async () =>
    (await ledger.gaps(g1.key, everything)).map(({ first, last, reason }) => [first, last, reason]);
  return { ...generator, run, gaps };
}

/** Before the next call of a method, something happens. */
function beforeNext<Name extends 'read' | 'drain'>(
  counters: SimulatedCounterStore,
  name: Name,
  happens: () => void,
): void {
  const original = counters[name].bind(counters) as (...parts: unknown[]) => unknown;
  counters[name] = ((...parts: unknown[]) => {
    counters[name] = original as never;
    happens();
    return original(...parts);
  }) as never;
}

describe('handing back', () => {
  it('the next number is the last one plus one, and the next block is as large as what went back', async () => {
    const { run, sequences, events, redis, gaps } = await used();
    expect(await run(sequences.drain(g1))).toEqual({ conversations: 1, numbers: 59, busy: [] });
    expect([redis.words.size, await run(sequences.current(g1))]).toEqual([0, 5]);
    expect(events.filter(({ type }) => type === 'drained')).toEqual([
      { type: 'drained', conversations: 1, numbers: 59 },
    ]);
    expect(await run(sequences.next(g1))).toBe(6);
    expect(await run(sequences.ledgerEntry(g1))).toMatchObject({ ceiling: 69, floor: 5, frozenUntilMs: 0 });
    expect(await gaps()).toEqual([]);
    await run(sequences.close());
  });

  it('what was never used has nothing to hand back', async () => {
    const { run, sequences } = await used();
    const nothing = { conversations: 0, numbers: 0, busy: [] };
    expect(await run(sequences.drain(groupChat('new')))).toEqual(nothing);
    expect(await run(sequences.drainAll({ type: 'channel' }))).toEqual(nothing);
    expect(await run(failure(sequences.drainAll({ type: 'a:b' })))).toMatchObject({
      code: 'invalid_conversation',
    });
    await run(sequences.close());
  });

  it('two that drain at once hand back once', async () => {
    const { run, clock, redis, ledger, sequences, gaps } = await used();
    const counters = new SimulatedCounterStore(redis, clock, new Random(2), noFaults);
    const other = new SequenceGenerator({ clock, counters, ledger });
    const reports = await run(Promise.all([sequences.drain(g1), other.drain(g1)]));
    expect(reports.map(({ numbers }) => numbers).sort()).toEqual([0, 59]);
    expect([await run(other.next(g1)), await gaps()]).toEqual([6, []]);
    await run(Promise.all([sequences.close(), other.close()]));
  });

  it('in the memory of the process', async () => {
    const { sequences, ledger } = embedded();
    await sequences.nextMany(g1, 5);
    expect(await sequences.drain(g1)).toEqual({ conversations: 1, numbers: 59, busy: [] });
    expect(await ledger.load([g1.key])).toMatchObject([{ ceiling: 5, floor: 5 }]);
    expect(await sequences.next(g1)).toBe(6);
    await sequences.close();
  });
});

describe('what comes in between', () => {
  it.each(['read', 'drain'] as const)(
    'the history gets another name before %s: it is tried again',
    async (at) => {
      const { run, counters, redis, sequences, gaps } = await used();
      beforeNext(counters, at, () => redis.rename());
      expect(await run(sequences.drainAll())).toEqual({ conversations: 1, numbers: 59, busy: [] });
      expect([await run(sequences.next(g1)), await gaps()]).toEqual([6, []]);
      await run(sequences.close());
    },
  );

  it('the store is out of reach: an error, not waiting for ever', async () => {
    const { run, clock, redis, sequences } = await used();
    redis.restart();
    redis.up = false;
    const startedAtMs = clock.monotonicMs();
    expect(await run(failure(sequences.drainAll()))).toMatchObject({ code: 'counter_unavailable' });
    expect(clock.monotonicMs() - startedAtMs).toBeLessThan(2_200);
    await run(sequences.close());
  });

  it('a block that is reserved and not granted is granted first, and goes back, too', async () => {
    const { run, ledger, sequences, gaps } = await used();
    const saw = { last: 5, remaining: 59 };
    const policy = { kind: 'fixed', size: 64 } as const;
    await run(ledger.reserve([{ conversation: g1.key, generation: 1, saw, need: 1, policy }]));
    expect(await run(sequences.drainAll())).toEqual({ conversations: 1, numbers: 123, busy: [] });
    expect([await run(sequences.next(g1)), await gaps()]).toEqual([6, []]);
    await run(sequences.close());
  });

  it('the ledger is lost before the numbers are back: one gap', async () => {
    const { run, ledger, sequences, gaps } = await used();
    const { handBack } = ledger;
    ledger.handBack = () => Promise.reject(unavailable('ledger_unavailable'));
    expect(await run(failure(sequences.drain(g1)))).toMatchObject({ code: 'ledger_unavailable' });
    ledger.handBack = handBack;
    expect(await run(sequences.next(g1))).toBe(65);
    expect(await gaps()).toEqual([[1, 64, 'word_lost']]);
    await run(sequences.close());
  });

  it('who drains all gives up: no further page', async () => {
    const { clock, sequences, redis } = simulated();
    const of = Array.from({ length: 600 }, (_, index) => groupChat(`c${index}`));
    await clock.run(Promise.all(of.map((one) => sequences.next(one))));
    const giveUp = new AbortController();
    const onProgress = () => giveUp.abort();
    const error = await clock.run(failure(sequences.drainAll({ signal: giveUp.signal, onProgress })));
    expect(error.code).toBe('aborted');
    await clock.run(clock.sleep(1_000));
    expect(redis.words.size).toBe(350);
    await clock.run(sequences.close());
  });
});
