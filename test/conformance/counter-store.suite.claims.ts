import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { maxRemaining } from '../../src/core/counter-word.js';
import {
  asClaims,
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

const plain = {};

export function describeReceipts(test: Test, r: Run): void {
  test('a message id takes its number once', async () => {
    const conversation = await r.word(0, 10);
    expect(await r.claim(conversation, [{ id: 'm1' }])).toEqual(taken(1, 9, fresh));
    expect(await r.claim(conversation, [{ id: 'm1' }])).toEqual({
      status: 'repeated',
      claims: [repeated(1)],
    });
    expect(await r.claim(conversation, [{ id: 'm2' }])).toEqual(taken(2, 8, fresh));
    expect(await r.read(conversation)).toEqual(present(2, 8));
  });

  test('repeated calls take nothing, and the others get numbers as if those were not there', async () => {
    const conversation = await r.word(0, 100);
    await r.claim(conversation, [{ id: 'a' }, { id: 'b' }]);
    const calls = [plain, { id: 'c' }, { id: 'a' }, { id: 'd' }, { count: 5 }, { id: 'b' }, { id: 'e' }];
    // 3 plain, 4 c, 5 d, 6 to 10 plain, 11 e.
    expect(await r.claim(conversation, [...calls, plain])).toEqual(
      taken(12, 88, fresh, repeated(1), fresh, repeated(2), fresh),
    );
    const again = await r.claim(
      conversation,
      ['c', 'd', 'e'].map((id) => ({ id })),
    );
    expect(again).toEqual({ status: 'repeated', claims: [repeated(4), repeated(5), repeated(11)] });
    expect(await r.read(conversation)).toEqual(present(12, 88));
  });

  test('who only repeats needs no word, nor what is left of it', async () => {
    const conversation = await r.word(0, 2);
    await r.claim(conversation, [{ id: 'a' }, { id: 'b' }]);
    const all = { status: 'repeated', claims: [repeated(2), repeated(1)] };
    expect(await r.claim(conversation, [{ id: 'b' }, { id: 'a' }])).toEqual(all);
    expect(await r.read(conversation)).toEqual(present(2, 0));
    await r.inGeneration(generation + 1, async () => {
      const reply = await r.store.take(r.epoch, [asClaims(conversation, [{ id: 'b' }, { id: 'a' }])]);
      expect(reply).toEqual({ status: 'done', results: [all], storeTimeMs: 0 });
      expect(await r.read(conversation)).toEqual({ status: 'missing' });
    });
  });

  test('short and missing say what is repeated, and keep no receipt', async () => {
    const conversation = await r.word(0, 2);
    await r.claim(conversation, [{ id: 'a' }]);
    const calls = [{ id: 'x' }, { id: 'a' }, plain];
    expect(await r.claim(conversation, calls)).toEqual(short(1, 1, fresh, repeated(1)));
    expect(await r.read(conversation)).toEqual(present(1, 1));
    await r.inGeneration(generation + 1, async () => {
      const before = await r.fixture.nowMs();
      const reply = done(await r.store.take(r.epoch, [asClaims(conversation, calls)]));
      expect(reply.results).toEqual([{ status: 'missing', claims: [fresh, repeated(1)] }]);
      expect(reply.storeTimeMs).toBeGreaterThanOrEqual(before);
      expect(await r.read(conversation)).toEqual({ status: 'missing' });
      await r.grant(conversation, 'install', 5, 9);
      expect(await r.claim(conversation, calls)).toEqual(taken(7, 2, fresh, repeated(1)));
    });
  });

  test('what repeated calls do not need is enough for the others', async () => {
    const conversation = await r.word(0, 3);
    await r.claim(conversation, [{ id: 'a' }, { id: 'b' }]);
    const result = await r.claim(conversation, [{ id: 'a' }, { id: 'b' }, plain]);
    expect(result).toEqual(taken(3, 0, repeated(1), repeated(2)));
  });

  test('receipts end by themselves', async () => {
    const conversation = await r.word(0, 10);
    await r.claim(conversation, [{ id: 'short' }], { receiptTtlMs: shortMs });
    await r.claim(conversation, [{ id: 'long' }]);
    await sleep(shortMs + 20);
    const result = await r.claim(conversation, [{ id: 'short' }, { id: 'long' }]);
    expect(result).toEqual(taken(3, 7, fresh, repeated(2)));
  });

  test('a repeated call does not make its receipt last longer', async () => {
    const conversation = await r.word(0, 10);
    await r.claim(conversation, [{ id: 'm' }], { receiptTtlMs: 2 * shortMs });
    await sleep(shortMs);
    expect(await r.claim(conversation, [{ id: 'm' }])).toMatchObject({ status: 'repeated' });
    await sleep(shortMs + 20);
    expect(await r.claim(conversation, [{ id: 'm' }])).toEqual(taken(2, 8, fresh));
  });

  test('receipts outlive the generation', async () => {
    const conversation = await r.word(0, 10);
    await r.claim(conversation, [plain, { id: 'm' }]);
    await r.inGeneration(generation + 7, async () => {
      await r.grant(conversation, 'install', 50, 60);
      const calls = [plain, { id: 'm' }, { id: 'n' }];
      expect(await r.claim(conversation, calls)).toEqual(taken(52, 8, repeated(2), fresh));
    });
    expect(await r.claim(conversation, [{ id: 'n' }])).toMatchObject({ claims: [repeated(52)] });
  });

  test('batches mix claims and plain requests, in order', async () => {
    const conversations = await Promise.all([0, 1, 2, 3, 4, 5, 6].map((n) => r.word(n * 10, 5_000)));
    const at = (index: number) => conversations[index]!;
    await r.claim(at(2), [{ id: 'm' }]);
    await r.claim(at(5), [{ id: 'm' }, { id: 'n' }]);
    const missing = r.name();
    const requests = [
      { conversation: at(0), count: 1 },
      asClaims(at(1), [{ id: 'm' }]),
      { conversation: at(3), count: 1_000 },
      asClaims(at(2), [{ id: 'm' }]),
      asClaims(missing, [{ id: 'm' }]),
      { conversation: at(4), count: 1 },
      asClaims(at(5), [{ count: 7 }, { id: 'n' }, { id: 'o' }, { id: 'm' }]),
      { conversation: at(6), count: 2 },
    ];
    expect(done(await r.store.take(r.epoch, requests)).results).toEqual([
      taken(1, 4_999),
      taken(11, 4_999, fresh),
      taken(1_030, 4_000),
      { status: 'repeated', claims: [repeated(21)] },
      { status: 'missing', claims: [fresh] },
      taken(41, 4_999),
      taken(60, 4_990, repeated(52), fresh, repeated(51)),
      taken(62, 4_998),
    ]);
  });

  test('an empty list of claims claims nothing', async () => {
    const conversations = await Promise.all([0, 10, 20].map((last) => r.word(last, 20)));
    const requests = conversations.map((conversation, index) => ({
      conversation,
      count: 1 + index,
      claims: { receiptTtlMs: longMs, leaseMs: longMs, calls: [] },
    }));
    for (const asked of [requests, [asClaims(conversations[0]!, [{ id: 'm' }]), ...requests.slice(1)]])
      expect((await r.store.take(r.epoch, asked)).status).toBe('done');
    expect(await r.read(conversations[0]!)).toEqual(present(2, 18));
    expect(await r.read(conversations[1]!)).toEqual(present(14, 16));
    expect(await r.read(conversations[2]!)).toEqual(present(26, 14));
  });

  test('many message ids in one take', async () => {
    const conversation = await r.word(0, maxRemaining);
    const ids = Array.from({ length: 500 }, (_, index) => ({ id: `m${index}` }));
    expect(await r.claim(conversation, ids)).toEqual(taken(500, 8_500, ...ids.map(() => fresh)));
    expect(await r.claim(conversation, ids)).toEqual({
      status: 'repeated',
      claims: ids.map((_, index) => repeated(index + 1)),
    });
  });

  test('parallel takes of the same message ids agree', async () => {
    const conversation = await r.word(0, 100);
    const numbers = new Map<string, Set<number>>();
    const note = (id: string, number: number) => {
      numbers.set(id, (numbers.get(id) ?? new Set()).add(number));
    };
    const send = async (round: number): Promise<void> => {
      const ids = ['a', 'b', 'c', 'd', 'e'].map((id) => `${id}${round}`);
      const result = await r.claim(
        conversation,
        ids.map((id) => ({ id })),
      );
      if (result.status !== 'taken' && result.status !== 'repeated') throw new Error(result.status);
      let next = result.status === 'taken' ? result.word.last - ids.length : 0;
      result.claims!.forEach((claim, index) => {
        next += 1;
        note(ids[index]!, claim.status === 'repeated' ? claim.number : next);
      });
    };
    await Promise.all(Array.from({ length: 50 }, (_, index) => send(index % 10)));
    expect([...numbers.values()].map((seen) => seen.size)).toEqual(Array.from(numbers, () => 1));
    const all = [...numbers.values()].flatMap((seen) => [...seen]).sort((a, b) => a - b);
    expect(all).toEqual(Array.from({ length: 50 }, (_, index) => index + 1));
  });
}

const strangeIds = [
  '}',
  '%7D',
  '%257D',
  '%25',
  '%',
  ':',
  '}:7',
  '%7D:7',
  `}:${generation}`,
  'x}:1',
  '{',
  '{}',
  '1',
  'open',
  'receipt:1',
  '}:open',
  '}:receipt:1',
  ' ',
  '\n',
  '\r\n',
  '\0',
  '\0\0',
  '*?[x]\\',
  '🎉',
  'e\u0301',
  '\u00e9',
  'x'.repeat(255),
  '}'.repeat(255),
  '🎉'.repeat(63),
];

/** Keys of these could be mistaken for each other if braces and colons were taken as they are. */
const similar = (base: string) => [
  base,
  `${base}}:open`,
  `${base}}:${generation}`,
  `${base}}:receipt:m`,
  `${base}}:receipt:m}:${generation}`,
  `${base}:m`,
];

export function describeReceiptKeys(test: Test, r: Run): void {
  test('message ids may have any characters', async () => {
    const conversation = await r.word(0, 100);
    const calls = strangeIds.map((id) => ({ id }));
    expect(await r.claim(conversation, calls)).toEqual(
      taken(calls.length, 100 - calls.length, ...calls.map(() => fresh)),
    );
    expect(await r.claim(conversation, calls)).toEqual({
      status: 'repeated',
      claims: calls.map((_, index) => repeated(index + 1)),
    });
  });

  test('a message id is of one conversation', async () => {
    const [one, other] = [await r.word(0, 10), await r.word(5, 10)];
    await r.claim(one, [{ id: 'm' }]);
    expect(await r.claim(other, [{ id: 'm' }])).toEqual(taken(6, 9, fresh));
    const base = r.name();
    const pairs = [
      [base, 'b}:c'],
      [`${base}}:b`, 'c'],
      [base, 'b}:receipt:c'],
      [`${base}}:receipt:b`, 'c'],
      [`${base}:b`, '}:c'],
      [`${base}%7D:b`, 'c'],
    ] as const;
    for (const conversation of new Set(pairs.map(([name]) => name)))
      await r.grant(conversation, 'install', 0, 10);
    for (const [conversation, id] of pairs)
      expect(await r.claim(conversation, [{ id }]), `${conversation} ${id}`).toMatchObject({
        claims: [fresh],
      });
  });

  test('words, receipts and open takes of similar names do not touch each other', async () => {
    const conversations = similar(r.name());
    const calls = ['m', `m}:${generation}`, `${generation}`, `}:${generation}`, 'open', '}:open'].map(
      (id) => ({ id, tracked: true }),
    );
    for (const [index, conversation] of conversations.entries()) {
      expect(await r.grant(conversation, 'install', index * 100, index * 100 + 50)).toBe('granted');
      await r.track(conversation, index * 100);
    }
    for (const [index, conversation] of conversations.entries())
      expect(await r.claim(conversation, calls), conversation).toEqual(
        taken(index * 100 + 6, 44, ...calls.map(() => fresh)),
      );
    expect(await r.settle(conversations[1]!, 101)).toEqual(['open']);
    for (const [index, conversation] of conversations.entries()) {
      const isOpen = (call: number) => index !== 1 || call !== 0;
      const claims = calls.map((_, call) => repeated(index * 100 + 1 + call, isOpen(call)));
      expect(await r.claim(conversation, calls), conversation).toEqual({ status: 'repeated', claims });
      expect(await r.read(conversation)).toEqual(present(index * 100 + 6, 44));
      expect(await r.firstOpen(conversation)).toBe(index * 100 + (index === 1 ? 2 : 1));
    }
  });

  test('sweep leaves receipts and open takes', async () => {
    const conversations = similar(r.name());
    const calls = [...strangeIds, 'x}:1', '}:1'].slice(0, 20).map((id) => ({ id, tracked: true }));
    for (const conversation of conversations) {
      await r.grant(conversation, 'install', 0, 50);
      await r.track(conversation, 0);
      await r.claim(conversation, calls);
    }
    const { signal } = new AbortController();
    expect(
      await r.store.sweep!(r.store.slotOf(conversations[0]!), () => generation + 1, signal),
    ).toBeGreaterThanOrEqual(conversations.length);
    for (const conversation of conversations) {
      expect(await r.read(conversation)).toEqual({ status: 'missing' });
      const claims = calls.map((_, index) => repeated(index + 1, true));
      expect(await r.claim(conversation, calls), conversation).toEqual({ status: 'repeated', claims });
      await r.grant(conversation, 'install', 50, 60);
      expect(await r.firstOpen(conversation)).toBe(1);
    }
  });
}

export function describeRestoring(test: Test, r: Run): void {
  const receipt = (conversation: string, messageId: string, number: number, ttlMs = longMs) => {
    return { conversation, messageId, number, ttlMs };
  };

  test('puts missing receipts back, for as long as they say', async () => {
    const conversation = await r.word(10, 10);
    expect(
      await r.restore(receipt(conversation, 'a', 3), receipt(conversation, '}:7', 10 ** 12 - 1, shortMs)),
    ).toEqual([3, 10 ** 12 - 1]);
    const calls = [{ id: 'a' }, { id: '}:7' }];
    expect(await r.claim(conversation, calls)).toMatchObject({
      claims: [repeated(3), repeated(10 ** 12 - 1)],
    });
    await sleep(shortMs + 20);
    expect(await r.claim(conversation, calls)).toEqual(taken(11, 9, repeated(3), fresh));
  });

  test('never overwrites a receipt, nor its time', async () => {
    const conversation = await r.word(0, 10);
    await r.claim(conversation, [{ id: 'a' }], { receiptTtlMs: shortMs });
    expect(await r.restore(receipt(conversation, 'a', 7), receipt(conversation, 'b', 8))).toEqual([1, 8]);
    expect(await r.restore(receipt(conversation, 'a', 1), receipt(conversation, 'b', 9))).toEqual([1, 8]);
    expect(await r.claim(conversation, [{ id: 'a' }])).toMatchObject({ claims: [repeated(1)] });
    await sleep(shortMs + 20);
    expect(await r.claim(conversation, [{ id: 'a' }])).toEqual(taken(2, 8, fresh));
  });

  test('of two receipts for one message id the first counts', async () => {
    const conversation = await r.word(0, 10);
    expect(await r.restore(receipt(conversation, 'a', 5), receipt(conversation, 'a', 6))).toEqual([5, 5]);
    expect(await r.restore()).toEqual([]);
  });
}
