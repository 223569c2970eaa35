import { describe, expect, it, vi } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { TrackedTake } from '../../src/core/tracked-take.js';
import { TidemarkError } from '../../src/errors.js';
import { embedded, failure, g1, simulated, simulatedOver } from '../support/generators.js';
import { SimulatedCluster } from '../support/simulated-redis.js';

const leaseMs = 1_000;
const everything = { from: 1, to: 1_000, limit: 100 };

/** A generator whose takes stay open for a second of virtual time. */
function tracked() {
  const generator = simulated({ leaseMs });
  const { clock, sequences, ledger } = generator;
  const run = <T>(work: Promise<T>) => clock.run(work);
  const complete = () => run(sequences.completeUpTo(g1));
  const gaps = async () =>
    (await ledger.gaps('group:g1', everything)).map(({ first, last, reason }) => [first, last, reason]);
  return { ...generator, run, complete, gaps };
}

describe('open, settled, abandoned', () => {
  it('readers may read up to the lowest open take', async () => {
    const { run, sequences, complete } = tracked();
    expect(await complete()).toBe(0);
    const [a, b, c] = await run(Promise.all([sequences.take(g1), sequences.take(g1, 3), sequences.take(g1)]));
    expect([a, b, c].map(({ first, last, repeated, open }) => [first, last, repeated, open])).toEqual([
      [1, 1, false, true],
      [2, 4, false, true],
      [5, 5, false, true],
    ]);
    expect(await complete()).toBe(0);
    await run(c.settle());
    await run(a.settle());
    expect(await complete()).toBe(1);
    await run(b.settle());
    expect(await complete()).toBe(5);
    await run(sequences.close());
  });

  it('numbers that were issued in another way count as settled', async () => {
    const { run, sequences, complete } = tracked();
    await run(sequences.nextMany(g1, 5));
    expect(await complete()).toBe(5);
    const take = await run(sequences.take(g1));
    await run(sequences.next(g1));
    expect([take.first, await complete()]).toEqual([6, 5]);
    await run(take.settle());
    expect(await complete()).toBe(7);
    await run(sequences.close());
  });

  it('what is abandoned is a certain gap, and readers may pass it', async () => {
    const { run, sequences, complete, gaps } = tracked();
    const take = await run(sequences.take(g1, 2));
    await run(sequences.next(g1));
    await run(take.abandon());
    expect(await complete()).toBe(3);
    expect(await gaps()).toEqual([[1, 2, 'abandoned']]);
    await run(sequences.close());
  });

  it('a take ends once', async () => {
    const { run, sequences } = tracked();
    const [a, b] = await run(Promise.all([sequences.take(g1), sequences.take(g1)]));
    await run(a.settle());
    await run(a.settle());
    expect(await run(failure(a.abandon()))).toMatchObject({
      code: 'invalid_argument',
      message: expect.stringContaining('the take of 1 in group:g1 was settled already'),
    });
    await run(b.abandon());
    await run(b.abandon());
    expect((await run(failure(b.settle()))).message).toContain('was abandoned already');
    await run(sequences.close());
  });

  it('whoever has only the numbers can end a take, too', async () => {
    const { run, sequences, complete } = tracked();
    await run(Promise.all([sequences.take(g1, 2), sequences.take(g1), sequences.take(g1)]));
    await run(sequences.settle(g1, { first: 1, last: 2 }));
    await run(sequences.renew(g1, { first: 3, last: 3 }));
    await run(sequences.abandon(g1, { first: 3, last: 3 }));
    expect(await complete()).toBe(3);
    await run(sequences.settle(g1, { first: 4, last: 4 }));
    expect(await complete()).toBe(4);
    // What was settled is settled; what was not, and is not open, cannot be abandoned: it may be stored.
    await run(sequences.settle(g1, { first: 4, last: 4 }));
    for (const first of [4, 99]) {
      const error = await run(failure(sequences.abandon(g1, { first, last: first })));
      expect([error.code, error.conversation]).toEqual(['invalid_argument', 'group:g1']);
      expect((await run(failure(sequences.renew(g1, { first, last: first })))).code).toBe('invalid_argument');
    }
    await run(sequences.close());
  });

  it('numbers of a caller that gave up are a certain gap and not open', async () => {
    const { run, clock, sequences, counters, complete, gaps } = tracked();
    await run(sequences.take(g1).then((take) => take.settle()));
    const { take } = counters;
    counters.take = async (...parts) => {
      const reply = await take.apply(counters, parts);
      await clock.sleep(300);
      return reply;
    };
    expect((await run(failure(sequences.take(g1, 2, { timeoutMs: 50 })))).code).toBe('deadline_exceeded');
    counters.take = take;
    await run(clock.sleep(500));
    expect(await gaps()).toEqual([[2, 3, 'abandoned']]);
    expect(await complete()).toBe(3);
    await run(sequences.close());
  });

  it('bad input is refused', async () => {
    const { sequences } = embedded();
    for (const count of [0, 1.5, 1_001]) {
      expect((await failure(sequences.take(g1, count))).code).toBe('invalid_argument');
    }
    expect((await failure(sequences.take(g1, 2, { messageId: 'm' }))).message).toContain('count');
    const ranges = [{ first: 0, last: 1 }, { first: 3, last: 2 }, { first: 1, last: 2_000 }, undefined];
    for (const range of ranges) {
      expect((await failure(sequences.settle(g1, range as { first: number; last: number }))).code).toBe(
        'invalid_argument',
      );
    }
    expect(
      () => new TrackedTake(sequences, g1, { first: 1, last: 1, repeated: false, open: true }),
    ).not.toThrow();
    expect(await sequences.current(g1)).toBe(0);
    await sequences.close();
  });
});

describe('leases', () => {
  it('a take whose holder is gone is given up after its lease, as an uncertain gap', async () => {
    const { run, clock, sequences, complete, gaps, events } = tracked();
    const take = await run(sequences.take(g1, 2));
    await run(sequences.next(g1));
    await run(clock.sleep(leaseMs - 50));
    expect(await complete()).toBe(0);
    await run(clock.sleep(100));
    expect(await gaps()).toEqual([]);
    expect(await complete()).toBe(3);
    expect(await gaps()).toEqual([[1, 2, 'lease_expired']]);
    expect(events.filter(({ type }) => type === 'gap')).toMatchObject([{ reason: 'lease_expired' }]);
    for (const end of [() => take.settle(), () => take.renew()]) {
      const error = await run(failure(end()));
      expect([error.code, error.retryable, error.conversation]).toEqual(['lease_expired', false, 'group:g1']);
    }
    await run(take.abandon());
    expect(await gaps()).toEqual([[1, 2, 'lease_expired']]);
    await run(sequences.close());
  });

  it('a lease that ended with nobody looking is no harm', async () => {
    const { run, clock, sequences, complete, gaps } = tracked();
    const take = await run(sequences.take(g1));
    await run(clock.sleep(5 * leaseMs));
    await run(take.settle());
    expect([await complete(), await gaps()]).toEqual([1, []]);
    await run(sequences.close());
  });

  it('renewed, it goes on', async () => {
    const { run, clock, sequences, complete, gaps } = tracked();
    const take = await run(sequences.take(g1));
    for (let renewals = 0; renewals < 5; renewals += 1) {
      await run(clock.sleep(leaseMs * 0.7));
      await run(take.renew());
    }
    expect(await complete()).toBe(0);
    await run(take.settle());
    expect([await complete(), await gaps()]).toEqual([1, []]);
    await run(sequences.close());
  });
});

describe('I11: a new history', () => {
  it('a restart without data: complete up to stands still for one lease, then goes on', async () => {
    const { run, clock, redis, sequences, complete, gaps } = tracked();
    const [a] = await run(Promise.all([sequences.take(g1), sequences.take(g1), sequences.take(g1)]));
    await run(a.settle());
    expect(await complete()).toBe(1);
    redis.words.clear();
    redis.claims.clear();
    redis.restart();
    await run(sequences.take(g1).then((take) => take.settle()));
    const before = await complete();
    expect(before).toBeLessThanOrEqual(1);
    await run(clock.sleep(leaseMs / 2));
    expect(await complete()).toBe(before);
    await run(clock.sleep(leaseMs));
    expect(await complete()).toBe(await run(sequences.current(g1)));
    // The numbers that may have been in hands that are gone are in a gap, whichever gap it is.
    for (const number of [2, 3])
      expect((await gaps()).some(([first, last]) => Number(first) <= number && number <= Number(last))).toBe(
        true,
      );
    await run(sequences.close());
  });

  it('holders settle and renew across a failover', async () => {
    const { run, clock, redis, sequences, complete } = tracked();
    const [a, b] = await run(Promise.all([sequences.take(g1), sequences.take(g1)]));
    redis.failOver();
    await run(b.renew());
    await run(a.settle());
    await run(clock.sleep(leaseMs * 0.9));
    await run(b.renew());
    await run(clock.sleep(leaseMs * 0.9));
    // The hold of the new history has ended, and b is open still.
    expect(await complete()).toBeLessThan(b.first);
    await run(b.settle());
    expect(await complete()).toBe(await run(sequences.current(g1)));
    await run(sequences.close());
  });

  it('a take that was settled before a failover and is abandoned after it is no certain gap', async () => {
    const { run, redis, sequences, gaps } = tracked();
    const take = await run(sequences.take(g1));
    await run(take.settle());
    redis.words.clear();
    redis.claims.clear();
    redis.restart();
    await run(sequences.take(g1));
    await run(sequences.abandon(g1, { first: 1, last: 1 }));
    expect((await gaps()).filter(([first, last]) => first === 1 && last === 1)).toEqual([
      [1, 1, 'lease_expired'],
    ]);
    await run(sequences.close());
  });

  it('a take that was given up before a failover is not open again after it (seed 173)', async () => {
    const { run, clock, redis, sequences, complete } = tracked();
    const take = await run(sequences.take(g1, 1, { messageId: 'm' }));
    redis.replicate();
    await run(clock.sleep(leaseMs + 50));
    expect(await complete()).toBe(1);
    redis.failOver();
    const again = await run(sequences.take(g1, 1, { messageId: 'm' }));
    expect([again.first, again.repeated, again.open]).toEqual([1, true, false]);
    for (const end of [() => again.renew(), () => again.settle(), () => take.settle()])
      expect((await run(failure(end()))).code).toBe('lease_expired');
    await run(sequences.close());
  });

  it('a take that comes back with a stale replica was given up all the same', async () => {
    const { run, clock, redis, sequences, complete } = tracked();
    const take = await run(sequences.take(g1));
    redis.replicate();
    await run(clock.sleep(leaseMs + 50));
    expect(await complete()).toBe(1);
    redis.failOver();
    await run(sequences.next(g1));
    await complete();
    expect((await run(failure(take.settle()))).code).toBe('lease_expired');
    await run(sequences.close());
  });

  it('a process on an isolated primary begins no tracking there (seed 418)', async () => {
    const { run, redis, counters, sequences, complete } = tracked();
    await run(sequences.next(g1));
    const old = redis;
    counters.redis = redis.split();
    await run(sequences.next(g1));
    expect(await complete()).toBeGreaterThan(1);
    counters.redis = old;
    const error = await run(failure(sequences.take(g1, 1, { timeoutMs: 500 })));
    expect([error.code, error.conversation]).toEqual(['fenced', 'group:g1']);
    await run(sequences.close());
  });

  it('a reader who found no word does not believe a floor that lies above the word that came meanwhile', async () => {
    const { run, clock, counters, ledger, sequences, complete } = tracked();
    await run(sequences.next(g1));
    // Another process saw no word, and takes over, though there is one by now.
    await run(clock.sleep(2_000));
    const policy = { kind: 'fixed', size: 10 } as const;
    const request = { conversation: g1.key, generation: 1, saw: undefined, need: 1, policy };
    const [taken] = await run(ledger.reserve([request]));
    expect(taken).toMatchObject({ status: 'reserved', kind: 'takeover' });
    vi.spyOn(counters, 'readOpen').mockResolvedValueOnce({
      status: 'done',
      results: [{ status: 'missing' }],
    });
    expect(await complete()).toBe(1);
    expect((await run(sequences.take(g1))).first).toBe(2);
    await run(sequences.close());
  });

  it('a slot that comes back to an earlier primary is read in a newer generation', async () => {
    const cluster = new SimulatedCluster();
    const { clock, sequences, events } = simulatedOver(cluster, { leaseMs });
    const run = <T>(work: Promise<T>) => clock.run(work);
    const slot = SimulatedCluster.slotOf(g1.key);
    const [first, second] = [cluster.owners[slot]!, cluster.owners[1 - slot]!];
    await run(sequences.next(g1));
    await run(sequences.next(groupChat('g0')));
    cluster.move(slot, second);
    const take = await run(sequences.take(g1));
    await run(take.settle());
    cluster.move(slot, first);
    expect(await run(sequences.completeUpTo(g1, { timeoutMs: 500 }))).toBeGreaterThan(0);
    expect((await run(sequences.take(g1))).first).toBeGreaterThan(take.last);
    expect(events.flatMap((event) => (event.type === 'fenced' ? [event.newerGeneration] : []))).toEqual([2]);
    await run(sequences.close());
  });

  it('the ledger is away: a conversation whose tracking has begun goes on, another waits', async () => {
    const { run, ledger, sequences } = tracked();
    await run(sequences.take(g1));
    const other = groupChat('other');
    await run(sequences.next(other));
    ledger.up = false;
    expect((await run(sequences.take(g1))).first).toBe(2);
    expect((await run(failure(sequences.take(other, 1, { timeoutMs: 300 })))).code).toBe(
      'ledger_unavailable',
    );
    ledger.up = true;
    expect((await run(sequences.take(other))).first).toBe(2);
    await run(sequences.close());
  });

  it('a ledger row that makes no sense fails its own conversation only', async () => {
    const { run, ledger, sequences } = tracked();
    const [bad, good] = [groupChat('bad'), groupChat('good')];
    await run(Promise.all([sequences.next(bad), sequences.next(good)]));
    const { completeMarks } = ledger;
    ledger.completeMarks = async (conversations) => {
      if (conversations.includes('group:bad'))
        throw new TidemarkError('ledger_corrupt', 'planned', { conversation: 'group:bad' });
      return completeMarks.call(ledger, conversations);
    };
    const failed = failure(sequences.take(bad));
    const taken = sequences.take(good);
    expect(await run(failed)).toMatchObject({ code: 'ledger_corrupt', conversation: 'group:bad' });
    expect((await run(taken)).first).toBe(2);
    await run(sequences.close());
  });
});
