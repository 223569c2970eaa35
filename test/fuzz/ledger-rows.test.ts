/**
 * Rows that somebody else has written into the tables of a ledger, on a real MariaDB: a clear error of that conversation,
 * nothing overwritten, nobody else disturbed, and no number at or below what was issued comes again.
 */

import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { sql, withConnection } from '../integration/mysql-support.js';
import { seed } from '../support/runs.js';
import { type MariaDbServer, type RedisServer, startMariaDb, startRedis } from '../support/servers.js';
import { fuzzed, timeoutMs } from './hostile.js';
import { plantInMySql, type SqlPoison, sqlPoisons } from './hostile-stores.js';
import {
  type CallName,
  callNames,
  callOf,
  endingCalls,
  expectExplained,
  expectSound,
  Used,
  use,
  useAbove,
} from './used-conversations.js';

const callTimeoutMs = 20_000;
const longestCallMs = 10_000;
/** Of calls that a poison of all keeps from going on: they are told of it then. */
const allTimeoutMs = 3_000;
const slackMs = 2_000;
const maxTogether = 16;
/** What is gone is missed for a second, until it counts as lost. */
const part = 0.005;
const tables = ['tidemark_ledger', 'tidemark_gaps', 'tidemark_complete_marks'];
/** It concerns everybody: the process goes on above it. */
const ofAnother = 'a generation that was never registered';
const ofConversations = sqlPoisons.filter(
  ({ table, name }) => table !== 'generation' && table !== 'schema' && name !== ofAnother,
);
const ofAll = sqlPoisons.filter(({ table }) => table === 'generation' || table === 'schema');
/**
 * The code with which a process that is there, and one that has just been started, are told of a poison of a whole ledger: in
 * the history that they know, and in another one. Undefined where they go on.
 */
type Codes = Readonly<Record<'before' | 'after', string | undefined>>;
const goesOn: Codes = { before: undefined, after: undefined };
const corrupt: Codes = { before: 'ledger_corrupt', after: 'ledger_corrupt' };
/** Whoever lives looks at the version no more. */
const tooNew: Codes = { before: undefined, after: 'schema_too_new' };
const codesOfAll: Readonly<Record<string, readonly [known: Codes, another: Codes]>> = {
  'generation: the greatest generation of all': [goesOn, corrupt],
  'generation: generation 2^53 − 1': [goesOn, corrupt],
  // They are below every generation that is looked for.
  'generation: a negative generation': [goesOn, goesOn],
  'generation: generation 0': [goesOn, goesOn],
  'generation: a history that is garbage': [goesOn, goesOn],
  'schema: a newer version': [tooNew, tooNew],
  'schema: the greatest version': [tooNew, tooNew],
  'schema: a negative version': [goesOn, goesOn],
  // Whoever starts puts them back.
  'schema: no versions': [goesOn, goesOn],
  'schema: not the first version': [goesOn, corrupt],
};

let redis: RedisServer;
let maria: MariaDbServer;
let sequences: SequenceGenerator;
let runsDone = 0;

beforeAll(async () => {
  [redis, maria] = await Promise.all([startRedis(), startMariaDb()]);
  sequences = generator(maria.url);
});

afterAll(async () => {
  await sequences?.close();
  await Promise.all([redis?.stop(), maria?.stop()]);
});

function generator(url: string, prefix = 'seq', deadlineMs = callTimeoutMs): SequenceGenerator {
  return new SequenceGenerator({
    counters: new RedisCounterStore({ url: redis.url, prefix }),
    ledger: new MySqlLedger(url),
    timeoutMs: deadlineMs,
    // So that a few calls need the ledger.
    reservation: { kind: 'fixed', size: 10 },
  });
}

interface Case {
  readonly poison: SqlPoison;
  /** Whether it had numbers before. */
  readonly isUsed: boolean;
  readonly isRestored: boolean;
  readonly asked: readonly CallName[];
}

/** One whose rows somebody else has written. */
class Poisoned extends Used {
  readonly poison: SqlPoison;
  readonly isUsed: boolean;
  readonly asked: readonly CallName[];
  readonly #isRestored: boolean;
  #replaced: readonly unknown[][] = [];
  #planted: unknown;

  constructor(name: string, { poison, isUsed, isRestored, asked }: Case) {
    super(name);
    this.#isRestored = isRestored;
    this.poison = poison;
    this.isUsed = isUsed;
    this.asked = asked;
  }

  async plant(): Promise<void> {
    this.#replaced = await withConnection(maria.url, async (connection) => {
      const query = `SELECT * FROM ${this.#table} WHERE conversation = ?`;
      const [rows] = await connection.query<never>({ sql: query, rowsAsArray: true }, [this.key]);
      return rows;
    });
    await plantInMySql(maria.url, this.poison, this.key);
    this.#planted = await this.#rows();
  }

  async expectUnchanged(): Promise<void> {
    if (!this.poison.plausible) expect(await this.#rows(), this.poison.name).toEqual(this.#planted);
  }

  /** It succeeds, or says what is wrong with which conversation. */
  async call(name: CallName): Promise<void> {
    const error = await callOf(sequences, name, this, 'm');
    if (error === undefined) return;
    const what = `${name} with ${this.poison.table}: ${this.poison.name}: ${error.message}`;
    expect(error.message, what).toContain(this.key);
    expect(error.conversation, what).toBe(this.key);
    const codes = ['ledger_corrupt', 'invalid_argument', 'lease_expired'];
    expect(this.poison.plausible ? [...codes, 'exhausted'] : codes, what).toContain(error.code);
    if (error.code === 'invalid_argument' || error.code === 'lease_expired')
      expect(endingCalls, what).toContain(name);
    expect(error.message, what).not.toMatch(/\p{Cc}/u);
  }

  /** As somebody repairs it who knows what was there, or who knows no more than that the rows have to go. */
  async repair(): Promise<void> {
    if (this.poison.plausible) return;
    await withConnection(maria.url, async (connection) => {
      // Gaps that others have recorded beside it stay where somebody looks closely.
      const isKept = this.#isRestored && this.poison.table === 'gap' ? ' AND recorded_at_ms = 1' : '';
      await connection.query(`DELETE FROM ${this.#table} WHERE conversation = ?${isKept}`, [this.key]);
      if (!this.#isRestored || isKept !== '') return;
      for (const row of this.#replaced)
        await connection.query(`INSERT INTO ${this.#table} VALUES (?)`, [row]);
    });
  }

  get #table(): string {
    return { entry: tables[0]!, gap: tables[1]!, mark: tables[2]! }[this.poison.table as 'entry'];
  }

  /** Those of the table that it was planted into, but for what others may write beside it. */
  async #rows(): Promise<unknown> {
    const query = {
      entry: 'SELECT * FROM tidemark_ledger WHERE conversation = ?',
      gap: 'SELECT * FROM tidemark_gaps WHERE conversation = ? AND recorded_at_ms = 1',
      mark: 'SELECT complete_up_to FROM tidemark_complete_marks WHERE conversation = ?',
    }[this.poison.table as 'entry'];
    return withConnection(maria.url, async (connection) => {
      const [rows] = await connection.query({ sql: query, supportBigNumbers: true } as never, [this.key]);
      return JSON.stringify(rows);
    });
  }
}

describe(`hostile rows in a real MariaDB, seed ${seed}`, () => {
  it('each of them, with every call, used before or not', async () => {
    const asked = [...callNames, 'next', 'nextMany', 'take', 'message', 'nextMany'] as const;
    for (const isUsed of [true, false]) {
      for (let from = 0; from < ofConversations.length; from += maxTogether) {
        const some = ofConversations.slice(from, from + maxTogether);
        await poisoned(some.map((poison) => ({ poison, isUsed, isRestored: true, asked })));
      }
    }
  }, 120_000);

  it(
    'some of them, with calls in any order, over and over',
    async () => {
      const one = fc.record({
        poison: fc.constantFrom(...ofConversations),
        isUsed: fc.boolean(),
        isRestored: fc.boolean(),
        asked: fc.array(fc.constantFrom(...callNames), { minLength: 1, maxLength: 8 }),
      });
      const several = fc.array(one, { minLength: 1, maxLength: maxTogether });
      await fc.assert(fc.asyncProperty(several, poisoned), { ...fuzzed(part), endOnFailure: true });
    },
    timeoutMs(3_000, part),
  );

  it('generations and versions that make no sense: told by name, left as they are, and on it goes behind them', async () => {
    const all = await Promise.all(
      ofAll.map(async (poison, index) => new PoisonedLedger(poison, index, await maria.createDatabase())),
    );
    try {
      await Promise.all(all.map((one) => use(one.before, one.used)));
      await Promise.all(all.map((one) => one.plant()));
      // A process that is there, and one that has just been started; then both meet another history.
      await Promise.all(all.map((one) => one.expectClear(0)));
      await redis.kill();
      await redis.start();
      await Promise.all(all.map((one) => one.expectClear(1)));
      await Promise.all(all.map((one) => one.repair()));
      for (const one of all) {
        for (const each of [one.before, one.after])
          expect(await callOf(each, 'nextMany', one.used, 'm'), one.poison.name).toBeUndefined();
        await expectExplained(one.after, one.used);
      }
    } finally {
      await Promise.all(all.map((one) => one.close()));
    }
  });
});

/** A ledger of its own, with a poison that concerns all conversations. */
class PoisonedLedger {
  readonly used = new Used('all');
  readonly before: SequenceGenerator;
  readonly after: SequenceGenerator;
  #planted: readonly Record<string, unknown>[] = [];

  constructor(
    readonly poison: SqlPoison,
    index: number,
    readonly url: string,
  ) {
    // Those that cannot go on are told of it at their deadline.
    this.before = generator(url, `all-${index}`, allTimeoutMs);
    this.after = generator(url, `all-${index}`, allTimeoutMs);
  }

  async plant(): Promise<void> {
    await plantInMySql(this.url, this.poison, this.used.key);
    this.#planted = await this.#rows();
  }

  async expectClear(phase: 0 | 1): Promise<void> {
    const name = `${this.poison.table}: ${this.poison.name}`;
    const codes = codesOfAll[name];
    if (codes === undefined) throw new Error(`no codes for ${name}`);
    for (const who of ['before', 'after'] as const) {
      const startedAtMs = performance.now();
      const error = await callOf(this[who], 'nextMany', this.used, 'm');
      expect(performance.now() - startedAtMs, name).toBeLessThan(allTimeoutMs + slackMs);
      expect(error?.code, `${who}, ${name}: ${error?.message}`).toBe(codes[phase][who]);
      if (error === undefined) continue;
      expect(error.message, name).toMatch(/tidemark_generations|tidemark_schema|schema version/);
      expect(error.message, name).not.toMatch(/\p{Cc}/u);
    }
    expect(await this.#rows(), this.poison.name).toEqual(expect.arrayContaining([...this.#planted]));
  }

  async repair(): Promise<void> {
    await sql(
      this.url,
      'DELETE FROM tidemark_schema WHERE version > 3 OR version < 1',
      'INSERT IGNORE INTO tidemark_schema VALUES (1, 1), (2, 1), (3, 1)',
      "DELETE FROM tidemark_generations WHERE history IN ('x', UNHEX('FF00FE')) OR generation < 1",
    );
  }

  async close(): Promise<void> {
    await Promise.all([this.before.close(), this.after.close()]);
  }

  /** Without times, which a process that lives says anew. */
  async #rows(): Promise<readonly Record<string, unknown>[]> {
    const generations = await sql(
      this.url,
      'SELECT CAST(generation AS CHAR) AS generation, HEX(history) AS history FROM tidemark_generations',
    );
    return [...generations, ...(await sql(this.url, 'SELECT version FROM tidemark_schema'))];
  }
}

it(`${ofAnother}: everybody goes on above it`, async () => {
  const url = await maria.createDatabase();
  const one = generator(url, 'above');
  const [bad, sound] = [new Used('bad'), new Used('sound')];
  try {
    await Promise.all([use(one, bad), use(one, sound)]);
    await plantInMySql(url, sqlPoisons.find(({ name }) => name === ofAnother)!, bad.key);
    for (let round = 0; round < 5; round += 1) await Promise.all([use(one, bad), use(one, sound)]);
    expect((await one.inspect(bad.of)).generation).toBe(4712);
    for (const used of [bad, sound]) await expectExplained(one, used);
  } finally {
    await one.close();
  }
});

it('a conversation that is no text: whoever lists them is told, and does not go round for ever', async () => {
  for (const bytes of ['67726F75703AFF', '67726F75703A80', '00', 'FFFFFF']) {
    const url = await maria.createDatabase();
    const one = generator(url, `no-text-${bytes}`);
    const used = new Used('é');
    try {
      await use(one, used);
      await sql(
        url,
        'INSERT INTO tidemark_ledger (conversation, `ceiling`, `floor`, generation, block_size, reserved_at_ms) ' +
          `VALUES (UNHEX('${bytes}'), 64, 10, 1, 64, 1)`,
      );
      const isText = bytes === '00';
      const drained = one.drainAll({ timeoutMs: 5_000 });
      if (isText) expect((await drained).conversations).toBe(1);
      else
        await expect(drained).rejects.toMatchObject({
          code: 'ledger_corrupt',
          message: expect.stringContaining(bytes.toLowerCase()),
        });
      await use(one, used);
      await expectExplained(one, used);
    } finally {
      await one.close();
    }
  }
});

/** Conversations are poisoned between calls, and used together with others that are sound. */
async function poisoned(cases: readonly Case[]): Promise<void> {
  runsDone += 1;
  const bad = cases.map((of, index) => new Poisoned(`bad-${runsDone}-${index}`, of));
  const sound = bad.slice(0, 5).map((_, index) => new Used(`sound-${runsDone}-${index}`));
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
  await Promise.all(bad.map((one) => one.repair()));
  // Such a conversation cannot go on, and nothing of it is lost.
  const going = [...bad.filter(({ poison }) => !poison.plausible), ...sound];
  await Promise.all(going.map((used) => useAbove(sequences, used)));
  for (const used of going) await expectExplained(sequences, used);
  for (const { numbers, key } of bad) expect(new Set(numbers).size, key).toBe(numbers.length);
}
