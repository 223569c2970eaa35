import { describe, expect, it, vi } from 'vitest';
import { conversation, groupChat } from '../../src/core/conversation.js';
import type { MessageIdOptions } from '../../src/core/options.js';
import { embedded, failure, g1, simulated } from '../support/generators.js';

describe('one number for a message', () => {
  it('however often it is sent, also at once, and beside calls without an id', async () => {
    const { sequences } = embedded();
    const [a, plain, again, b, many] = await Promise.all([
      sequences.next(g1, { messageId: 'a' }),
      sequences.next(g1),
      sequences.next(g1, { messageId: 'a' }),
      sequences.next(g1, { messageId: 'b' }),
      sequences.nextMany(g1, 3),
    ]);
    expect([a, plain]).toEqual([{ number: 1, repeated: false }, 2]);
    expect(again).toEqual({ number: 1, repeated: true });
    expect([b, many]).toEqual([
      { number: 3, repeated: false },
      { first: 4, last: 6 },
    ]);
    expect(await sequences.next(g1, { messageId: 'b' })).toEqual({ number: 3, repeated: true });
    expect(await sequences.current(g1)).toBe(6);
    await sequences.close();
  });

  it('until the window has passed, which may differ by type', async () => {
    const { clock, sequences } = simulated({
      messageIdWindowMs: 5_000,
      messageIdWindowMsByType: { room: 1_000 },
    });
    const room = conversation('room', 'r');
    const send = (of = g1) => clock.run(sequences.next(of, { messageId: 'm' }));
    await send();
    await send(room);
    await clock.run(clock.sleep(2_000));
    expect(await send()).toEqual({ number: 1, repeated: true });
    expect(await send(room)).toEqual({ number: 2, repeated: false });
    await clock.run(clock.sleep(4_000));
    expect(await send()).toEqual({ number: 2, repeated: false });
    await clock.run(sequences.close());
  });

  it('a caller that gave up gets it when it asks again', async () => {
    const { clock, counters, sequences, ledger } = simulated();
    await clock.run(sequences.next(g1));
    const { take } = counters;
    counters.take = async (...parts) => {
      const reply = await take.apply(counters, parts);
      await clock.sleep(300);
      return reply;
    };
    const error = await clock.run(failure(sequences.next(g1, { messageId: 'm', timeoutMs: 50 })));
    expect(error.code).toBe('deadline_exceeded');
    counters.take = take;
    await clock.run(clock.sleep(500));
    // Nobody knows whether it will ask again.
    expect(await ledger.gaps('group:g1', { from: 1, to: 9, limit: 9 })).toMatchObject([
      { first: 2, last: 2, reason: 'unclaimed', certain: false },
    ]);
    expect(await clock.run(sequences.next(g1, { messageId: 'm' }))).toEqual({ number: 2, repeated: true });
    await clock.run(sequences.close());
  });

  it('bad ids are refused, and nothing is taken', async () => {
    const { sequences } = embedded();
    const bad = ['', 'x'.repeat(256), '€'.repeat(86), '\ud800', 7, null];
    for (const messageId of bad) {
      const error = await failure(sequences.next(g1, { messageId } as MessageIdOptions));
      expect([messageId, error.code]).toEqual([messageId, 'invalid_argument']);
    }
    const misplaced = { messageId: 'm' } as object;
    expect((await failure(sequences.nextMany(g1, 2, misplaced))).code).toBe('invalid_argument');
    expect(await sequences.current(g1)).toBe(0);
    for (const messageId of ['x'.repeat(255), '€'.repeat(85), '\0', ' ']) {
      expect(await sequences.next(g1, { messageId })).toMatchObject({ repeated: false });
    }
    await sequences.close();
  });

  it('options are checked', () => {
    const options = [
      { messageIdWindowMs: 999 },
      { messageIdWindowMsByType: { group: 1e12 } },
      { maxRememberedReceipts: -1 },
      { leaseMs: 0 },
    ];
    for (const option of options) expect(() => embedded(option)).toThrow(/invalid_argument/);
  });
});

describe('after a failover', () => {
  it('receipts that were lost are put back, and an event says how many', async () => {
    const { clock, redis, sequences, events } = simulated();
    for (const messageId of ['a', 'b', 'c']) await clock.run(sequences.next(g1, { messageId }));
    redis.failOver();
    await clock.run(sequences.next(g1));
    await clock.run(clock.sleep(100));
    expect(events.filter(({ type }) => type === 'receipts_restored')).toMatchObject([
      { generation: 2, receipts: 3 },
    ]);
    expect(await clock.run(sequences.next(g1, { messageId: 'b' }))).toEqual({ number: 2, repeated: true });
    await clock.run(sequences.close());
  });

  it('a message id that got a second number before that is told of, once', async () => {
    const { clock, redis, sequences, events } = simulated();
    await clock.run(sequences.next(g1, { messageId: 'm' }));
    for (let failover = 0; failover < 2; failover += 1) {
      redis.failOver();
      // Another process was faster.
      redis
        .claimsOf(0)
        .restore(
          { conversation: 'group:g1', messageId: 'm', number: 70 + failover, ttlMs: 1e6 },
          clock.monotonicMs(),
        );
      await clock.run(sequences.next(g1));
      await clock.run(clock.sleep(100));
    }
    expect(events.filter(({ type }) => type === 'receipt_lost')).toEqual([
      { type: 'receipt_lost', conversation: 'group:g1', messageId: 'm', number: 1, newNumber: 70 },
    ]);
    await clock.run(sequences.close());
  });

  it('a receipt is put back, too, when its number came after the failover was known', async () => {
    const { clock, redis, counters, sequences, events } = simulated();
    await clock.run(sequences.next(g1));
    const take = counters.take.bind(counters);
    const late = vi.spyOn(counters, 'take').mockImplementationOnce(async (epoch, requests) => {
      const reply = await take(epoch, requests);
      await clock.sleep(1_000);
      return reply;
    });
    const sent = sequences.next(g1, { messageId: 'late' });
    await clock.run(clock.sleep(10));
    expect(late).toHaveBeenCalledTimes(1);
    redis.failOver();
    await clock.run(sequences.next(groupChat('g2')));
    await clock.run(clock.sleep(100));
    expect(events.filter(({ type }) => type === 'receipts_restored')).toEqual([]);
    expect(await clock.run(sent)).toEqual({ number: 2, repeated: false });
    await clock.run(clock.sleep(100));
    expect(events.filter(({ type }) => type === 'receipts_restored')).toMatchObject([
      { generation: 2, receipts: 1 },
    ]);
    expect(await clock.run(sequences.next(g1, { messageId: 'late' }))).toEqual({ number: 2, repeated: true });
    await clock.run(sequences.close());
  });

  it('only so many are remembered, and none for longer than its window', async () => {
    const { clock, redis, sequences, events } = simulated({
      maxRememberedReceipts: 2,
      messageIdWindowMs: 2_000,
    });
    const restored = () =>
      events.flatMap((event) => (event.type === 'receipts_restored' ? event.receipts : []));
    for (const messageId of ['a', 'b', 'c']) await clock.run(sequences.next(g1, { messageId }));
    redis.failOver();
    await clock.run(sequences.next(g1));
    await clock.run(clock.sleep(100));
    expect(restored()).toEqual([2]);
    await clock.run(clock.sleep(3_000));
    redis.failOver();
    await clock.run(sequences.next(g1));
    await clock.run(clock.sleep(100));
    expect(restored()).toEqual([2]);
    await clock.run(sequences.close());
  });
});
