import { describe, expect, it } from 'vitest';
import type { Conversation } from '../../src/core/conversation.js';
import { embedded, failure, g1, simulated } from '../support/generators.js';

describe('calls', () => {
  it('gives ranges and single numbers from one series', async () => {
    const { sequences } = embedded();
    expect(await sequences.nextMany(g1, 1_000)).toEqual({ first: 1, last: 1_000 });
    expect(await sequences.next(g1)).toBe(1_001);
    expect(
      await Promise.all([sequences.nextMany(g1, 999), sequences.nextMany(g1, 2), sequences.next(g1)]),
    ).toEqual([{ first: 1_002, last: 2_000 }, { first: 2_001, last: 2_002 }, 2_003]);
    await sequences.close();
  });

  it.each([0, 1_001, 1.5, Number.NaN, '3', undefined])('refuses a count of %s', async (count) => {
    const { sequences } = embedded();
    const error = await failure(sequences.nextMany(g1, count as number));
    expect([error.code, error.retryable]).toEqual(['invalid_argument', false]);
    expect(await sequences.current(g1)).toBe(0);
    await sequences.close();
  });

  it.each([undefined, null, 'group:g1', {}, { key: 'group:g1' }])(
    'refuses %j as a conversation',
    async (of) => {
      const { sequences } = embedded();
      for (const call of [
        sequences.next(of as Conversation),
        sequences.nextMany(of as Conversation, 2),
        sequences.current(of as Conversation),
        sequences.gaps(of as Conversation),
        sequences.inspect(of as Conversation),
        sequences.recover(of as Conversation),
        sequences.ledgerEntry(of as Conversation),
      ]) {
        expect((await failure(call)).code).toBe('invalid_conversation');
      }
      await sequences.close();
    },
  );

  it('refuses bad deadlines and ranges', async () => {
    const { sequences } = embedded();
    for (const timeoutMs of [0, -1, 0.5, 600_001, Number.NaN]) {
      expect((await failure(sequences.next(g1, { timeoutMs }))).code).toBe('invalid_argument');
      expect((await failure(sequences.current(g1, { timeoutMs }))).code).toBe('invalid_argument');
    }
    for (const range of [{ from: 0 }, { from: 5, to: 4 }, { to: 1e12 }, { limit: 0 }, { limit: 10_001 }]) {
      expect((await failure(sequences.gaps(g1, range))).code).toBe('invalid_argument');
    }
    expect((await failure(sequences.ledgerEntries('No Type'))).code).toBe('invalid_conversation');
    expect((await failure(sequences.ledgerEntries('group', { limit: 1_001 }))).code).toBe('invalid_argument');
    await sequences.close();
  });

  it('refuses more calls than maxCalls at once, and takes calls again when some are done', async () => {
    const { sequences } = embedded({ maxCalls: 3 });
    const calls = [1, 2, 3].map(() => sequences.next(g1));
    const error = await failure(sequences.next(g1));
    expect([error.code, error.retryable, error.conversation]).toEqual(['overloaded', true, 'group:g1']);
    expect(await Promise.all(calls)).toEqual([1, 2, 3]);
    expect(await sequences.next(g1)).toBe(4);
    await sequences.close();
  });

  it('gives up on an aborted signal: before, while waiting, and under way', async () => {
    const { clock, sequences, ledger } = simulated();
    expect((await failure(sequences.next(g1, { signal: AbortSignal.abort('no') }))).code).toBe('aborted');
    expect((await failure(sequences.current(g1, { signal: AbortSignal.abort('no') }))).code).toBe('aborted');
    const waiting = new AbortController();
    const call = failure(sequences.next(g1, { signal: waiting.signal }));
    waiting.abort();
    expect((await call).code).toBe('aborted');
    expect(await clock.run(sequences.next(g1))).toBe(1);
    const underWay = new AbortController();
    const given = failure(sequences.nextMany(g1, 3, { signal: underWay.signal }));
    const kept = sequences.next(g1);
    await clock.run(clock.sleep(0));
    underWay.abort();
    expect((await given).code).toBe('aborted');
    // The numbers were compacted to the front; what nobody received is recorded as never issued.
    expect(await clock.run(kept)).toBe(2);
    await clock.run(clock.sleep(100));
    expect(await ledger.gaps('group:g1', { from: 1, to: 100, limit: 10 })).toMatchObject([
      { first: 3, last: 5, reason: 'abandoned', certain: true },
    ]);
    expect(await clock.run(sequences.next(g1))).toBe(6);
    const looking = new AbortController();
    const look = failure(sequences.current(g1, { signal: looking.signal }));
    looking.abort();
    expect((await clock.run(look)).code).toBe('aborted');
    await clock.run(sequences.close());
  });

  it('P2: numbers of callers that gave up do not go to calls that came later', async () => {
    const { clock, sequences } = simulated();
    await clock.run(sequences.next(g1));
    const controller = new AbortController();
    const given = failure(sequences.next(g1, { signal: controller.signal }));
    await clock.run(clock.sleep(0));
    const later = sequences.next(g1);
    controller.abort();
    await given;
    expect(await clock.run(later)).toBe(3);
    await clock.run(sequences.close());
  });
});

describe('order inside a process', () => {
  it('P2: order of arrival is order of numbers, also when a take was refused and others came meanwhile', async () => {
    const { clock, sequences } = simulated({ reservation: { kind: 'fixed', size: 1 } });
    const numbers: Promise<number>[] = [];
    for (let call = 0; call < 40; call += 1) {
      numbers.push(sequences.next(g1));
      if (call % 3 === 0) await clock.run(clock.sleep(1));
    }
    expect(await clock.run(Promise.all(numbers))).toEqual(
      Array.from({ length: 40 }, (_, index) => index + 1),
    );
    await clock.run(sequences.close());
  });

  it('P2: order of arrival is order of numbers, also when the store is out of reach in between', async () => {
    const { clock, redis, sequences } = simulated();
    await clock.run(sequences.next(g1));
    redis.up = false;
    const numbers: Promise<number>[] = [];
    for (let call = 0; call < 40; call += 1) {
      numbers.push(sequences.next(g1));
      await clock.run(clock.sleep(10));
      if (call === 30) redis.up = true;
    }
    expect(await clock.run(Promise.all(numbers))).toEqual(
      Array.from({ length: 40 }, (_, index) => index + 2),
    );
    await clock.run(sequences.close());
  });
});

describe('a busy generator in memory', () => {
  it('leaves turns of the event loop to timers and to the ledger', async () => {
    const { sequences } = embedded();
    let isOver = false;
    const timer = setTimeout(() => {
      isOver = true;
    }, 1);
    let calls = 0;
    const caller = async () => {
      while (!isOver && calls < 1_000_000) {
        calls += 1;
        await sequences.next(g1);
      }
    };
    await Promise.all(Array.from({ length: 100 }, caller));
    clearTimeout(timer);
    expect(calls).toBeLessThan(1_000_000);
    await sequences.close();
  });
});
