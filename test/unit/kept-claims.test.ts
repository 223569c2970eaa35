import { expect, it } from 'vitest';
import type { Receipt, TakeRequest } from '../../src/core/counter-store.js';
import { KeptClaims } from '../../src/counters/memory/kept-claims.js';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';

const conversation = 'group:g1';

function receipt(messageId: string, number: number, ttlMs = 1_000): Receipt {
  return { conversation, messageId, number, ttlMs };
}

/** The numbers that the message ids have at a time; undefined for those that have none. */
function numbers(kept: KeptClaims, ids: readonly string[], nowMs: number): (number | undefined)[] {
  const calls = ids.map((messageId) => ({ offset: 0, count: 1, messageId, tracked: false }));
  const request: TakeRequest = { conversation, count: 1, claims: { receiptTtlMs: 1, leaseMs: 1, calls } };
  return kept
    .lookUp(request, nowMs)
    .map((result) => (result.status === 'repeated' ? result.number : undefined));
}

it('the oldest receipts are forgotten first', () => {
  const kept = new KeptClaims(3);
  for (const [index, id] of ['a', 'b', 'c'].entries()) kept.restore(receipt(id, index + 1), 0);
  expect(numbers(kept, ['a', 'b', 'c'], 999)).toEqual([1, 2, 3]);
  expect(kept.restore(receipt('a', 9), 0)).toBe(1);
  kept.restore(receipt('d', 4), 0);
  expect(numbers(kept, ['a', 'b', 'c', 'd'], 0)).toEqual([undefined, 2, 3, 4]);
});

it('a receipt ends with the millisecond that it was kept for, and its message id is new then', () => {
  const kept = new KeptClaims(3);
  kept.restore(receipt('a', 1, 10), 100);
  expect(numbers(kept, ['a'], 109)).toEqual([1]);
  expect(numbers(kept, ['a'], 110)).toEqual([undefined]);
  expect(kept.restore(receipt('a', 2, 10), 110)).toBe(2);
  // It is one of the newest again.
  for (const id of ['b', 'c']) kept.restore(receipt(id, 5), 110);
  expect(numbers(kept, ['a', 'b', 'c'], 111)).toEqual([2, 5, 5]);
});

it('a copy has what was kept, and goes its own way', () => {
  const kept = new KeptClaims(10);
  kept.restore(receipt('a', 1), 0);
  kept.track(conversation, 1, { completeUpTo: 3, last: 5 }, 50);
  kept.renew({ conversation, first: 4, last: 5, leaseMs: 10 }, 1, 0);
  const copy = kept.clone();
  kept.settle({ conversation, first: 4 }, 0);
  const word = { last: 5, remaining: 0 };
  kept.expire(expiredIn(kept)[0]!, 60);
  kept.restore(receipt('b', 2), 0);
  kept.clear();
  expect(numbers(copy, ['a', 'b'], 0)).toEqual([1, undefined]);
  expect(copy.read(conversation, word, 1, 5)).toMatchObject({ firstOpen: 4, expired: [] });
  expect(copy.settle({ conversation, first: 4 }, 0)).toBe('open');
  expect(expiredIn(copy)).toMatchObject([{ first: 4, last: 5 }]);
  expect(copy.renew({ conversation, first: 4, last: 4, leaseMs: 1 }, 1, 0)).toBe('reopened');
  expect(numbers(kept, ['a', 'b'], 0)).toEqual([undefined, undefined]);
});

it('the memory store checks how many receipts it may keep', () => {
  for (const maxReceipts of [0, 1.5, 10_000_001, Number.NaN])
    expect(() => new MemoryCounterStore({ maxReceipts })).toThrow('maxReceipts');
});

function expiredIn(kept: KeptClaims) {
  const open = kept.read(conversation, { last: 5, remaining: 0 }, 1, 1_000);
  return open.status === 'tracked' ? open.expired : [];
}
