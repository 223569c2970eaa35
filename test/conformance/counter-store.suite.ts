import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type {
  CounterStore,
  Epoch,
  Grant,
  ReadResult,
  TakeReply,
  TakeRequest,
  TakeResult,
} from '../../src/core/counter-store.js';
import { maxRemaining, maxSequenceNumber } from '../../src/core/counter-word.js';
import { TidemarkError } from '../../src/errors.js';

/** A store under test. */
export interface CounterStoreFixture {
  readonly store: CounterStore;
  /** The store's clock, milliseconds. */
  nowMs(): number | Promise<number>;
  /** Loses all words and the history, as a server does that restarts empty. */
  lose(): Promise<void> | void;
  /** Writes text where a conversation's word is; undefined where only the store itself can write. */
  readonly write?: (conversation: string, generation: number, text: string) => Promise<void>;
  /** Makes something that is no string where a conversation's word is. */
  readonly writeList?: (conversation: string, generation: number) => Promise<void>;
  /** Closes the store and removes what it kept. */
  stop(): Promise<void>;
}

export interface CounterStoreSuite {
  readonly name: string;
  create(): Promise<CounterStoreFixture>;
  /** Tests that this adapter cannot run, each with the reason. A name that no test has fails the suite. */
  readonly skip?: readonly { readonly test: string; readonly reason: string }[];
}

const generation = 3;
const farFutureMs = 1e15;

/** One fixture, and short ways to ask it. */
class Run {
  fixture!: CounterStoreFixture;
  epoch!: Epoch;
  #names = 0;

  get store(): CounterStore {
    return this.fixture.store;
  }

  name(): string {
    this.#names += 1;
    return `group:suite-${this.#names}`;
  }

  async refreshEpoch(): Promise<void> {
    this.epoch = { history: await this.store.history(), generation };
  }

  async take(...requests: [conversation: string, count: number][]): Promise<readonly TakeResult[]> {
    return done(await this.store.take(this.epoch, asRequests(requests))).results;
  }

  async takeOne(conversation: string, count = 1): Promise<TakeResult> {
    return (await this.take([conversation, count]))[0]!;
  }

  async grant(
    conversation: string,
    mode: Grant['mode'],
    start: number,
    end: number,
    expiresMs = farFutureMs,
  ) {
    const grant = { conversation, mode, block: { start, end }, expiresAtStoreTimeMs: expiresMs };
    const reply = await this.store.grant(this.epoch, [grant]);
    if (reply.status !== 'done') throw new Error(`grant: ${reply.status}`);
    return reply.results[0]!;
  }

  async read(conversation: string): Promise<ReadResult> {
    const reply = await this.store.read(this.epoch, [conversation]);
    if (reply.status !== 'done') throw new Error(`read: ${reply.status}`);
    return reply.results[0]!;
  }

  /** A conversation of its own with this word, made as the ledger would: one install of the block. */
  async word(last: number, remaining: number): Promise<string> {
    const conversation = this.name();
    expect(await this.grant(conversation, 'install', last, last + remaining)).toBe('granted');
    return conversation;
  }
}

/** The conformance suite of the counter store port. Every adapter runs it on the real store. */
export function run(suite: CounterStoreSuite): void {
  const skipped = new Map(suite.skip?.map(({ test, reason }) => [test, reason]));
  describe(`counter store: ${suite.name}`, () => {
    const r = new Run();
    beforeAll(async () => {
      r.fixture = await suite.create();
      await r.refreshEpoch();
    });
    afterAll(() => r.fixture.stop());
    const test = (name: string, body: () => Promise<void>): void => {
      const reason = skipped.get(name);
      skipped.delete(name);
      if (reason === undefined) it(name, body);
      else it.skip(`${name} (${reason})`, body);
    };

    describeTakes(test, r);
    describeForeign(test, r);
    describeGrants(test, r);
    describeReads(test, r);
    describeDrain(test, r);
    describeConcurrency(test, r);
    describeHistory(test, r);
    it('skips only tests that exist', () => expect([...skipped.keys()]).toEqual([]));
    // The last one: nothing works behind it.
    test('rejects calls after close', async () => {
      await r.store.close();
      await r.store.close();
      const calls = [
        r.store.history(),
        r.store.take(r.epoch, asRequests([['group:g', 1]])),
        r.store.grant(r.epoch, []),
        r.store.read(r.epoch, ['group:g']),
      ];
      for (const call of calls) {
        const error = await call.then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(error).toBeInstanceOf(TidemarkError);
        expect((error as TidemarkError).code).toBe('closed');
      }
    });
  });
}

type Test = (name: string, body: () => Promise<void>) => void;

function describeTakes(test: Test, r: Run): void {
  test('takes one number after the other', async () => {
    const conversation = await r.word(0, 3);
    expect(await r.takeOne(conversation)).toEqual(taken(1, 2));
    expect(await r.takeOne(conversation)).toEqual(taken(2, 1));
    expect(await r.takeOne(conversation)).toEqual(taken(3, 0));
    expect(await r.takeOne(conversation)).toEqual(short(3, 0));
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

function describeForeign(test: Test, r: Run): void {
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

function describeGrants(test: Test, r: Run): void {
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

function describeReads(test: Test, r: Run): void {
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

function describeDrain(test: Test, r: Run): void {
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

function describeConcurrency(test: Test, r: Run): void {
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

function describeHistory(test: Test, r: Run): void {
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

function asRequests(requests: readonly [conversation: string, count: number][]): TakeRequest[] {
  return requests.map(([conversation, count]) => ({ conversation, count }));
}

function done(reply: TakeReply): Extract<TakeReply, { status: 'done' }> {
  if (reply.status !== 'done') throw new Error(`take: ${reply.status}`);
  return reply;
}

function taken(last: number, remaining: number): TakeResult {
  return { status: 'taken', word: { last, remaining } };
}

function short(last: number, remaining: number): TakeResult {
  return { status: 'short', word: { last, remaining } };
}

function present(last: number, remaining: number): ReadResult {
  return { status: 'present', word: { last, remaining } };
}
