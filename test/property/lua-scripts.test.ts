import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CounterStore, Epoch, Grant, TakeRequest } from '../../src/core/counter-store.js';
import { maxRemaining, maxSequenceNumber } from '../../src/core/counter-word.js';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { randomised, runs, seed } from '../support/runs.js';
import { seenWords } from '../support/seen-words.js';
import { type RedisServer, startRedis } from '../support/servers.js';

const conversationsPerRun = 3;

/** One call of the port; conversations are numbers within the run. */
type Operation =
  | {
      readonly kind: 'take';
      readonly stale: boolean;
      readonly requests: readonly { of: number; count: number }[];
    }
  | { readonly kind: 'grant'; readonly stale: boolean; readonly grants: readonly GrantPlan[] }
  | {
      readonly kind: 'drain';
      readonly stale: boolean;
      readonly which: readonly number[];
      readonly missedBy: number;
    }
  | { readonly kind: 'read'; readonly stale: boolean };

/** A grant relative to what the word is when it runs, so that most of them fit and the others just miss. */
interface GrantPlan {
  readonly of: number;
  readonly mode: Grant['mode'];
  /** Start of the block minus the word's ceiling. */
  readonly offset: number;
  /** Where a missing word is supposed to be. */
  readonly base: number;
  readonly size: number;
  readonly expired: boolean;
}

const of = fc.nat(conversationsPerRun - 1);
const stale = fc.integer({ min: 0, max: 19 }).map((draw) => draw === 0);
const count = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 1_000 }));
const base = fc.oneof(
  fc.constant(0),
  fc.nat(100_000),
  fc.integer({ min: maxSequenceNumber - 10_000, max: maxSequenceNumber }),
);
const size = fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 0, max: maxRemaining + 1 }));

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('take' as const),
      stale,
      requests: fc.uniqueArray(fc.record({ of, count }), { selector: (r) => r.of, minLength: 1 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('grant' as const),
      stale,
      grants: fc.uniqueArray(
        fc.record({
          of,
          mode: fc.constantFrom('extend' as const, 'install' as const),
          offset: fc.constantFrom(0, 0, 0, 1, -1, 5_000),
          base,
          size,
          expired: stale,
        }),
        { selector: (g) => g.of, minLength: 1 },
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('drain' as const),
      stale,
      which: fc.uniqueArray(of, { minLength: 1 }),
      missedBy: fc.constantFrom(0, 0, 0, 1, -1),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('read' as const), stale }) },
);

let server: RedisServer;
let redis: RedisCounterStore;

beforeAll(async () => {
  server = await startRedis();
  redis = new RedisCounterStore({ url: server.url });
});

afterAll(async () => {
  await redis?.close();
  await server?.stop();
});

it('the scripts and the memory store answer the same to any sequence of calls', async () => {
  console.log(`lua-scripts: seed ${seed}`);
  const histories = { redis: (await redis.history(0)).id };
  let run = 0;
  const seen = { taken: 0, short: 0, missing: 0, granted: 0, refused: 0, stale: 0, drained: 0, kept: 0 };
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 1, maxLength: 25 }), async (operations) => {
      run += 1;
      const memory = new MemoryCounterStore();
      const both: [CounterStore, Epoch][] = [
        [redis, { history: histories.redis, generation: 1 }],
        [memory, { history: (await memory.history(0)).id, generation: 1 }],
      ];
      const name = (index: number): string => `group:run${run}-${index}`;
      for (const step of operations) {
        const call = await plan(step, memory, both[1]![1], name);
        const [real, model] = await Promise.all(both.map(([store, epoch]) => call(store, epoch)));
        expect(real).toEqual(model);
        tally(seen, model);
      }
      const all = Array.from({ length: conversationsPerRun }, (_, index) => name(index));
      const [real, model] = await Promise.all(both.map(([store, epoch]) => store.read(epoch, all)));
      expect(comparable(real)).toEqual(comparable(model));
    }),
    randomised,
  );
  console.log(`lua-scripts: ${runs} runs compared ${JSON.stringify(seen)}`);
  // A comparison that never saw one of the answers proves nothing about it.
  for (const [answer, times] of Object.entries(seen)) expect(times, answer).toBeGreaterThan(runs / 20);
}, 120_000);

type Call = (store: CounterStore, epoch: Epoch) => Promise<unknown>;

async function plan(
  step: Operation,
  memory: MemoryCounterStore,
  epoch: Epoch,
  name: (index: number) => string,
): Promise<Call> {
  const seenBy = (own: Epoch): Epoch => (step.stale ? { ...own, history: 'f'.repeat(40) } : own);
  if (step.kind === 'read') {
    const all = Array.from({ length: conversationsPerRun }, (_, index) => name(index));
    return async (store, own) => comparable(await store.read(seenBy(own), all));
  }
  if (step.kind === 'take') {
    const requests: TakeRequest[] = step.requests.map((request) => ({
      conversation: name(request.of),
      count: request.count,
    }));
    return async (store, own) => comparable(await store.take(seenBy(own), requests));
  }
  if (step.kind === 'drain') {
    const seen = await seenWords(memory, epoch, step.which.map(name));
    const words = seen.map(({ conversation, word }) => {
      return { conversation, word: { ...word, remaining: Math.max(0, word.remaining + step.missedBy) } };
    });
    return async (store, own) => comparable(await store.drain(seenBy(own), words));
  }
  const words = await memory.read(
    epoch,
    step.grants.map((grant) => name(grant.of)),
  );
  if (words.status !== 'done') throw new Error(words.status);
  const grants = step.grants.map((grant, index): Grant => {
    const result = words.results[index]!;
    const ceiling = result.status === 'present' ? result.word.last + result.word.remaining : grant.base;
    const start = Math.max(0, ceiling + grant.offset);
    return {
      conversation: name(grant.of),
      mode: grant.mode,
      block: { start, end: start + grant.size },
      expiresAtStoreTimeMs: grant.expired ? 1 : 1e15,
    };
  });
  return async (store, own) => comparable(await store.grant(seenBy(own), grants));
}

/** Without what differs between any two stores: histories, and the time of each clock. */
function comparable(reply: unknown): unknown {
  const { history: _history, storeTimeMs, ...rest } = reply as { history?: string; storeTimeMs?: number };
  return { ...rest, hasStoreTime: storeTimeMs !== undefined && storeTimeMs > 0 };
}

function tally(seen: Record<string, number>, reply: unknown): void {
  const { status, results, words } = reply as {
    status: string;
    results?: (string | { status: string })[];
    words?: unknown[];
  };
  const drained = words?.map((word) => (word === undefined ? 'kept' : 'drained'));
  const given = results?.map((result) => (typeof result === 'string' ? result : result.status));
  for (const answer of drained ?? given ?? [status]) if (answer in seen) seen[answer]! += 1;
}
