import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Epoch } from '../../src/core/counter-store.js';
import {
  asClaims,
  type CallSpec,
  done,
  fresh,
  generation,
  longMs,
  present,
  type Run,
  repeated,
  short,
  shortMs,
  type Test,
  taken,
} from './counter-store.suite.run.js';

const tracked = { tracked: true };

export function describeTracking(test: Test, r: Run): void {
  test('nothing is taken before tracking begins', async () => {
    const conversation = await r.word(5, 10);
    expect(await r.claim(conversation, [{}, tracked])).toEqual({ status: 'untracked' });
    expect(await r.claim(conversation, [{ id: 'm', ...tracked }])).toEqual({ status: 'untracked' });
    expect(await r.read(conversation)).toEqual(present(5, 10));
    expect(await r.readOpen(conversation)).toEqual({ status: 'untracked', word: { last: 5, remaining: 10 } });
    expect(await r.renew(conversation, 5)).toBe('untracked');
    expect(await r.settle(conversation, 5)).toEqual(['gone']);
    await r.track(conversation, 5);
    expect(await r.claim(conversation, [{ id: 'm', ...tracked }])).toEqual(taken(6, 9, fresh));
  });

  test('a word that is missing or short is told of before tracking', async () => {
    const missing = r.name();
    expect(await r.claim(missing, [tracked])).toEqual({ status: 'missing', claims: [fresh] });
    expect(await r.readOpen(missing)).toEqual({ status: 'missing' });
    const reply = await r.store.track(r.epoch, [{ conversation: missing, completeUpTo: 0 }], longMs);
    expect(reply).toEqual({ status: 'done', results: [{ status: 'missing' }] });
    const conversation = await r.word(0, 1);
    expect(await r.claim(conversation, [tracked, tracked])).toEqual(short(0, 1, fresh, fresh));
  });

  test('the lowest open take is where the complete part ends', async () => {
    const conversation = await r.tracked(5, 100);
    expect(await r.readOpen(conversation)).toEqual({
      status: 'tracked',
      word: { last: 5, remaining: 100 },
      firstOpen: undefined,
      expired: [],
    });
    expect(await r.claim(conversation, [tracked, tracked])).toEqual(taken(7, 98, fresh, fresh));
    expect(await r.firstOpen(conversation)).toBe(6);
    expect(await r.settle(conversation, 7)).toEqual(['open']);
    expect(await r.firstOpen(conversation)).toBe(6);
    await r.claim(conversation, [tracked]);
    expect(await r.settle(conversation, 6)).toEqual(['open']);
    expect(await r.firstOpen(conversation)).toBe(8);
    expect(await r.settle(conversation, 8, 8, 6, 999)).toEqual(['open', 'gone', 'gone', 'gone']);
    expect(await r.firstOpen(conversation)).toBeUndefined();
    expect(await r.read(conversation)).toEqual(present(8, 97));
  });

  test('takes of several numbers, between others, are named by their first', async () => {
    const conversation = await r.tracked(0, 100);
    await r.claim(conversation, [{ id: 'known' }]);
    const calls = [{ count: 3 }, { ...tracked, count: 4 }, { id: 'known' }, { id: 'm', ...tracked }, {}];
    // 2 to 4 plain, 5 to 8 tracked, 9 m, 10 plain, 11 and 12 tracked.
    const result = await r.claim(conversation, [...calls, { ...tracked, count: 2 }]);
    expect(result).toEqual(taken(12, 88, fresh, repeated(1), fresh, fresh));
    expect(await r.settle(conversation, 2, 4, 6, 8, 10, 12)).toEqual(Array(6).fill('gone'));
    for (const [first, next] of [
      [5, 9],
      [9, 11],
      [11, undefined],
    ] as const) {
      expect(await r.firstOpen(conversation)).toBe(first);
      expect(await r.settle(conversation, first)).toEqual(['open']);
      expect(await r.firstOpen(conversation)).toBe(next);
    }
    expect(await r.claim(conversation, [{ id: 'm', ...tracked }])).toMatchObject({
      claims: [repeated(9, false)],
    });
    expect(await r.firstOpen(conversation)).toBeUndefined();
  });

  test('tracking that has begun stays as it is', async () => {
    const conversation = await r.tracked(0, 100);
    await r.claim(conversation, [tracked, tracked, {}]);
    await r.track(conversation, 2);
    await r.track(conversation, 0);
    expect(await r.firstOpen(conversation)).toBe(1);
    expect(await r.settle(conversation, 1, 2)).toEqual(['open', 'open']);
    expect(await r.firstOpen(conversation)).toBeUndefined();
  });

  test('takes, settles and reads many conversations in one call', async () => {
    const conversations = await Promise.all([10, 20, 30].map((last) => r.tracked(last, 5)));
    const [a, b, c] = conversations as [string, string, string];
    const untracked = await r.word(40, 5);
    const requests = [
      { conversation: a, count: 2 },
      asClaims(b, [tracked, { id: 'm' }]),
      asClaims(untracked, [tracked]),
      asClaims(c, [{ id: 'm', ...tracked }]),
    ];
    const results = [taken(12, 3), taken(22, 3, fresh, fresh), { status: 'untracked' }, taken(31, 4, fresh)];
    expect(done(await r.store.take(r.epoch, requests)).results).toEqual(results);
    const read = await r.store.readOpen(r.epoch, [c, a, untracked, r.name(), b, c]);
    const open = (last: number, remaining: number, firstOpen: number | undefined) => {
      return { status: 'tracked', word: { last, remaining }, firstOpen, expired: [] };
    };
    expect(read).toEqual({
      status: 'done',
      results: [
        open(31, 4, 31),
        open(12, 3, undefined),
        { status: 'untracked', word: { last: 40, remaining: 5 } },
        { status: 'missing' },
        open(22, 3, 21),
        open(31, 4, 31),
      ],
    });
    const names = [c, a, b].map((conversation) => ({ conversation, first: conversation === b ? 21 : 31 }));
    expect(await r.store.settle(r.epoch, names)).toEqual({
      status: 'done',
      results: ['open', 'gone', 'open'],
    });
  });

  test('stale changes no claim', async () => {
    const conversation = await r.tracked(0, 10);
    await r.claim(conversation, [tracked], { leaseMs: 1 });
    await sleep(5);
    const open = await r.readOpen(conversation);
    if (open.status !== 'tracked') throw new Error(open.status);
    const untracked = await r.word(0, 10);
    const wrong: Epoch = { history: '0'.repeat(40), generation };
    const take = { conversation, first: 1, last: 1, leaseMs: longMs };
    const receipt = { conversation, messageId: 'm', number: 1, ttlMs: longMs };
    const calls = [
      r.store.take(wrong, [asClaims(conversation, [{ id: 'm', ...tracked }])]),
      r.store.restoreReceipts(wrong, [receipt]),
      r.store.track(wrong, [{ conversation: untracked, completeUpTo: 0 }], longMs),
      r.store.readOpen(wrong, [conversation]),
      r.store.renew(wrong, [take]),
      r.store.settle(wrong, [take]),
      r.store.expire(wrong, open.expired),
    ];
    for (const reply of await Promise.all(calls))
      expect(reply).toEqual({ status: 'stale', history: r.epoch.history });
    expect(await r.readOpen(conversation)).toEqual(open);
    expect(await r.readOpen(untracked)).toMatchObject({ status: 'untracked' });
    expect(await r.claim(conversation, [{ id: 'm' }])).toEqual(taken(2, 8, fresh));
  });

  test('what is lost takes all claims with it', async () => {
    const conversation = await r.tracked(0, 10);
    await r.claim(conversation, [{ id: 'm', ...tracked }]);
    await r.fixture.lose();
    await r.refreshEpoch();
    await r.grant(conversation, 'install', 10, 20);
    expect(await r.readOpen(conversation)).toMatchObject({ status: 'untracked' });
    expect(await r.claim(conversation, [{ id: 'm' }])).toEqual(taken(11, 9, fresh));
    await r.track(conversation, 11);
    expect(await r.firstOpen(conversation)).toBeUndefined();
  });
}

export function describeGenerations(test: Test, r: Run): void {
  test('tracking begins anew in another generation', async () => {
    const conversation = await r.tracked(0, 100);
    await r.claim(conversation, [tracked, tracked, { ...tracked, count: 2 }, { id: 'm', ...tracked }]);
    await r.inGeneration(generation + 1, async () => {
      await r.grant(conversation, 'install', 9, 20);
      expect(await r.readOpen(conversation)).toMatchObject({ status: 'untracked' });
      expect(await r.claim(conversation, [tracked])).toEqual({ status: 'untracked' });
      expect(await r.renew(conversation, 3, 4)).toBe('untracked');
      await r.track(conversation, 2, shortMs);
      // Up to the mark nothing is open; above it everything is, held or not.
      expect(await r.settle(conversation, 1, 2)).toEqual(['gone', 'gone']);
      expect(await r.firstOpen(conversation)).toBe(3);
      await sleep(shortMs + 20);
      expect(await r.expire(await r.readOpen(conversation))).toEqual(['expired']);
      expect(await r.firstOpen(conversation)).toBe(3);
      expect(await r.renew(conversation, 3, 4)).toBe('open');
      expect(await r.settle(conversation, 3)).toEqual(['open']);
      expect(await r.firstOpen(conversation)).toBe(5);
      expect(await r.claim(conversation, [tracked])).toEqual(taken(10, 10, fresh));
    });
    // Where generations are noted, the word of the later one has taken the place of this one.
    const status = r.fixture.forgetGenerations === undefined ? 'untracked' : 'missing';
    expect(await r.readOpen(conversation)).toMatchObject({ status });
  });

  test('a later hold takes the place of an earlier one', async () => {
    const conversation = await r.word(10, 10);
    await r.track(conversation, 6);
    for (const [step, completeUpTo] of [8, 4, 4].entries()) {
      await r.inGeneration(generation + 1 + step, async () => {
        await r.grant(conversation, 'install', 10, 20);
        await r.track(conversation, completeUpTo, shortMs);
        expect(await r.firstOpen(conversation)).toBe(completeUpTo + 1);
        await sleep(shortMs + 20);
        const open = await r.readOpen(conversation);
        expect(open).toMatchObject({ expired: [{ first: completeUpTo + 1, last: 10 }] });
        if (step === 1) return;
        expect(await r.expire(open)).toEqual(['expired']);
        expect(await r.firstOpen(conversation)).toBeUndefined();
      });
    }
  });

  test('a repetition that is tracked waits for tracking, too', async () => {
    const conversation = await r.tracked(0, 1);
    const calls = [{ id: 'm', ...tracked }];
    await r.claim(conversation, calls);
    await r.inGeneration(generation + 1, async () => {
      expect(await r.claim(conversation, calls)).toEqual({ status: 'missing', claims: [repeated(1)] });
      expect(await r.read(conversation)).toEqual({ status: 'missing' });
      await r.grant(conversation, 'install', 5, 6);
      expect(await r.claim(conversation, calls)).toEqual({ status: 'untracked' });
      expect(await r.claim(conversation, [{}, ...calls])).toEqual({ status: 'untracked' });
      // Also when the block has nothing left, and who is not tracked need not wait.
      expect(await r.claim(conversation, [{ id: 'other' }])).toEqual(taken(6, 0, fresh));
      expect(await r.claim(conversation, calls)).toEqual({ status: 'untracked' });
      expect(await r.claim(conversation, [{ id: 'm' }])).toEqual({
        status: 'repeated',
        claims: [repeated(1)],
      });
      expect(await r.claim(conversation, [{}, ...calls])).toEqual(short(6, 0, repeated(1)));
      expect(await r.read(conversation)).toEqual(present(6, 0));
      await r.track(conversation, 0);
      const open = await r.readOpen(conversation);
      expect(open).toMatchObject({ firstOpen: 1, expired: [] });
      expect(await r.claim(conversation, calls)).toEqual({ status: 'repeated', claims: [repeated(1, true)] });
    });
  });

  test('a repetition renews what is open, and opens nothing that is only held', async () => {
    const conversation = await r.tracked(0, 10);
    const [a, b, c] = ['a', 'b', 'c'].map((id) => ({ id, ...tracked })) as [CallSpec, CallSpec, CallSpec];
    await r.claim(conversation, [a, b, c]);
    await r.settle(conversation, 1, 2);
    await r.inGeneration(generation + 1, async () => {
      await r.grant(conversation, 'install', 5, 9);
      await r.track(conversation, 1);
      const calls = [a, { id: 'b' }, { id: 'new', ...tracked }, c];
      expect(await r.claim(conversation, calls)).toEqual(
        taken(6, 3, repeated(1, false), repeated(2), fresh, repeated(3, true)),
      );
      expect(await r.settle(conversation, 1, 2)).toEqual(['gone', 'gone']);
      expect(await r.claim(conversation, [b])).toEqual({ status: 'repeated', claims: [repeated(2, false)] });
      // Its holder does.
      expect(await r.renew(conversation, 2)).toBe('reopened');
      expect(await r.claim(conversation, [b])).toEqual({ status: 'repeated', claims: [repeated(2, true)] });
      expect(await r.settle(conversation, 2, 3, 6)).toEqual(['open', 'open', 'open']);
      expect(await r.claim(conversation, [b])).toEqual({ status: 'repeated', claims: [repeated(2, false)] });
    });
  });
}

export function describeForeignClaims(test: Test, r: Run): void {
  test('reports and leaves a receipt that is none', async () => {
    const texts = ['hello', '', '0', '-1', '007', '1.5', '1e3', '1000000000000', '9'.repeat(100), undefined];
    const conversation = await r.tracked(0, 100);
    await r.claim(conversation, [{ id: 'good' }]);
    let last = 1;
    for (const [index, text] of texts.entries()) {
      const id = `bad${index}`;
      await r.fixture.writeReceipt!(conversation, id, text);
      const found = text && text.length > 64 ? `${text.slice(0, 64)}…` : text;
      const corrupt = { status: 'corrupt', found: found ?? expect.any(String) };
      const kind = await r.fixture.kindOf!(conversation, { messageId: id });
      for (const ownTake of [false, true]) {
        const calls = [{ id, tracked: ownTake }, { id: 'good' }, { id: `new${index}${ownTake}` }, {}];
        last += 2;
        const result = taken(last, 100 - last, corrupt as never, repeated(1), fresh);
        expect(await r.claim(conversation, calls), text).toEqual(result);
        expect(await r.claim(conversation, [{ id }]), text).toEqual({
          status: 'repeated',
          claims: [corrupt],
        });
      }
      const restored = { conversation, messageId: id, number: 5, ttlMs: longMs };
      expect(await r.restore(restored, { ...restored, messageId: `other${index}` }), text).toEqual([
        undefined,
        5,
      ]);
      expect(await r.fixture.kindOf!(conversation, { messageId: id })).toBe(kind);
    }
    expect(await r.firstOpen(conversation)).toBeUndefined();
  });

  test('reports and leaves open takes that are none', async () => {
    const bad = await r.word(10, 10);
    const good = await r.tracked(0, 100);
    await r.fixture.writeOpen!(bad, 'hello');
    const corrupt = { status: 'corrupt', found: expect.stringContaining('WRONGTYPE') };
    const requests = [asClaims(bad, [tracked, { id: 'm' }]), asClaims(good, [tracked])];
    expect(done(await r.store.take(r.epoch, requests)).results).toEqual([
      { ...corrupt, claims: [fresh, fresh] },
      taken(1, 99, fresh),
    ]);
    expect(await r.read(bad)).toEqual(present(10, 10));
    expect(await r.store.readOpen(r.epoch, [bad, good])).toMatchObject({
      results: [corrupt, { status: 'tracked', firstOpen: 1 }],
    });
    const tracks = [bad, good].map((conversation) => ({ conversation, completeUpTo: 0 }));
    expect(await r.store.track(r.epoch, tracks, longMs)).toEqual({
      status: 'done',
      results: [corrupt, { status: 'tracked' }],
    });
    const takes = [bad, good, bad].map((conversation) => ({
      conversation,
      first: 1,
      last: 1,
      leaseMs: longMs,
    }));
    expect(await r.store.renew(r.epoch, takes)).toEqual({
      status: 'done',
      results: ['gone', 'open', 'gone'],
    });
    expect(await r.store.settle(r.epoch, takes)).toEqual({
      status: 'done',
      results: ['gone', 'open', 'gone'],
    });
    await r.claim(good, [tracked], { leaseMs: 1 });
    await sleep(5);
    const open = await r.readOpen(good);
    if (open.status !== 'tracked') throw new Error(open.status);
    const expiring = [...open.expired.map((take) => ({ ...take, conversation: bad })), ...open.expired];
    expect(await r.store.expire(r.epoch, expiring)).toEqual({ status: 'done', results: ['gone', 'expired'] });
    expect(await r.fixture.kindOf!(bad, 'open')).toBe('hello');
    // Without tracking it is a conversation like any other.
    expect(await r.claim(bad, [{ id: 'm' }])).toEqual(taken(11, 9, fresh));
  });

  test('a word that is none is not tracked', async () => {
    for (const text of ['hello', '007', '9999999999999999', '-1', '']) {
      const conversation = r.name();
      await r.fixture.write!(conversation, generation, text);
      const reply = await r.store.track(r.epoch, [{ conversation, completeUpTo: 0 }], longMs);
      expect(reply, text).toEqual({ status: 'done', results: [{ status: 'corrupt', found: text }] });
      expect(await r.fixture.kindOf!(conversation, 'open'), text).toBe('none');
      expect(await r.readOpen(conversation)).toMatchObject({ status: 'corrupt' });
    }
  });
}
