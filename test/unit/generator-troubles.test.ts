import { describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { packWord } from '../../src/core/counter-word.js';
import { TidemarkError } from '../../src/errors.js';
import { failure, g1, simulated } from '../support/generators.js';

describe('what stands in the way at the deadline is the code of the error', () => {
  it('the counter store is down', async () => {
    const { clock, redis, sequences } = simulated();
    await clock.run(sequences.next(g1));
    redis.up = false;
    const error = await clock.run(failure(sequences.next(g1, { timeoutMs: 300 })));
    expect([error.code, error.retryable, error.conversation]).toEqual([
      'counter_unavailable',
      true,
      'group:g1',
    ]);
    expect(error.message).toContain('group:g1');
    expect((await clock.run(failure(sequences.current(g1, { timeoutMs: 300 })))).code).toBe(
      'counter_unavailable',
    );
    redis.up = true;
    expect(await clock.run(sequences.next(g1))).toBe(2);
    await clock.run(sequences.close());
  });

  it('the ledger is down and the conversation is new', async () => {
    const { clock, ledger, sequences, events } = simulated();
    await clock.run(sequences.next(g1));
    ledger.up = false;
    const error = await clock.run(failure(sequences.next(groupChat('new'), { timeoutMs: 300 })));
    expect([error.code, error.conversation]).toEqual(['ledger_unavailable', 'group:new']);
    ledger.up = true;
    expect(await clock.run(sequences.next(groupChat('new')))).toBe(1);
    expect(events.filter((event) => event.type === 'store').map((event) => event.status)).toEqual([
      'down',
      'up',
    ]);
    await clock.run(sequences.close());
  });

  it('nothing but slowness', async () => {
    const { clock, counters, sequences } = simulated();
    await clock.run(sequences.next(g1));
    counters.take = () => new Promise(() => undefined);
    const one = failure(sequences.next(g1, { timeoutMs: 100 }));
    const many = failure(sequences.nextMany(g1, 5, { timeoutMs: 200 }));
    expect((await clock.run(one)).code).toBe('deadline_exceeded');
    expect(clock.monotonicMs()).toBeLessThan(300);
    expect((await clock.run(many)).code).toBe('deadline_exceeded');
    counters.read = () => new Promise(() => undefined);
    expect((await clock.run(failure(sequences.current(g1, { timeoutMs: 100 })))).code).toBe(
      'deadline_exceeded',
    );
  });

  it('the counter store may not be used at all: at once', async () => {
    const { clock, counters, sequences } = simulated();
    await clock.run(sequences.next(g1));
    counters.take = () => Promise.reject(new TidemarkError('counter_unsupported', 'too old'));
    expect((await clock.run(failure(sequences.next(g1)))).code).toBe('counter_unsupported');
    counters.take = () => Promise.reject(new TypeError('a fault of ours'));
    const error = await clock.run(failure(sequences.next(g1)));
    expect([error.code, (error.cause as Error).name]).toEqual(['internal', 'TypeError']);
  });
});

describe('the end of the series and content that makes no sense', () => {
  it('ends at 10^12 − 1: smaller requests still get the last numbers', async () => {
    const { clock, redis, ledger, sequences } = simulated();
    const generation = await clock.run(ledger.registerHistory(redis.history));
    const nearEnd = { last: 999_999_999_990, remaining: 0 };
    const policy = { kind: 'fixed', size: 6 } as const;
    redis.words.set(`group:g1@${generation}`, packWord(nearEnd));
    await clock.run(
      ledger.reserve([{ conversation: 'group:g1', generation, saw: nearEnd, need: 1, policy }]),
    );
    expect(await clock.run(sequences.nextMany(g1, 5))).toEqual({
      first: 999_999_999_991,
      last: 999_999_999_995,
    });
    const error = await clock.run(failure(sequences.nextMany(g1, 5)));
    expect([error.code, error.retryable, error.conversation]).toEqual(['exhausted', false, 'group:g1']);
    expect(await clock.run(sequences.nextMany(g1, 4))).toEqual({
      first: 999_999_999_996,
      last: 999_999_999_999,
    });
    expect((await clock.run(failure(sequences.next(g1)))).code).toBe('exhausted');
    expect(await clock.run(sequences.current(g1))).toBe(999_999_999_999);
    ledger.up = false;
    await clock.run(failure(sequences.next(groupChat('new'), { timeoutMs: 100 })));
    expect((await clock.run(failure(sequences.next(g1)))).code).toBe('exhausted');
  });

  it('a word that is none, a ledger entry that is none: an error for its callers, the others go on', async () => {
    const { clock, redis, ledger, sequences } = simulated();
    await clock.run(sequences.next(g1));
    const key = [...redis.words.keys()][0]!;
    redis.words.set(key, -5);
    for (const call of [
      () => sequences.next(g1),
      () => sequences.current(g1),
      () => sequences.inspect(g1),
      () => sequences.recover(g1),
    ]) {
      const error = await clock.run(failure(call()));
      expect([error.code, error.retryable, error.conversation]).toEqual([
        'counter_corrupt',
        false,
        'group:g1',
      ]);
    }
    expect(redis.words.get(key)).toBe(-5);
    ledger.reserve = async (requests) => requests.map(() => ({ status: 'corrupt', found: 'ceiling -1' }));
    const error = await clock.run(failure(sequences.next(groupChat('g2'))));
    expect([error.code, error.conversation]).toEqual(['ledger_corrupt', 'group:g2']);
    expect(error.message).toContain('ceiling -1');
  });
});

describe('grants whose reply is lost', () => {
  it('I5: an install that may have run is not sent again, its word may have been lost since', async () => {
    const { clock, redis, counters, sequences } = simulated();
    const grant = counters.grant.bind(counters);
    let isLost = true;
    counters.grant = async (...args) => {
      const reply = await grant(...args);
      if (!isLost) return reply;
      isLost = false;
      // It ran, somebody else took a number, and then the word was lost.
      const other = counters.take(args[0], [{ conversation: 'group:g1', count: 1 }]);
      expect(await other).toMatchObject({ results: [{ status: 'taken', word: { last: 1 } }] });
      redis.flush();
      return { status: 'lost', cause: 'planned' };
    };
    expect(await clock.run(sequences.next(g1))).toBe(65);
    expect(await clock.run(sequences.gaps(g1))).toMatchObject([{ first: 1, last: 64, reason: 'word_lost' }]);
    await clock.run(sequences.close());
  });

  it('P3: grants that certainly did not run are sent again, and nothing is skipped', async () => {
    const { clock, counters, sequences } = simulated();
    const grant = counters.grant.bind(counters);
    let refusals = 5;
    counters.grant = (...args) => {
      refusals -= 1;
      return refusals < 0
        ? grant(...args)
        : Promise.reject(new TidemarkError('counter_unavailable', 'planned'));
    };
    expect(await clock.run(sequences.next(g1))).toBe(1);
    await clock.run(sequences.close());
  });
});

describe('outages of the ledger (P6)', () => {
  it('continue: warm conversations go on unbacked, and are backed when it returns', async () => {
    const { clock, redis, ledger, events, sequences } = simulated({
      reservation: { kind: 'fixed', size: 4 },
    });
    await clock.run(sequences.next(g1));
    ledger.up = false;
    const numbers = [];
    for (let call = 0; call < 20; call += 1) numbers.push(await clock.run(sequences.next(g1)));
    expect(numbers).toEqual(Array.from({ length: 20 }, (_, index) => index + 2));
    expect(events.some((event) => event.type === 'unbacked')).toBe(true);
    ledger.up = true;
    await clock.run(clock.sleep(3_000));
    expect(events.filter((event) => event.type === 'backed')).toMatchObject([{ conversation: 'group:g1' }]);
    const word = redis.words.values().next().value! % 1e12;
    expect(word).toBe(21);
    const entry = (await clock.run(ledger.load(['group:g1'])))[0]!;
    expect(entry.ceiling).toBeGreaterThanOrEqual(21);
    // Redis fails only now: nothing is repeated.
    redis.words.clear();
    redis.restart();
    expect(await clock.run(sequences.next(g1))).toBeGreaterThan(21);
    await clock.run(sequences.close());
  });

  it('continue: what this process issued unbacked is not repeated even if Redis fails in that very window', async () => {
    const { clock, redis, ledger, sequences } = simulated({ reservation: { kind: 'fixed', size: 4 } });
    await clock.run(sequences.next(g1));
    ledger.up = false;
    let last = 0;
    for (let call = 0; call < 20; call += 1) last = await clock.run(sequences.next(g1));
    redis.words.clear();
    redis.restart();
    const next = sequences.next(g1, { timeoutMs: 20_000 });
    await clock.run(clock.sleep(1_000));
    ledger.up = true;
    expect(await clock.run(next)).toBeGreaterThan(last);
    await clock.run(sequences.close());
  });

  it('a generator that is closed while conversations are unbacked keeps no process alive', async () => {
    const { clock, ledger, events, sequences } = simulated({ reservation: { kind: 'fixed', size: 2 } });
    await clock.run(sequences.next(g1));
    ledger.up = false;
    for (let call = 0; call < 10; call += 1) await clock.run(sequences.next(g1));
    expect(events.some((event) => event.type === 'unbacked')).toBe(true);
    await clock.run(sequences.close());
    // A look at the ledger may be under way; it ends, and nothing follows.
    await clock.run(clock.sleep(5_000));
    expect(clock.timers).toBe(0);
  });

  it('refuse: waits until the deadline, and issues nothing that the ledger does not know', async () => {
    const { clock, redis, ledger, sequences, events } = simulated({
      ledgerOutage: 'refuse',
      reservation: { kind: 'fixed', size: 4 },
    });
    await clock.run(sequences.next(g1));
    ledger.up = false;
    const results = await clock.run(
      Promise.allSettled(Array.from({ length: 10 }, () => sequences.next(g1, { timeoutMs: 500 }))),
    );
    expect(
      results.every(
        (result) =>
          result.status === 'rejected' && (result.reason as TidemarkError).code === 'ledger_unavailable',
      ),
    ).toBe(true);
    expect(events.some((event) => event.type === 'unbacked')).toBe(false);
    expect(redis.words.values().next().value! % 1e12).toBeLessThanOrEqual(4);
    ledger.up = true;
    await clock.run(sequences.next(g1));
    await clock.run(sequences.close());
  });

  it('a ledger that does not answer counts as down after ledgerPatienceMs', async () => {
    const { clock, ledger, sequences, events } = simulated({
      reservation: { kind: 'fixed', size: 2 },
      ledgerPatienceMs: 50,
    });
    await clock.run(sequences.next(g1));
    ledger.reserve = () => new Promise(() => undefined);
    ledger.load = () => new Promise(() => undefined);
    const before = clock.monotonicMs();
    for (let call = 2; call <= 12; call += 1) expect(await clock.run(sequences.next(g1))).toBe(call);
    expect(clock.monotonicMs() - before).toBeLessThan(500);
    expect(events.some((event) => event.type === 'unbacked')).toBe(true);
  });
});
