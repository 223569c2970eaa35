import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import type { Epoch, Grant } from '../../src/core/counter-store.js';
import { maxRemaining, maxSequenceNumber } from '../../src/core/counter-word.js';
import { seenWords } from '../support/seen-words.js';
import {
  asRequests,
  farFutureMs,
  generation,
  present,
  type Run,
  type Test,
  taken,
} from './counter-store.suite.run.js';

/** Longer than a second by enough for a store that counts whole seconds. */
const idleTestMs = 2_100;

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
    const own = r.epoch;
    for (const [index, id] of ids.entries()) {
      r.epoch = await r.epochOf(id);
      expect(await r.grant(id, 'install', index, index + 3)).toBe('granted');
      expect(await r.takeOne(id)).toEqual(taken(index + 1, 2));
    }
    r.epoch = own;
    if (r.store.traits.slots > 1) return;
    const results = await r.take(...ids.map((id) => [id, 1] as [string, number]));
    expect(results).toEqual(ids.map((_, index) => taken(index + 2, 1)));
  });
}

export function describeDrain(test: Test, r: Run): void {
  const drain = async (...conversations: readonly string[]) => {
    const reply = await r.store.drain(r.epoch, await seenWords(r.store, r.epoch, conversations));
    if (reply.status !== 'done') throw new Error(`drain: ${reply.status}`);
    return reply.words;
  };
  const idle = async (idleMs: number, epoch = r.epoch) => {
    const found = new Set<string>();
    const slot = r.store.slotOf(r.name());
    for await (const names of r.store.idle(slot, epoch, idleMs, new AbortController().signal))
      for (const name of names) found.add(name);
    return found;
  };

  test('drain removes words and returns them, in order', async () => {
    const [one, two, none, stays] = [await r.word(1, 7), await r.word(1, 1), r.name(), await r.word(3, 7)];
    await r.takeOne(one, 2);
    await r.takeOne(two);
    expect(await drain(none, one, two)).toEqual([
      undefined,
      { last: 3, remaining: 5 },
      { last: 2, remaining: 0 },
    ]);
    expect(await drain(one, two, none)).toEqual([undefined, undefined, undefined]);
    expect(await r.read(one)).toEqual({ status: 'missing' });
    expect(await r.read(stays)).toEqual(present(3, 7));
    expect(await drain()).toEqual([]);
  });

  test('I14: drain leaves a word that reaches elsewhere than it was seen to', async () => {
    const [grown, taken] = [await r.word(1, 7), await r.word(1, 7)];
    const seen = await seenWords(r.store, r.epoch, [grown, taken]);
    expect(await r.grant(grown, 'extend', 8, 12)).toBe('granted');
    await r.takeOne(taken);
    expect(await r.store.drain(r.epoch, seen)).toEqual({
      status: 'done',
      words: [undefined, { last: 2, remaining: 6 }],
    });
    expect(await r.read(grown)).toEqual(present(1, 11));
    expect(await r.read(taken)).toEqual({ status: 'missing' });
  });

  test('drain leaves words of another generation', async () => {
    const conversation = await r.word(1, 7);
    await r.inGeneration(generation + 1, async () => {
      expect(await drain(conversation)).toEqual([undefined]);
    });
  });

  test('idle names what nobody has touched, and nothing else', async () => {
    const words = [await r.word(1, 7), await r.word(2, 7), await r.word(3, 7)];
    const strange = `${r.name()}}:${generation}`;
    await r.grant(strange, 'install', 0, 10);
    expect(await idle(3_600_000)).toEqual(new Set());
    await sleep(idleTestMs);
    await r.takeOne(words[1]!);
    // The clock that idle times are read from has whole seconds: one may have begun since.
    const found = await idle(2_000);
    expect([...words, strange].filter((name) => found.has(name))).toEqual([words[0], words[2], strange]);
    expect(await idle(2_000, { ...r.epoch, generation: generation + 9 })).toEqual(
      r.store.traits.private ? found : new Set(),
    );
  });

  test('idle finds everything in many steps, and ends when it is told to', async () => {
    const words = new Set<string>();
    const grants: Grant[] = [];
    for (let index = 0; index < 1_000; index += 1) {
      const conversation = r.name();
      words.add(conversation);
      const block = { start: 0, end: 5 };
      grants.push({ conversation, block, mode: 'install', expiresAtStoreTimeMs: farFutureMs });
    }
    await r.store.grant(r.epoch, grants);
    const found = await idle(0);
    expect([...words].filter((name) => !found.has(name))).toEqual([]);
    const abort = new AbortController();
    let steps = 0;
    for await (const _ of r.store.idle(r.store.slotOf(r.name()), r.epoch, 0, abort.signal)) {
      steps += 1;
      abort.abort();
    }
    expect(steps).toBe(1);
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
    const seen = await seenWords(r.store, r.epoch, [conversation]);
    expect(await r.store.drain(wrong, seen)).toEqual(stale);
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
