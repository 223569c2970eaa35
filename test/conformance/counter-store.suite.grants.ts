import { expect } from 'vitest';
import type { Epoch, Grant } from '../../src/core/counter-store.js';
import { maxRemaining, maxSequenceNumber } from '../../src/core/counter-word.js';
import {
  asRequests,
  farFutureMs,
  generation,
  present,
  type Run,
  type Test,
  taken,
} from './counter-store.suite.run.js';

export function describeGrants(test: Test, r: Run): void {
  test('extend grows the word whose ceiling is the start of the block', async () => {
    const conversation = await r.word(0, 10);
    await r.takeOne(conversation, 4);
    expect(await r.grant(conversation, 'extend', 10, 30)).toBe('granted');
    expect(await r.read(conversation)).toEqual(present(4, 26));
  });

  test('extend refuses a missing word and any other ceiling', async () => {
    const missing = r.name();
    expect(await r.grant(missing, 'extend', 0, 10)).toBe('refused');
    expect(await r.read(missing)).toEqual({ status: 'missing' });
    const conversation = await r.word(0, 10);
    for (const start of [0, 9, 11, 1_000]) {
      expect(await r.grant(conversation, 'extend', start, start + 10)).toBe('refused');
    }
    expect(await r.read(conversation)).toEqual(present(0, 10));
  });

  test('extend does not expire', async () => {
    const conversation = await r.word(0, 10);
    expect(await r.grant(conversation, 'extend', 10, 20, 0)).toBe('granted');
  });

  test('install sets a missing or lower word, grows an equal one, leaves a higher one', async () => {
    const conversation = r.name();
    expect(await r.grant(conversation, 'install', 100, 150)).toBe('granted');
    expect(await r.read(conversation)).toEqual(present(100, 50));
    expect(await r.grant(conversation, 'install', 151, 160)).toBe('granted');
    expect(await r.read(conversation)).toEqual(present(151, 9));
    await r.takeOne(conversation, 2);
    expect(await r.grant(conversation, 'install', 160, 170)).toBe('granted');
    expect(await r.read(conversation)).toEqual(present(153, 17));
    expect(await r.grant(conversation, 'install', 169, 180)).toBe('refused');
    expect(await r.grant(conversation, 'install', 0, 9_000)).toBe('refused');
    expect(await r.read(conversation)).toEqual(present(153, 17));
  });

  test('install is refused after its time, whatever it finds', async () => {
    const missing = r.name();
    const past = (await r.fixture.nowMs()) - 1_000;
    expect(await r.grant(missing, 'install', 0, 10, past)).toBe('refused');
    expect(await r.read(missing)).toEqual({ status: 'missing' });
    const conversation = await r.word(0, 10);
    expect(await r.grant(conversation, 'install', 10, 20, past)).toBe('refused');
    expect(await r.grant(conversation, 'install', 50, 60, past)).toBe('refused');
    expect(await r.read(conversation)).toEqual(present(0, 10));
    expect(await r.grant(missing, 'install', 0, 10, (await r.fixture.nowMs()) + 5_000)).toBe('granted');
  });

  test('no word holds more than 9,000', async () => {
    const conversation = await r.word(0, maxRemaining);
    expect(await r.grant(conversation, 'extend', maxRemaining, maxRemaining + 1)).toBe('refused');
    expect(await r.grant(conversation, 'install', maxRemaining, maxRemaining + 1)).toBe('refused');
    await r.takeOne(conversation);
    expect(await r.grant(conversation, 'extend', maxRemaining, maxRemaining + 2)).toBe('refused');
    expect(await r.grant(conversation, 'extend', maxRemaining, maxRemaining + 1)).toBe('granted');
    expect(await r.read(conversation)).toEqual(present(1, maxRemaining));
    expect(await r.grant(r.name(), 'install', 0, maxRemaining + 1)).toBe('refused');
  });

  test('no block reaches behind the last number, and none is empty', async () => {
    const conversation = r.name();
    expect(await r.grant(conversation, 'install', maxSequenceNumber - 5, maxSequenceNumber + 1)).toBe(
      'refused',
    );
    expect(await r.grant(conversation, 'install', 5, 5)).toBe('refused');
    expect(await r.grant(conversation, 'install', 5, 4)).toBe('refused');
    expect(await r.read(conversation)).toEqual({ status: 'missing' });
    expect(await r.grant(conversation, 'install', maxSequenceNumber - 5, maxSequenceNumber)).toBe('granted');
  });

  test('a grant that runs twice counts once', async () => {
    const conversation = r.name();
    expect(await r.grant(conversation, 'install', 0, 10)).toBe('granted');
    expect(await r.grant(conversation, 'install', 0, 10)).toBe('refused');
    expect(await r.grant(conversation, 'extend', 10, 20)).toBe('granted');
    expect(await r.grant(conversation, 'extend', 10, 20)).toBe('refused');
    expect(await r.read(conversation)).toEqual(present(0, 20));
  });

  test('a late grant does nothing', async () => {
    const conversation = await r.word(0, 10);
    expect(await r.grant(conversation, 'extend', 10, 20)).toBe('granted');
    await r.takeOne(conversation, 20);
    expect(await r.grant(conversation, 'extend', 10, 20)).toBe('refused');
    expect(await r.grant(conversation, 'install', 0, 10)).toBe('refused');
    expect(await r.read(conversation)).toEqual(present(20, 0));
  });
}

export function describeReads(test: Test, r: Run): void {
  test('read changes nothing and tells the store time', async () => {
    const conversation = await r.word(3, 4);
    const none = r.name();
    for (let round = 0; round < 3; round += 1) {
      const before = await r.fixture.nowMs();
      const reply = await r.store.read(r.epoch, [conversation, none]);
      expect(reply).toMatchObject({ status: 'done', results: [present(3, 4), { status: 'missing' }] });
      const { storeTimeMs } = reply as { storeTimeMs: number };
      expect(storeTimeMs).toBeGreaterThanOrEqual(before);
      expect(storeTimeMs).toBeLessThanOrEqual(await r.fixture.nowMs());
    }
    expect(await r.takeOne(conversation)).toEqual(taken(4, 3));
  });

  test('ids may hold what keys are made of', async () => {
    const ids = ['a}:9', '{a}', 'a:b', 'ä€🎉', 'a*?[x]', ' ', `g${'x'.repeat(250)}`].map(
      (id) => `group:${id}`,
    );
    for (const [index, id] of ids.entries()) {
      expect(await r.grant(id, 'install', index, index + 3)).toBe('granted');
    }
    const results = await r.take(...ids.map((id) => [id, 1] as [string, number]));
    expect(results).toEqual(ids.map((_, index) => taken(index + 1, 2)));
  });
}

export function describeDrain(test: Test, r: Run): void {
  test('drain removes words and returns them', async () => {
    await r.fixture.lose();
    await r.refreshEpoch();
    const words = new Map<string, number>();
    for (let last = 1; last <= 5; last += 1) words.set(await r.word(last, 7), last);
    expect(await r.store.drain!({ ...r.epoch, history: 'other' }, 10)).toEqual([]);
    const drained = [...(await r.store.drain!(r.epoch, 2)), ...(await r.store.drain!(r.epoch, 10))];
    expect(await r.store.drain!(r.epoch, 10)).toEqual([]);
    expect(new Map(drained.map(({ conversation, word }) => [conversation, word.last]))).toEqual(words);
    for (const { conversation, word } of drained) {
      expect(word.remaining).toBe(7);
      expect(await r.read(conversation)).toEqual({ status: 'missing' });
    }
  });
}

export function describeHistory(test: Test, r: Run): void {
  test('stale touches nothing', async () => {
    const conversation = await r.word(0, 10);
    const stale = { status: 'stale', history: r.epoch.history };
    const wrong: Epoch = { history: '0'.repeat(40), generation };
    expect(await r.store.take(wrong, asRequests([[conversation, 1]]))).toEqual(stale);
    const grant: Grant = {
      conversation,
      mode: 'extend',
      block: { start: 10, end: 20 },
      expiresAtStoreTimeMs: farFutureMs,
    };
    expect(await r.store.grant(wrong, [grant])).toEqual(stale);
    expect(await r.store.read(wrong, [conversation])).toEqual(stale);
    expect(await r.read(conversation)).toEqual(present(0, 10));
  });

  test('the history stays until the words are lost', async () => {
    const before = r.epoch;
    await r.refreshEpoch();
    expect(r.epoch).toEqual(before);
    const conversation = await r.word(0, 10);
    await r.fixture.lose();
    await r.refreshEpoch();
    expect(r.epoch.history).not.toBe(before.history);
    expect(await r.store.take(before, asRequests([[conversation, 1]]))).toEqual({
      status: 'stale',
      history: r.epoch.history,
    });
    expect(await r.takeOne(conversation)).toEqual({ status: 'missing' });
  });
}
