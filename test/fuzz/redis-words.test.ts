/**
 * What somebody else has put where Tidemark keeps counter words, receipts and open takes, on a real Redis: a clear error of that
 * conversation, nothing overwritten, nobody else disturbed, and on it goes once that is removed.
 */

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { Epoch } from '../../src/core/counter-store.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import { openKey, wordKey } from '../../src/counters/redis/keys.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { install, take } from '../integration/redis-support.js';
import { seed } from '../support/runs.js';
import { seenWords } from '../support/seen-words.js';
import { type RedisServer, startRedis } from '../support/servers.js';
import { waitUntil } from '../support/wait.js';
import { fuzzed, timeoutMs } from './hostile.js';
import {
  hostileValues,
  hostileWords,
  plantOnRedis,
  plantValue,
  type RedisPoison,
  redisPoisons,
  text,
} from './hostile-stores.js';
import {
  type CallName,
  callNames,
  callOf,
  endingCalls,
  expectExplained,
  expectSound,
  Used,
  use,
} from './used-conversations.js';

const generation = 1;
/** A call of a poisoned conversation is answered at once, whatever its deadline. */
const callTimeoutMs = 20_000;
const longestCallMs = 10_000;
/** Conversations that are poisoned at the same time. */
const maxTogether = 24;
/** What is removed from Redis is missed for a second, until it counts as lost. */
const part = 0.005;
const poisons = redisPoisons(generation);

let server: RedisServer;
let counters: RedisCounterStore;
let sequences: SequenceGenerator;
let epoch: Epoch;
let runsDone = 0;

beforeAll(async () => {
  server = await startRedis();
  counters = new RedisCounterStore({ url: server.url });
  sequences = new SequenceGenerator({ counters, ledger: new MemoryLedger(), timeoutMs: callTimeoutMs });
  const first = groupChat('first');
  await sequences.next(first);
  const { history } = await sequences.inspect(first);
  epoch = { history, generation };
});

afterAll(async () => {
  await sequences?.close();
  await server?.stop();
});

interface Case {
  readonly poison: RedisPoison;
  /** Whether it had numbers before. */
  readonly isUsed: boolean;
  readonly asked: readonly CallName[];
}

/** One that somebody else has written into. */
class Poisoned extends Used {
  readonly #poison: RedisPoison;
  readonly isUsed: boolean;
  readonly asked: readonly CallName[];
  at = { key: '', shown: '' as unknown };

  constructor(name: string, { poison, isUsed, asked }: Case) {
    super(name);
    this.#poison = poison;
    this.isUsed = isUsed;
    this.asked = asked;
  }

  get what(): string {
    return `${this.#poison.place}: ${this.#poison.name}`;
  }

  async plant(): Promise<void> {
    const place = { conversation: this.key, generation, messageId: 'm' };
    const key = await plantOnRedis(server, this.#poison, place);
    this.at = { key, shown: await shownBy(this.#poison, key) };
  }

  async expectUnchanged(): Promise<void> {
    expect(await shownBy(this.#poison, this.at.key), this.what).toEqual(this.at.shown);
  }

  /** It succeeds, or says what is wrong with which conversation. */
  async call(name: CallName): Promise<void> {
    const error = await callOf(sequences, name, this, 'm');
    if (error === undefined) return;
    const what = `${name} with ${this.what}: ${error.message}`;
    expect(error.message, what).toContain(this.key);
    expect(error.conversation, what).toBe(this.key);
    expect(['counter_corrupt', 'invalid_argument', 'lease_expired'], what).toContain(error.code);
    if (error.code !== 'counter_corrupt') expect(endingCalls, what).toContain(name);
    expect(error.message, what).not.toMatch(/\p{Cc}/u);
  }
}

describe(`hostile words on a real Redis, seed ${seed}`, () => {
  it('each of them, with every call, used before or not', async () => {
    const asked = [...callNames, 'next', 'take', 'message'] as const;
    for (const isUsed of [true, false]) {
      for (let from = 0; from < poisons.length; from += maxTogether) {
        const some = poisons.slice(from, from + maxTogether);
        await poisoned(some.map((poison) => ({ poison, isUsed, asked })));
      }
    }
  }, 120_000);

  it(
    'some of them, with calls in any order, over and over',
    async () => {
      const one = fc.record({
        poison: fc.constantFrom(...poisons),
        isUsed: fc.boolean(),
        asked: fc.array(fc.constantFrom(...callNames), { minLength: 1, maxLength: 8 }),
      });
      const several = fc.array(one, { minLength: 1, maxLength: maxTogether });
      await fc.assert(fc.asyncProperty(several, poisoned), { ...fuzzed(part), endOnFailure: true });
    },
    timeoutMs(2_000, part),
  );

  it.each(hostileWords)(
    '$name: it is no word, stays as it is, and gives no number that was issued',
    async (word) => {
      const conversation = `group:end-${word.command[1]}`;
      const key = wordKey('seq', conversation, generation);
      await plantValue(server, key, word);
      const corrupt = { status: 'corrupt', found: word.command[1] };
      for (const count of [1, 2, 3, 1_000]) {
        const claimed = { receiptTtlMs: 9_000, leaseMs: 9_000 };
        const message = { offset: 0, count: 1, messageId: 'm', tracked: false };
        const requests = [
          { conversation, count },
          { conversation, count, claims: { ...claimed, calls: [message] } },
        ];
        for (const request of requests) {
          expect(await counters.take(epoch, [request])).toMatchObject({ results: [corrupt] });
          expect(await server.command('GET', key)).toBe(word.command[1]);
        }
      }
      expect(await server.command('EXISTS', `seq:{${conversation}}:receipt:m`)).toBe(0);
    },
  );

  it('what stands in the place of another open take is neither settled nor renewed in its stead', async () => {
    const conversation = 'group:in-place';
    await install(counters, epoch, conversation);
    await counters.track(epoch, [{ conversation, completeUpTo: 0 }], 1_000);
    const foreign = '700 700 9999999999999';
    await server.command('ZADD', openKey('seq', conversation), '5', foreign);
    const leased = { conversation, first: 5, last: 5, leaseMs: 1_000 };
    expect(await counters.settle(epoch, [leased])).toMatchObject({ results: ['gone'] });
    expect(await counters.renew(epoch, [leased])).toMatchObject({ results: ['gone'] });
    // Nor does it tell how far the conversation is complete.
    expect(await counters.readOpen(epoch, [conversation])).toMatchObject({
      results: [{ status: 'corrupt', found: foreign }],
    });
  });

  it('what stands in a lane is no record, and no call is lost for it', async () => {
    const used = new Used('lanes');
    const records = [...hostileValues, ...hostileWords].flatMap((value) => {
      const [first] = value.command;
      return first === 'SET'
        ? [value, { ...value, command: ['SET', `${value.command[1]} ${value.command[1]}`] as const }]
        : [value];
    });
    for (const record of records) {
      const lanes = (await server.command('KEYS', 'seq:lane:*')) as string[];
      expect(lanes.length).toBeGreaterThan(0);
      for (const lane of lanes) await plantValue(server, lane, record);
      const startedAtMs = performance.now();
      for (let taken = 0; taken <= lanes.length; taken += 1) await use(sequences, used);
      expect(performance.now() - startedAtMs, record.name).toBeLessThan(longestCallMs);
    }
    await expectExplained(sequences, used);
    expect(await sequences.gaps(used.of)).toEqual([]);
  });

  it('a sweep and a search for idle words go past anything: it stays, and every old and idle word beside it goes', async () => {
    const kept = new Map<string, unknown>();
    const old: string[] = [];
    const idle: string[] = [];
    const [oldWord, idleWord] = [text('old', '5000000000001'), text('idle', '7000000000003')];
    // A sound word stands beside each poison: whoever stops at one of them, or loses a step with it, leaves some behind.
    for (const [index, value] of [...hostileValues, ...hostileWords].entries()) {
      for (const key of [`seq:{group:k${index}}:1`, `seq:{group:k${index}}:1e3`, `seq:{k${index}:1`]) {
        await plantValue(server, key, value);
        kept.set(key, await server.command('DUMP', key));
      }
      for (const [conversation, word, keys] of [
        [`group:old-sound${index}`, oldWord, old],
        [`group:idle${index}`, idleWord, idle],
      ] as const) {
        const key = wordKey('seq', conversation, generation);
        await plantValue(server, key, word);
        keys.push(key);
      }
      const key = `seq:{group:old${index}}:1`;
      await plantValue(server, key, value);
      // Under the key of an old word, any text is one.
      if (value.type === 'string') old.push(key);
      else kept.set(key, await server.command('DUMP', key));
    }
    const { signal } = new AbortController();
    // The second generation has begun: what is of the first is old.
    const generationOf = (conversation: string) => (conversation.startsWith('group:old') ? 2 : generation);
    expect(await counters.sweep(0, generationOf, signal)).toBe(old.length);
    for (const key of old) expect(await server.command('EXISTS', key), key).toBe(0);
    for (const key of idle) expect(await server.command('EXISTS', key), key).toBe(1);

    const drained = new Map<string, unknown>();
    for await (const conversations of counters.idle(0, epoch, 0, signal)) {
      const reply = await counters.drain(epoch, await seenWords(counters, epoch, conversations));
      if (reply.status !== 'done') throw new Error(reply.status);
      for (const [index, conversation] of conversations.entries())
        if (reply.words[index] !== undefined)
          drained.set(wordKey('seq', conversation, generation), reply.words[index]);
    }
    for (const key of idle) {
      expect(drained.get(key), key).toEqual({ last: 3, remaining: 7 });
      expect(await server.command('EXISTS', key), key).toBe(0);
    }
    for (const [key, shown] of kept) expect(await server.command('DUMP', key), key).toEqual(shown);
    expect((await take(counters, epoch, 'group:k0')).status).toBe('done');
  });

  it('idle words that a generator looks for by itself are drained, whatever stands beside them', async () => {
    const prefix = 'idle';
    const events: TidemarkEvent[] = [];
    const own = new SequenceGenerator({
      counters: new RedisCounterStore({ url: server.url, prefix }),
      ledger: new MemoryLedger(),
      idleAfterMs: 1_000,
      onEvent: (event) => events.push(event),
    });
    try {
      const used = new Used('idle');
      await use(own, used);
      const poisonsOfWords = [...hostileValues, ...hostileWords].entries();
      const planted = new Map<string, unknown>();
      for (const [index, value] of poisonsOfWords) {
        const key = wordKey(prefix, `group:poison${index}`, generation);
        await plantValue(server, key, value);
        planted.set(key, await server.command('DUMP', key));
      }
      const word = wordKey(prefix, used.key, generation);
      await waitUntil('the idle word is drained', async () => (await server.command('EXISTS', word)) === 0);
      expect(events.filter(({ type }) => type === 'idle_failed')).toEqual([]);
      for (const [key, shown] of planted) expect(await server.command('DUMP', key), key).toEqual(shown);
      const issued = Math.max(...used.numbers);
      await use(own, used);
      expect(used.numbers).toContain(issued + 1);
      // Handed back, not lost.
      expect(await own.gaps(used.of)).toEqual([]);
      await expectExplained(own, used);
    } finally {
      await own.close();
    }
  });
});

/** Conversations are poisoned between calls, and used together with others that are sound. */
async function poisoned(cases: readonly Case[]): Promise<void> {
  runsDone += 1;
  const bad = cases.map((of, index) => new Poisoned(`bad-${runsDone}-${index}`, of));
  const sound = bad.slice(0, 5).map((_, index) => new Used(`sound-${runsDone}-${index}`));
  const all = [...bad, ...sound];
  await Promise.all([...bad.filter(({ isUsed }) => isUsed), ...sound].map((used) => use(sequences, used)));
  await Promise.all(bad.map((one) => one.plant()));
  for (const share of [1, 0.5]) {
    const startedAtMs = performance.now();
    await Promise.all([
      ...bad.flatMap((one) => {
        return one.asked.slice(0, Math.ceil(one.asked.length * share)).map((name) => one.call(name));
      }),
      ...sound.map((used) => expectSound(sequences, used)),
    ]);
    expect(performance.now() - startedAtMs).toBeLessThan(longestCallMs);
    await Promise.all(bad.map((one) => one.expectUnchanged()));
  }
  for (const { at } of bad) await server.command('DEL', at.key);
  await Promise.all(all.map((used) => use(sequences, used)));
  for (const used of all) await expectExplained(sequences, used);
}

/** The value as Redis has it. Of open takes, those that somebody else wrote: ours may stand beside them. */
async function shownBy({ type, place, command }: RedisPoison, key: string): Promise<unknown> {
  if (type !== 'zset' || place !== 'open') return server.command('DUMP', key);
  const members = command.slice(1).filter((_, index) => index % 2 === 1);
  return server.command('ZMSCORE', key, ...members);
}
