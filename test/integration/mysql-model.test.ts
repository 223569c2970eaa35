import fc from 'fast-check';
import type { Connection } from 'mysql2/promise';
import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { CounterWord } from '../../src/core/counter-word.js';
import type { Gap, LedgerEntry, ReserveRequest } from '../../src/core/ledger.js';
import type { ReservationPolicy } from '../../src/core/reservation-policy.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import { type MariaDbServer, startMariaDb } from '../support/servers.js';
import { kindOf } from './mysql-support.js';

const runs = 250;
const seed = Number(process.env['TEST_SEED'] ?? Date.now() % 1_000_000_000);
/** A run that took longer is not compared: its blocks are no longer as young as the model takes them to be. */
const maxRunMs = 900;

let server: MariaDbServer;
let connection: Connection;
let ledger: MySqlLedger;
beforeAll(async () => {
  server = await startMariaDb();
  connection = await createConnection(server.url);
  ledger = new MySqlLedger(server.url);
  await ledger.load(['group:a']);
});
afterAll(async () => {
  connection?.destroy();
  await ledger?.close();
  await server?.stop();
});

const fixed = fc.record({ kind: fc.constant('fixed' as const), size: fc.integer({ min: 1, max: 60 }) });
const adaptive = fc.record({
  kind: fc.constant('adaptive' as const),
  initial: fc.integer({ min: 1, max: 8 }),
  max: fc.integer({ min: 8, max: 100 }),
  growBelowMs: fc.constant(60_000),
  shrinkAboveMs: fc.constant(600_000),
});

interface Wish {
  readonly conversation: number;
  /** The caller's generation, relative to the newest so far. */
  readonly generation: number;
  /** The ceiling that the caller saw, relative to the ledger's; undefined: no word. */
  readonly ceiling: number | undefined;
  readonly remaining: number;
  readonly need: number;
  readonly policy: ReservationPolicy;
}

const wish: fc.Arbitrary<Wish> = fc.record({
  conversation: fc.nat(3),
  generation: fc.constantFrom(0, 0, 0, 0, 1, -1),
  ceiling: fc.option(fc.constantFrom(0, 0, 0, -7, 5, 1e12), { freq: 3, nil: undefined }),
  remaining: fc.nat(20),
  need: fc.integer({ min: 1, max: 40 }),
  policy: fc.oneof(fixed, adaptive),
});

type Step =
  | { readonly do: 'reserve'; readonly wishes: readonly Wish[] }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'handBack'; readonly remaining: number; readonly newest: boolean }
  | {
      readonly do: 'recordGaps';
      readonly at: readonly (readonly [conversation: number, first: number, length: number])[];
    }
  | { readonly do: 'raise'; readonly to: readonly (number | undefined)[] };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('reserve' as const),
      wishes: fc.array(wish, { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(5_000, 100_000, 1_000_000),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('handBack' as const),
      remaining: fc.nat(30),
      newest: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('recordGaps' as const),
      at: fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 30 }), fc.nat(3)), { maxLength: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('raise' as const),
      to: fc.array(fc.option(fc.nat(30), { nil: undefined }), { minLength: 4, maxLength: 4 }),
    }),
  },
);

/** One run: the same steps on the model and on the real ledger. */
class Comparison {
  readonly kinds = new Map<string, number>();
  readonly #keys: readonly string[];
  readonly #startMs = performance.now();
  #modelMs = 1_700_000_000_000;
  readonly #model = new MemoryLedger(() => this.#modelMs);
  #generation = 2;

  constructor(run: number) {
    this.#keys = Array.from({ length: 4 }, (_, index) => `group:model-${run}-${index}`);
  }

  async take(step: Step): Promise<void> {
    if (step.do === 'reserve') return this.#reserve(step.wishes);
    if (step.do === 'wait') return this.#wait(step.ms);
    if (step.do === 'handBack') return this.#handBack(step.remaining, step.newest);
    if (step.do === 'raise') return this.#raise(step.to);
    const gaps = step.at.map(([conversation, first, length]) => ({
      conversation: this.#keys[conversation]!,
      first,
      last: first + length,
      reason: 'reply_lost' as const,
      generation: this.#generation,
    }));
    await this.#model.recordGaps(gaps);
    await ledger.recordGaps(gaps);
  }

  async #reserve(wishes: readonly Wish[]): Promise<void> {
    const requests: ReserveRequest[] = [];
    for (const wish of wishes) {
      const conversation = this.#keys[wish.conversation]!;
      if (requests.some((request) => request.conversation === conversation)) continue;
      const [entry] = await this.#model.load([conversation]);
      const generation = Math.max(1, this.#generation + wish.generation);
      this.#generation = Math.max(this.#generation, generation);
      requests.push({
        conversation,
        generation,
        saw: wordOf(wish, entry),
        need: wish.need,
        policy: wish.policy,
      });
    }
    const expected = await this.#model.reserve(requests);
    const found = await ledger.reserve(requests);
    this.#checkTime();
    expect(found).toEqual(expected);
    for (const outcome of found) this.kinds.set(kindOf(outcome), (this.kinds.get(kindOf(outcome)) ?? 0) + 1);
  }

  /** Time passes for the model; for the server the reservations become older. */
  async #wait(ms: number): Promise<void> {
    this.#modelMs += ms;
    await connection.query(
      'UPDATE tidemark_ledger SET reserved_at_ms = reserved_at_ms - ? WHERE conversation IN (?)',
      [ms, this.#keys],
    );
  }

  async #handBack(remaining: number, newest: boolean): Promise<void> {
    const entries = (await this.#model.load(this.#keys)).filter((entry) => entry !== undefined);
    const words = entries
      .filter(({ ceiling }) => ceiling >= remaining)
      .map(({ conversation, ceiling }) => ({ conversation, word: { last: ceiling - remaining, remaining } }));
    const generation = newest ? this.#generation : this.#generation - 1;
    expect(await ledger.handBack(generation, words)).toEqual(await this.#model.handBack(generation, words));
  }

  async #raise(to: readonly (number | undefined)[]): Promise<void> {
    const marks = this.#keys.flatMap((conversation, index) => {
      const completeUpTo = to[index];
      return completeUpTo === undefined ? [] : [{ conversation, completeUpTo }];
    });
    await this.#model.raiseCompleteMarks(marks);
    await ledger.raiseCompleteMarks(marks);
  }

  async compareAll(): Promise<void> {
    expect(await ledger.completeMarks(this.#keys)).toEqual(await this.#model.completeMarks(this.#keys));
    const [expected, found] = [await this.#model.load(this.#keys), await ledger.load(this.#keys)];
    expect(found.map(timeless)).toEqual(expected.map(timeless));
    for (const key of this.#keys) {
      for (const range of [
        { from: 0, to: 1e12, limit: 1_000 },
        { from: 5, to: 20, limit: 2 },
      ]) {
        const gaps = await ledger.gaps(key, range);
        expect(gaps.map(timeless)).toEqual((await this.#model.gaps(key, range)).map(timeless));
      }
    }
  }

  #checkTime(): void {
    fc.pre(performance.now() - this.#startMs < maxRunMs);
  }
}

function wordOf(wish: Wish, entry: LedgerEntry | undefined): CounterWord | undefined {
  if (wish.ceiling === undefined) return undefined;
  const ceiling = Math.min(1e12 - 1, Math.max(0, (entry?.ceiling ?? 0) + wish.ceiling));
  const remaining = Math.min(ceiling, wish.remaining);
  return { last: ceiling - remaining, remaining };
}

function timeless(record: LedgerEntry | Gap | undefined): object | undefined {
  return record && { ...record, reservedAtMs: 0, recordedAtMs: 0 };
}

it(`answers like the reference model to ${runs} random histories`, async () => {
  console.log(`seed ${seed}`);
  const kinds = new Map<string, number>();
  let run = 0;
  const property = fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (steps) => {
    run += 1;
    const comparison = new Comparison(run);
    for (const step of steps) await comparison.take(step);
    await comparison.compareAll();
    for (const [kind, count] of comparison.kinds) kinds.set(kind, (kinds.get(kind) ?? 0) + count);
  });
  await fc.assert(property, { seed, numRuns: runs, maxSkipsPerRun: 5 });
  // Every row of the decision table was taken, so none of them passed by being left out.
  const all = ['adopted', 'busy', 'exhausted', 'extended', 'fenced', 'healed', 'new', 'takeover'];
  expect([...kinds.keys()].sort()).toEqual(all);
}, 120_000);
