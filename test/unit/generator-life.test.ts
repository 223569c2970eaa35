import { describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import { SequenceGenerator as CoreGenerator } from '../../src/core/sequence-generator.js';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { embedded, failure, g1, simulated } from '../support/generators.js';

describe('looking', () => {
  it('current, inspect and ledger entries change nothing', async () => {
    const { sequences, ledger } = embedded();
    expect(await sequences.current(g1)).toBe(0);
    expect(await sequences.ledgerEntry(g1)).toBeUndefined();
    expect(await sequences.inspect(g1)).toMatchObject({
      conversation: 'group:g1',
      word: undefined,
      entry: undefined,
      generation: 1,
    });
    await sequences.nextMany(g1, 10);
    expect(await sequences.inspect(g1)).toMatchObject({
      word: { last: 10, remaining: 54 },
      entry: { ceiling: 64, generation: 1 },
    });
    await sequences.next(groupChat('g2'));
    expect((await sequences.ledgerEntries('group')).map((entry) => entry.conversation)).toEqual([
      'group:g1',
      'group:g2',
    ]);
    expect(
      (await sequences.ledgerEntries('group', { after: 'group:g1', limit: 1 })).map(
        (entry) => entry.conversation,
      ),
    ).toEqual(['group:g2']);
    expect(await sequences.ledgerEntries('private')).toEqual([]);
    expect(await sequences.current(g1)).toBe(10);
    await ledger.recordGaps([]);
    await sequences.close();
  });

  it('recover: nothing to do, a lost word, and a conversation that never was', async () => {
    const { sequences, counters } = embedded();
    expect(await sequences.recover(g1)).toEqual({ recovered: false, last: 0, gap: undefined });
    await sequences.nextMany(g1, 5);
    expect(await sequences.recover(g1)).toEqual({ recovered: false, last: 5, gap: undefined });
    counters.lose();
    expect(await sequences.current(g1)).toBe(0);
    expect(await sequences.recover(g1)).toMatchObject({
      recovered: true,
      last: 64,
      gap: { first: 1, last: 64, reason: 'history_lost' },
    });
    expect(await sequences.next(g1)).toBe(65);
    expect(await sequences.gaps(g1)).toMatchObject([{ first: 1, last: 64, certain: false, generation: 2 }]);
    expect(await sequences.gaps(g1, { from: 65 })).toEqual([]);
    await sequences.close();
  });
});

describe('the hook', () => {
  it('may throw without stopping numbers, and hears of risky settings', async () => {
    const ledger = new MemoryLedger();
    const notices: TidemarkEvent[] = [];
    ledger.onNotice = (listener) => {
      queueMicrotask(() => {
        listener({ status: 'not_durable', setting: 'flush', value: '2', advice: 'set it to 1' });
        listener({ status: 'up' });
      });
    };
    const sequences = new SequenceGenerator({
      counters: new MemoryCounterStore(),
      ledger,
      onEvent: (event) => {
        notices.push(event);
        throw new Error('a bad hook');
      },
    });
    expect(await sequences.next(g1)).toBe(1);
    expect(notices).toContainEqual({
      type: 'not_durable',
      setting: 'flush',
      value: '2',
      advice: 'set it to 1',
    });
    await sequences.close();
  });

  it('tells of the store that was lost and reached again, and calls go on at once', async () => {
    const { clock, counters, redis, events } = simulated();
    let tell: (change: { status: 'up' } | { status: 'down'; cause: unknown }) => void = () => undefined;
    counters.onConnection = (listener) => {
      tell = listener;
    };
    const sequences = new CoreGenerator({
      clock,
      counters,
      ledger: new MemoryLedger(),
      onEvent: (event) => events.push(event),
    });
    await clock.run(sequences.next(g1));
    redis.up = false;
    tell({ status: 'down', cause: 'planned' });
    const next = sequences.next(g1);
    await clock.run(clock.sleep(2_000));
    redis.up = true;
    tell({ status: 'up' });
    const before = clock.monotonicMs();
    expect(await clock.run(next)).toBe(2);
    expect(clock.monotonicMs() - before).toBeLessThan(20);
    redis.up = false;
    tell({ status: 'down', cause: 'planned' });
    counters.take = () => new Promise(() => undefined);
    const lost = failure(sequences.next(g1, { timeoutMs: 500 }));
    expect((await clock.run(lost)).code).toBe('counter_unavailable');
    const closingAtMs = clock.monotonicMs();
    await clock.run(sequences.close());
    expect(clock.monotonicMs() - closingAtMs).toBeLessThan(2_000);
    expect(events.filter((event) => event.type === 'store')).toMatchObject([
      { status: 'down', store: 'counters' },
      { status: 'up' },
      { status: 'down' },
    ]);
  });
});

describe('close', () => {
  it('hands back what is left of the blocks: the next start goes on without a gap', async () => {
    const ledger = new MemoryLedger();
    ledger.close = async () => undefined;
    for (const expected of [1, 2, 3, 4]) {
      const sequences = new SequenceGenerator({ counters: new MemoryCounterStore(), ledger });
      expect(await sequences.next(g1)).toBe(expected);
      await sequences.close();
    }
    expect(await ledger.gaps('group:g1', { from: 1, to: 100, limit: 10 })).toEqual([]);
  });

  it('P4: waits for a ledger that is away for a while, so that what callers left is recorded', async () => {
    const { clock, ledger, sequences } = simulated();
    await clock.run(sequences.next(g1));
    const controller = new AbortController();
    const given = failure(sequences.nextMany(g1, 3, { signal: controller.signal }));
    await clock.run(clock.sleep(0));
    controller.abort();
    expect((await given).code).toBe('aborted');
    ledger.up = false;
    clock.setTimer(3_000, () => {
      ledger.up = true;
    });
    await clock.run(sequences.close());
    expect(await clock.run(ledger.gaps('group:g1', { from: 1, to: 100, limit: 10 }))).toMatchObject([
      { first: 2, last: 4, reason: 'abandoned' },
    ]);
  });

  it('without a close the next start goes on behind the block, with the gap recorded', async () => {
    const ledger = new MemoryLedger();
    const died = new SequenceGenerator({ counters: new MemoryCounterStore(), ledger });
    await died.nextMany(g1, 3);
    const sequences = new SequenceGenerator({ counters: new MemoryCounterStore(), ledger });
    expect(await sequences.next(g1)).toBe(65);
    expect(await sequences.gaps(g1)).toMatchObject([
      { first: 1, last: 64, reason: 'history_lost', certain: false },
    ]);
    await sequences.close();
  });

  it('fails what waits, finishes what is under way, refuses what comes later, twice is once', async () => {
    const { clock, sequences } = simulated();
    await clock.run(sequences.next(g1));
    const underWay = sequences.next(g1);
    await clock.run(clock.sleep(0));
    const waiting = failure(sequences.next(g1));
    const closing = sequences.close();
    expect((await clock.run(waiting)).code).toBe('closed');
    expect(await clock.run(underWay)).toBe(2);
    await clock.run(closing);
    expect(sequences.close()).toBe(closing);
    for (const call of [
      sequences.next(g1),
      sequences.current(g1),
      sequences.gaps(g1),
      sequences.generateGroupChatSequence('g1'),
    ]) {
      expect((await failure(call)).code).toBe('closed');
    }
  });

  it('does not wait for ever for a store that is gone', async () => {
    const { clock, counters, sequences } = simulated();
    await clock.run(sequences.next(g1));
    counters.take = () => new Promise(() => undefined);
    const call = failure(sequences.next(g1, { timeoutMs: 60_000 }));
    await clock.run(clock.sleep(0));
    await clock.run(sequences.close());
    expect((await call).code).toBe('closed');
    expect(clock.monotonicMs()).toBeLessThan(30_000);
  });
});

describe('options', () => {
  const stores = { counters: new MemoryCounterStore(), ledger: new MemoryLedger() };

  it.each([
    { timeoutMs: 0 },
    { maxCalls: 0 },
    { maxBatch: 1_001 },
    { maxTakes: 9 },
    { maxRemembered: 999 },
    { ledgerPatienceMs: 9 },
    { ledgerOutage: 'maybe' as 'refuse' },
    { reservation: { kind: 'fixed', size: 0 } as const },
    { reservation: { kind: 'fixed', size: 4_501 } as const },
    { reservation: { kind: 'other' } as unknown as { kind: 'fixed'; size: number } },
    {
      reservationByType: {
        group: { kind: 'adaptive', initial: 64, max: 32, growBelowMs: 1, shrinkAboveMs: 2 } as const,
      },
    },
    { reservation: { kind: 'adaptive', initial: 64, max: 128, growBelowMs: 3, shrinkAboveMs: 2 } as const },
  ])('refuses %j', (wrong) => {
    expect(() => new SequenceGenerator({ ...stores, ...wrong })).toThrow(/^invalid_argument: /);
  });

  it('a policy for one conversation wins over that of its type, which wins over the general one', async () => {
    const { sequences } = embedded({
      reservation: { kind: 'fixed', size: 10 },
      reservationByType: { group: { kind: 'fixed', size: 20 } },
      reservationFor: (conversation) =>
        conversation === 'group:big' ? { kind: 'fixed', size: 30 } : undefined,
    });
    await sequences.generateSequence('channel', 'a');
    await sequences.next(g1);
    await sequences.next(groupChat('big'));
    expect((await sequences.ledgerEntries('channel')).map((entry) => entry.ceiling)).toEqual([10]);
    expect((await sequences.ledgerEntries('group')).map((entry) => entry.ceiling)).toEqual([30, 20]);
    await sequences.close();
  });

  it('a policy function that throws or answers nonsense fails the call before anything is taken', async () => {
    const wrong = { kind: 'fixed', size: -1 } as const;
    const { sequences } = embedded({
      reservationFor: (conversation) => {
        if (conversation === 'group:throws') throw new RangeError('no policy');
        return conversation === 'group:wrong' ? wrong : undefined;
      },
    });
    const thrown = await failure(sequences.next(groupChat('throws')));
    expect([thrown.code, thrown.conversation]).toEqual(['invalid_argument', 'group:throws']);
    expect(thrown.message).toContain('no policy');
    expect((await failure(sequences.next(groupChat('wrong')))).code).toBe('invalid_argument');
    expect(await sequences.next(g1)).toBe(1);
    expect(await sequences.current(groupChat('wrong'))).toBe(0);
    await sequences.close();
  });

  it('remembers a bounded number of conversations, and numbers stay right', async () => {
    const { sequences } = embedded({ maxRemembered: 1_000 });
    for (const expected of [1, 2]) {
      const numbers = await Promise.all(
        Array.from({ length: 3_000 }, (_, index) => sequences.next(groupChat(`g${index}`))),
      );
      expect(new Set(numbers)).toEqual(new Set([expected]));
    }
    await sequences.close();
  });
});
