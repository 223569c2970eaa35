/**
 * What somebody else has put where Tidemark keeps counter words, receipts and open takes, on a real Redis: a clear error of that
 * conversation, nothing overwritten, nobody else disturbed, and on it goes once that is removed.
 */

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Conversation, groupChat } from '../../src/core/conversation.js';
import type { TrackedTake } from '../../src/core/tracked-take.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { seed } from '../support/runs.js';
import { type RedisServer, startRedis } from '../support/servers.js';
import { waitUntil } from '../support/wait.js';
import { clear, fuzzed, timeoutMs } from './hostile.js';
import { plantOnRedis, type RedisPoison, redisPoisons } from './hostile-stores.js';

const generation = 1;
const callTimeoutMs = 10_000;
/** A call of a poisoned conversation is answered at once, whatever its deadline. */
const longestCallMs = 5_000;
/** Conversations that are poisoned at the same time. */
const maxTogether = 24;
/** What is removed from Redis is missed for a second, until it counts as lost. */
const part = 0.005;
const poisons = redisPoisons(generation);

let server: RedisServer;
let sequences: SequenceGenerator;
let runsDone = 0;

beforeAll(async () => {
  server = await startRedis();
  sequences = new SequenceGenerator({
    counters: new RedisCounterStore({ url: server.url }),
    ledger: new MemoryLedger(),
    timeoutMs: callTimeoutMs,
  });
  const first = groupChat('first');
  await sequences.next(first);
  expect((await sequences.inspect(first)).generation).toBe(generation);
});

afterAll(async () => {
  await sequences?.close();
  await server?.stop();
});

/** A conversation, and every number that calls were given in it. */
class Used {
  readonly of: Conversation;
  readonly key: string;
  readonly numbers: number[] = [];
  readonly takes: TrackedTake[] = [];

  constructor(name: string) {
    this.of = groupChat(name);
    this.key = `group:${name}`;
  }

  issued(first: number, last = first): void {
    for (let number = first; number <= last; number += 1) this.numbers.push(number);
  }
}

interface Case {
  readonly poison: RedisPoison;
  /** Whether it had numbers before. */
  readonly isUsed: boolean;
  readonly asked: readonly string[];
}

/** One that somebody else has written into. */
class Poisoned extends Used {
  readonly #poison: RedisPoison;
  readonly isUsed: boolean;
  readonly asked: readonly string[];
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
    const key = await plantOnRedis(server, this.#poison, {
      conversation: this.key,
      generation,
      messageId: 'm',
    });
    this.at = { key, shown: await shownBy(this.#poison, key) };
  }

  async expectUnchanged(): Promise<void> {
    expect(await shownBy(this.#poison, this.at.key), this.what).toEqual(this.at.shown);
  }
}

/** Each of the calls, and what came of its numbers. */
const calls: Readonly<Record<string, (used: Used, id: string) => Promise<unknown>>> = {
  next: async (used) => used.issued(await sequences.next(used.of)),
  nextMany: async (used) => {
    const { first, last } = await sequences.nextMany(used.of, 7);
    used.issued(first, last);
  },
  message: async (used, id) => {
    const { number, repeated } = await sequences.next(used.of, { messageId: id });
    if (!repeated) used.issued(number);
  },
  take: async (used) => {
    const take = await sequences.take(used.of, 2);
    used.issued(take.first, take.last);
    used.takes.push(take);
  },
  takeMessage: async (used, id) => {
    const take = await sequences.take(used.of, 1, { messageId: id });
    if (!take.repeated) used.issued(take.first);
    used.takes.push(take);
  },
  settle: async (used) => used.takes.pop()?.settle(),
  abandon: async (used) => used.takes.pop()?.abandon(),
  renew: async (used) => used.takes.at(-1)?.renew(),
  current: (used) => sequences.current(used.of),
  inspect: (used) => sequences.inspect(used.of),
  recover: (used) => sequences.recover(used.of),
  completeUpTo: async (used) => {
    const completeUpTo = await sequences.completeUpTo(used.of);
    // Nobody reads beyond what was issued.
    expect(completeUpTo).toBeLessThanOrEqual(await sequences.current(used.of));
  },
  explain: (used) => sequences.explain(used.of, 1),
  drain: (used) => sequences.drain(used.of),
};
const names = Object.keys(calls);

describe(`hostile words on a real Redis, seed ${seed}`, () => {
  it('each of them, with every call, used before or not', async () => {
    for (const isUsed of [true, false]) {
      for (let from = 0; from < poisons.length; from += maxTogether) {
        const some = poisons.slice(from, from + maxTogether);
        await poisoned(
          some.map((poison) => ({ poison, isUsed, asked: [...names, 'next', 'take', 'message'] })),
        );
      }
    }
  }, 120_000);

  it(
    'some of them, with calls in any order, over and over',
    async () => {
      const one = fc.record({
        poison: fc.constantFrom(...poisons),
        isUsed: fc.boolean(),
        asked: fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 8 }),
      });
      const several = fc.array(one, { minLength: 1, maxLength: maxTogether });
      await fc.assert(fc.asyncProperty(several, poisoned), { ...fuzzed(part), endOnFailure: true });
    },
    timeoutMs(2_000, part),
  );
});

/** Conversations are poisoned between calls, and used together with others that are sound. */
async function poisoned(cases: readonly Case[]): Promise<void> {
  runsDone += 1;
  const bad = cases.map((of, index) => new Poisoned(`bad-${runsDone}-${index}`, of));
  const sound = bad.slice(0, 5).map((_, index) => new Used(`sound-${runsDone}-${index}`));
  await Promise.all([...bad.filter(({ isUsed }) => isUsed), ...sound].map(use));
  await Promise.all(bad.map((one) => one.plant()));
  for (const share of [1, 0.5]) {
    const startedAtMs = performance.now();
    await Promise.all([
      ...bad.flatMap((one) =>
        one.asked.slice(0, Math.ceil(one.asked.length * share)).map((name) => callOf(name, one)),
      ),
      ...sound.flatMap((used) => names.map((name) => expectDone(name, used))),
    ]);
    expect(performance.now() - startedAtMs).toBeLessThan(longestCallMs);
    await Promise.all(bad.map((one) => one.expectUnchanged()));
  }
  for (const { key } of bad.map((one) => one.at)) await server.command('DEL', key);
  await Promise.all([...bad, ...sound].map(use));
  for (const used of [...bad, ...sound]) await expectExplained(used);
}

async function use(used: Used): Promise<void> {
  for (const name of ['take', 'message', 'next', 'nextMany', 'takeMessage'])
    await calls[name]!(used, `own-${name}`);
}

/** A call of a poisoned conversation succeeds, or says what is wrong with which. */
async function callOf(name: string, used: Poisoned): Promise<void> {
  try {
    await calls[name]!(used, 'm');
  } catch (thrown) {
    const error = clear(thrown);
    const what = `${name} with ${used.what}: ${error.message}`;
    expect(error.message, what).toContain(used.key);
    expect(error.conversation, what).toBe(used.key);
    expect(['counter_corrupt', 'invalid_argument', 'lease_expired'], what).toContain(error.code);
    if (error.code === 'invalid_argument') expect(['abandon', 'renew'], what).toContain(name);
    expect(error.message, what).not.toMatch(/\p{Cc}/u);
  }
}

/** Nobody else's business: a call of a sound conversation succeeds, or says the same as without a poison. */
async function expectDone(name: string, used: Used): Promise<void> {
  try {
    await calls[name]!(used, `m-${name}`);
  } catch (thrown) {
    // A take that another of these calls has ended meanwhile.
    const error = clear(thrown);
    expect(['abandon', 'renew', 'settle'], `${name}: ${error.message}`).toContain(name);
    expect(['invalid_argument', 'lease_expired'], error.message).toContain(error.code);
  }
}

/** The value as Redis has it. Of open takes, those that somebody else wrote: ours may stand beside them. */
async function shownBy({ type, place, command }: RedisPoison, key: string): Promise<unknown> {
  if (type !== 'zset' || place !== 'open') return server.command('DUMP', key);
  const members = command.slice(1).filter((_, index) => index % 2 === 1);
  return server.command('ZMSCORE', key, ...members);
}

/** Numbers came once, and what is missing between them is in a recorded gap. */
async function expectExplained({ of, key, numbers }: Used): Promise<void> {
  expect(new Set(numbers).size, key).toBe(numbers.length);
  const last = Math.max(0, ...numbers);
  expect(last).toBeLessThan(100_000);
  const issued = new Set(numbers);
  await waitUntil(`holes of ${key} are explained`, async () => {
    const gaps = await sequences.gaps(of);
    for (let number = 1; number <= last; number += 1) {
      const isExplained = issued.has(number) || gaps.some((gap) => gap.first <= number && number <= gap.last);
      if (!isExplained) return false;
    }
    return true;
  });
}
