import { expect } from 'vitest';
import { maxRemaining, maxSequenceNumber, packWord } from '../../src/core/counter-word.js';
import {
  asRequests,
  done,
  farFutureMs,
  generation,
  present,
  type Run,
  short,
  type Test,
  taken,
} from './counter-store.suite.run.js';

export function describeTakes(test: Test, r: Run): void {
  test('takes one number after the other', async () => {
    const conversation = await r.word(0, 3);
    expect(await r.takeOne(conversation)).toEqual(taken(1, 2));
    expect(await r.takeOne(conversation)).toEqual(taken(2, 1));
    expect(await r.takeOne(conversation)).toEqual(taken(3, 0));
    expect(await r.takeOne(conversation)).toEqual(short(3, 0));
  });

  test('takes at once, where it can, as it takes otherwise', async () => {
    const { store, epoch } = r;
    // Only a store within this process has it; and such a store must.
    expect(store.takeNow === undefined).toBe(!store.traits.private);
    if (store.takeNow === undefined) return;
    const conversation = await r.word(10, 4);
    expect(store.takeNow(epoch, conversation, 3)).toBe(packWord({ last: 13, remaining: 1 }));
    expect(store.takeNow(epoch, conversation, 2)).toBeUndefined();
    expect(await r.read(conversation)).toEqual(present(13, 1));
    expect(store.takeNow(epoch, r.name(), 1)).toBeUndefined();
    expect(store.takeNow({ ...epoch, history: 'another' }, conversation, 1)).toBeUndefined();
    expect(store.takeNow(epoch, conversation, 1)).toBe(packWord({ last: 14, remaining: 0 }));
    expect(store.takeNow(epoch, conversation, 1)).toBeUndefined();
    expect(await r.read(conversation)).toEqual(present(14, 0));
  });

  test('answers missing with the store time', async () => {
    const before = await r.fixture.nowMs();
    const reply = done(await r.store.take(r.epoch, asRequests([[r.name(), 1]])));
    expect(reply.results).toEqual([{ status: 'missing' }]);
    expect(reply.storeTimeMs).toBeGreaterThanOrEqual(before);
    expect(reply.storeTimeMs).toBeLessThanOrEqual(await r.fixture.nowMs());
  });

  test('leaves a missing word missing', async () => {
    const conversation = r.name();
    await r.takeOne(conversation, 5);
    expect(await r.read(conversation)).toEqual({ status: 'missing' });
  });

  test('leaves a short word as it was', async () => {
    const conversation = await r.word(10, 4);
    expect(await r.takeOne(conversation, 5)).toEqual(short(10, 4));
    expect(await r.read(conversation)).toEqual(present(10, 4));
    expect(await r.takeOne(conversation, 4)).toEqual(taken(14, 0));
  });

  test('takes every count from 1 to 1,000', async () => {
    const conversation = await r.word(0, 0 + maxRemaining);
    let last = 0;
    let ceiling = maxRemaining;
    for (let count = 1; count <= 1_000; count += 1) {
      if (ceiling - last < count) {
        const size = maxRemaining - (ceiling - last);
        expect(await r.grant(conversation, 'extend', ceiling, ceiling + size)).toBe('granted');
        ceiling += size;
      }
      last += count;
      expect(await r.takeOne(conversation, count)).toEqual(taken(last, ceiling - last));
    }
    expect(last).toBe(500_500);
  });

  test('answers in the order of the requests, whatever their counts', async () => {
    const counts = [1, 7, 1, 1_000, 1, 2, 1];
    const conversations = await Promise.all(counts.map((_, index) => r.word(index * 10, 5_000)));
    const results = await r.take(
      ...counts.map((count, index) => [conversations[index]!, count] as [string, number]),
    );
    expect(results).toEqual(counts.map((count, index) => taken(index * 10 + count, 5_000 - count)));
  });

  test('mixes taken, short and missing in one batch', async () => {
    const [full, empty, none] = [await r.word(5, 5), await r.word(9, 1), r.name()];
    await r.takeOne(empty);
    const results = await r.take([empty, 3], [none, 1], [full, 1], [r.name(), 2]);
    expect(results).toEqual([short(10, 0), { status: 'missing' }, taken(6, 4), { status: 'missing' }]);
  });

  test('takes from the largest words', async () => {
    const conversation = await r.word(maxSequenceNumber - maxRemaining, maxRemaining);
    expect(await r.takeOne(conversation)).toEqual(taken(maxSequenceNumber - 8_999, 8_999));
    expect(await r.takeOne(conversation, 999)).toEqual(taken(maxSequenceNumber - 8_000, 8_000));
    for (let left = 7_000; left >= 0; left -= 1_000) {
      expect(await r.takeOne(conversation, 1_000)).toEqual(taken(maxSequenceNumber - left, left));
    }
    expect(await r.takeOne(conversation, 1_000)).toEqual(short(maxSequenceNumber, 0));
  });

  test('issues the last number once, and nothing behind it', async () => {
    const conversation = await r.word(maxSequenceNumber - 1, 1);
    expect(await r.takeOne(conversation)).toEqual(taken(maxSequenceNumber, 0));
    for (const count of [1, 2, 1_000]) {
      expect(await r.takeOne(conversation, count)).toEqual(short(maxSequenceNumber, 0));
    }
    expect(await r.read(conversation)).toEqual(present(maxSequenceNumber, 0));
  });

  test('takes for as many conversations as its trait says', async () => {
    const { maxBatch } = r.store.traits;
    const conversations = Array.from({ length: maxBatch }, () => r.name());
    const grants = conversations.map((conversation, index) => ({
      conversation,
      mode: 'install' as const,
      block: { start: index, end: index + 2 },
      expiresAtStoreTimeMs: farFutureMs,
    }));
    const granted = await r.store.grant(r.epoch, grants);
    expect(granted).toEqual({ status: 'done', results: conversations.map(() => 'granted') });
    const results = await r.take(
      ...conversations.map((c, index) => [c, 1 + (index % 2)] as [string, number]),
    );
    expect(results).toEqual(conversations.map((_, i) => taken(i + 1 + (i % 2), 1 - (i % 2))));
    expect(await r.store.read(r.epoch, conversations)).toMatchObject({
      results: conversations.map((_, i) => present(i + 1 + (i % 2), 1 - (i % 2))),
    });
  });

  test('accepts an empty batch', async () => {
    expect(done(await r.store.take(r.epoch, [])).results).toEqual([]);
    expect(await r.store.grant(r.epoch, [])).toEqual({ status: 'done', results: [] });
    expect(await r.store.read(r.epoch, [])).toMatchObject({ status: 'done', results: [] });
  });
}

const foreignTexts = [
  'hello',
  '',
  '007',
  '1.5',
  '0x10',
  '1e3',
  'nan',
  ' 1',
  '-1',
  '-1000000000000',
  '9001000000000000',
  '9001000000000001',
  '9007199254740993',
  '9223372036854775807',
  '-9223372036854775808',
  'x'.repeat(1_000),
];

export function describeForeign(test: Test, r: Run): void {
  test('reports and leaves what is not a counter word', async () => {
    for (const text of foreignTexts) {
      const conversation = r.name();
      await r.fixture.write!(conversation, generation, text);
      const shown = text.length > 64 ? `${text.slice(0, 64)}…` : text;
      expect(await r.read(conversation), text).toEqual({ status: 'corrupt', found: shown });
      for (const count of [1, 1_000]) {
        const result = await r.takeOne(conversation, count);
        expect(result.status, `take ${count} of ${text}`).toBe('corrupt');
        expect((result as { found: string }).found.length).toBeLessThanOrEqual(65);
      }
      expect(await r.grant(conversation, 'install', 0, 10), text).toBe('refused');
      expect(await r.grant(conversation, 'extend', 0, 10), text).toBe('refused');
      expect(await r.read(conversation), text).toEqual({ status: 'corrupt', found: shown });
    }
  });

  test('reports and leaves what is not even text', async () => {
    const conversation = r.name();
    await r.fixture.writeList!(conversation, generation);
    const other = await r.word(0, 2);
    expect((await r.take([conversation, 1], [other, 1])).map(({ status }) => status)).toEqual([
      'corrupt',
      'taken',
    ]);
    expect((await r.take([other, 1], [conversation, 1])).map(({ status }) => status)).toEqual([
      'taken',
      'corrupt',
    ]);
    expect(await r.grant(conversation, 'install', 0, 10)).toBe('refused');
    expect((await r.read(conversation)).status).toBe('corrupt');
  });
}

export function describeConcurrency(test: Test, r: Run): void {
  test('parallel takes never overlap and leave nothing out', async () => {
    const conversations = await Promise.all([0, 1, 2].map(() => r.word(0, maxRemaining)));
    const seen = conversations.map(() => [] as number[]);
    const worker = async (offset: number): Promise<void> => {
      for (let round = 0; round < 50; round += 1) {
        const count = 1 + ((round + offset) % 3);
        const results = await r.take(...conversations.map((c) => [c, count] as [string, number]));
        for (const [index, result] of results.entries()) {
          if (result.status !== 'taken') throw new Error(result.status);
          for (let n = result.word.last - count + 1; n <= result.word.last; n += 1) seen[index]!.push(n);
        }
      }
    };
    await Promise.all(Array.from({ length: 20 }, (_, offset) => worker(offset)));
    for (const numbers of seen) {
      numbers.sort((a, b) => a - b);
      expect(numbers).toEqual(numbers.map((_, index) => index + 1));
    }
  });
}
