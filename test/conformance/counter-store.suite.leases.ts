import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { longMs, type Run, repeated, shortMs, type Test } from './counter-store.suite.run.js';

const tracked = { tracked: true };

export function describeHold(test: Test, r: Run): void {
  test('what lies above the complete mark is held, and can be opened again', async () => {
    const conversation = await r.word(10, 10);
    await r.track(conversation, 6);
    expect(await r.firstOpen(conversation)).toBe(7);
    expect(await r.renew(conversation, 6)).toBe('gone');
    expect(await r.renew(conversation, 11)).toBe('gone');
    expect(await r.renew(conversation, 9, 10)).toBe('reopened');
    expect(await r.renew(conversation, 7)).toBe('reopened');
    expect(await r.firstOpen(conversation)).toBe(7);
    await r.claim(conversation, [tracked]);
    // The hold begins where this take does, and stays.
    expect(await r.settle(conversation, 7, 8)).toEqual(['open', 'gone']);
    expect(await r.firstOpen(conversation)).toBe(7);
    expect(await r.renew(conversation, 7)).toBe('reopened');
    expect(await r.readOpen(conversation)).toMatchObject({ expired: [] });
  });

  test('a mark at or above the last number holds nothing', async () => {
    for (const completeUpTo of [10, 11, 10 ** 12 - 1]) {
      const conversation = await r.word(10, 10);
      await r.track(conversation, completeUpTo);
      expect(await r.firstOpen(conversation)).toBeUndefined();
      expect(await r.renew(conversation, 10)).toBe('gone');
    }
  });

  test('the hold stands until it is removed, and what was opened again stays open', async () => {
    const conversation = await r.word(10, 10);
    await r.track(conversation, 6, shortMs);
    expect(await r.renew(conversation, 9, 10)).toBe('reopened');
    await sleep(shortMs + 20);
    const open = await r.readOpen(conversation);
    const hold = { conversation, first: 7, last: 10 };
    expect(open).toMatchObject({ firstOpen: 7, expired: [hold] });
    expect(await r.renew(conversation, 8)).toBe('reopened');
    expect(await r.expire(open)).toEqual(['expired']);
    expect(await r.expire(open)).toEqual(['gone']);
    expect(await r.renew(conversation, 7)).toBe('gone');
    expect(await r.readOpen(conversation)).toMatchObject({ firstOpen: 8, expired: [] });
    expect(await r.settle(conversation, 8)).toEqual(['open']);
    expect(await r.firstOpen(conversation)).toBe(9);
    expect(await r.settle(conversation, 9)).toEqual(['open']);
    expect(await r.firstOpen(conversation)).toBeUndefined();
  });

  test('a take that is open already is opened once, in the same call, too', async () => {
    const conversation = await r.word(10, 10);
    await r.track(conversation, 6);
    const take = { conversation, first: 8, last: 9, leaseMs: longMs };
    const other = { ...take, first: 20, last: 20 };
    expect(await r.store.renew(r.epoch, [take, take, other])).toEqual({
      status: 'done',
      results: ['reopened', 'open', 'gone'],
    });
    expect(await r.settle(conversation, 8, 8)).toEqual(['open', 'gone']);
  });
}

export function describeExpiry(test: Test, r: Run): void {
  const expired = (conversation: string, ...ranges: [first: number, last: number][]) =>
    ranges.map(([first, last]) => ({ conversation, first, last, written: expect.any(String) }));

  test('names the lowest open takes whose lease has ended', async () => {
    const conversation = await r.tracked(0, 100);
    const soon = { leaseMs: shortMs };
    await r.claim(conversation, [tracked, { ...tracked, count: 3 }, {}], soon);
    await r.claim(conversation, [tracked]);
    await r.claim(conversation, [tracked], soon);
    expect(await r.readOpen(conversation)).toMatchObject({ firstOpen: 1, expired: [] });
    await sleep(shortMs + 20);
    const open = await r.readOpen(conversation);
    expect(open).toMatchObject({ firstOpen: 1, expired: expired(conversation, [1, 1], [2, 4]) });
    expect(await r.expire(open)).toEqual(['expired', 'expired']);
    expect(await r.readOpen(conversation)).toMatchObject({ firstOpen: 6, expired: [] });
    await r.settle(conversation, 6);
    expect(await r.readOpen(conversation)).toMatchObject({
      firstOpen: 7,
      expired: expired(conversation, [7, 7]),
    });
  });

  test('names at most 100 at once', async () => {
    const conversation = await r.tracked(0, 1_000);
    await r.claim(conversation, Array(150).fill(tracked), { leaseMs: 1 });
    await sleep(5);
    const open = await r.readOpen(conversation);
    expect(open).toMatchObject({
      expired: expired(
        conversation,
        ...Array.from({ length: 100 }, (_, i) => [i + 1, i + 1] as [number, number]),
      ),
    });
    expect(await r.expire(open)).toEqual(Array(100).fill('expired'));
    const rest = await r.readOpen(conversation);
    expect(rest).toMatchObject({ firstOpen: 101, expired: { length: 50 } });
    expect(await r.expire(rest)).toEqual(Array(50).fill('expired'));
    expect(await r.firstOpen(conversation)).toBeUndefined();
  });

  test('an expired take that got a new lease is not removed', async () => {
    const conversation = await r.tracked(0, 100);
    await r.claim(conversation, [tracked, { id: 'm', ...tracked }, { ...tracked, count: 2 }], { leaseMs: 1 });
    await sleep(5);
    const open = await r.readOpen(conversation);
    expect(open).toMatchObject({ expired: expired(conversation, [1, 1], [2, 2], [3, 4]) });
    // Somebody may have given it up in a history that has lost that since.
    expect(await r.renew(conversation, 1)).toBe('reopened');
    expect(await r.renew(conversation, 1)).toBe('open');
    expect(await r.expire(open)).toEqual(['gone', 'expired', 'expired']);
    expect(await r.settle(conversation, 1, 2, 3)).toEqual(['open', 'gone', 'gone']);
    expect(await r.expire(open)).toEqual(['gone', 'gone', 'gone']);
    expect(await r.renew(conversation, 3, 4)).toBe('gone');
  });

  test('a take that is settled after its lease is said to be expired', async () => {
    const conversation = await r.tracked(0, 100);
    await r.claim(conversation, [tracked, tracked], { leaseMs: 1 });
    await r.renew(conversation, 2);
    await sleep(5);
    expect(await r.settle(conversation, 1, 2)).toEqual(['expired', 'open']);
  });

  test('a message that is sent again after the lease of its take does not renew it', async () => {
    const conversation = await r.tracked(0, 100);
    await r.claim(conversation, [{ id: 'm', ...tracked }], { leaseMs: 1 });
    await sleep(5);
    const again = await r.claim(conversation, [{ id: 'm', ...tracked }]);
    expect(again).toMatchObject({ claims: [repeated(1, false)] });
    expect(await r.settle(conversation, 1)).toEqual(['expired']);
  });

  test('repeating a message id without tracking it renews nothing', async () => {
    const conversation = await r.tracked(0, 100);
    await r.claim(conversation, [{ id: 'm', ...tracked }], { leaseMs: 1 });
    await sleep(5);
    expect(await r.claim(conversation, [{ id: 'm' }])).toMatchObject({ status: 'repeated' });
    expect(await r.expire(await r.readOpen(conversation))).toEqual(['expired']);
    // A repetition does not open it again either: it was given up.
    const again = await r.claim(conversation, [{ id: 'm', ...tracked }]);
    expect(again).toEqual({ status: 'repeated', claims: [repeated(1, false)] });
    expect(await r.firstOpen(conversation)).toBeUndefined();
  });

  test('the same take in one call is removed once', async () => {
    const conversation = await r.tracked(0, 100);
    await r.claim(conversation, [tracked], { leaseMs: 1 });
    await sleep(5);
    const open = await r.readOpen(conversation);
    if (open.status !== 'tracked') throw new Error(open.status);
    const twice = [...open.expired, ...open.expired];
    expect(await r.store.expire(r.epoch, twice)).toEqual({ status: 'done', results: ['expired', 'gone'] });
  });
}
