/**
 * `verify` over what somebody else has written into the stores: it names each conversation with the right kind of finding, and
 * overwrites nothing, with `repair` neither where that is not safe.
 */

import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Finding, FindingKind } from '../../src/core/findings.js';
import { RedisCounterStore } from '../../src/counters/redis/redis-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { openEmbedded, openTidemark } from '../../src/open.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { withConnection } from '../integration/mysql-support.js';
import {
  type MariaDbServer,
  type RedisServer,
  startMariaDb,
  startRedis,
  temporaryFolder,
} from '../support/servers.js';
import {
  folderPoisons,
  hostileValues,
  hostileWords,
  inFolder,
  plantInFolder,
  plantInMySql,
  plantOnRedis,
  type RowPoison,
  sqlPoisons,
} from './hostile-stores.js';
import { Used, use } from './used-conversations.js';

const reservation = { kind: 'fixed', size: 10 } as const;
const tables = ['tidemark_ledger', 'tidemark_gaps', 'tidemark_complete_marks'];
/** What looks as Tidemark might have written it is found only where it contradicts something else. */
const kindsOfPlausible: Readonly<Record<string, FindingKind | undefined>> = {
  'a generation that was never registered': 'fenced',
  'handed back above what a word has': 'word_behind',
  'reserved in the year 9999': undefined,
  'frozen until the year 9999': undefined,
  'reserved at the greatest time': undefined,
  'frozen until the greatest time': undefined,
};
const kindsOfTables = { entry: 'entry_corrupt', gap: 'gap_corrupt', mark: 'mark_wrong' } as const;

let redis: RedisServer;
let maria: MariaDbServer;

beforeAll(async () => {
  [redis, maria] = await Promise.all([startRedis(), startMariaDb()]);
});
afterAll(() => Promise.all([redis?.stop(), maria?.stop()]));

/** A poison of the rows of one conversation, and that conversation. */
interface Bad<Poison extends RowPoison> {
  readonly poison: Poison;
  readonly used: Used;
}

function badOf<Poison extends RowPoison>(poisons: readonly Poison[]): readonly Bad<Poison>[] {
  return poisons
    .filter(({ table }) => Object.hasOwn(kindsOfTables, table))
    .map((poison, index) => ({ poison, used: new Used(`bad-${index}`) }));
}

function expectedOf(bad: readonly Bad<RowPoison>[]): readonly string[] {
  return bad.flatMap(({ poison, used }) => {
    if (poison.plausible) expect(Object.keys(kindsOfPlausible)).toContain(poison.name);
    const kind = poison.plausible
      ? kindsOfPlausible[poison.name]
      : kindsOfTables[poison.table as keyof typeof kindsOfTables];
    return kind === undefined ? [] : [`${kind} ${used.key}`];
  });
}

/** What it finds, as `kind conversation`, in order. Every text is for people. */
async function found(sequences: SequenceGenerator, repair: boolean) {
  const findings: Finding[] = [];
  await sequences.verify({ repair, onFinding: (finding) => findings.push(finding) });
  for (const finding of findings) {
    expect(finding.found).not.toMatch(/\p{Cc}/u);
    expect(finding.found.length, finding.kind).toBeLessThan(1_000);
  }
  return {
    kinds: findings.map(({ kind, conversation }) => `${kind} ${conversation}`).sort(),
    repaired: findings.flatMap(({ kind, repaired }) => (repaired === undefined ? [] : [kind])),
  };
}

describe('verify names what makes no sense, and leaves it', () => {
  it('under the keys of words, used before or not', async () => {
    const prefix = 'verify-words';
    const counters = new RedisCounterStore({ url: redis.url, prefix });
    const sequences = new SequenceGenerator({ counters, ledger: new MemoryLedger(), reservation });
    try {
      const sound = new Used('sound');
      const bad = [...hostileValues, ...hostileWords].flatMap((value, index) =>
        [true, false].map((isUsed) => ({ value, isUsed, used: new Used(`word-${index}-${isUsed}`) })),
      );
      const begun = [sound, ...bad.filter(({ isUsed }) => isUsed).map(({ used }) => used)];
      await Promise.all(begun.map((used) => use(sequences, used)));
      const planted = new Map<string, unknown>();
      for (const { value, used } of bad) {
        const place = { conversation: used.key, generation: 1, prefix };
        const key = await plantOnRedis(redis, { ...value, place: 'word' }, place);
        planted.set(key, await redis.command('DUMP', key));
      }
      const expected = bad.map(({ used }) => `word_corrupt ${used.key}`).sort();
      for (const repair of [false, true]) {
        expect(await found(sequences, repair)).toEqual({ kinds: expected, repaired: [] });
        for (const [key, shown] of planted) expect(await redis.command('DUMP', key), key).toEqual(shown);
      }
      await redis.command('DEL', ...planted.keys());
      expect((await found(sequences, false)).kinds).toEqual([]);
    } finally {
      await sequences.close();
    }
  });

  it('in the tables of a MariaDB', async () => {
    const mysql = await maria.createDatabase();
    const open = () => openTidemark({ redis: { url: redis.url, prefix: 'verify-rows' }, mysql, reservation });
    const bad = badOf(sqlPoisons);
    // Its blocks are on their way no more when it has closed.
    const before = open();
    const all = [new Used('sound'), ...bad.map(({ used }) => used)];
    await Promise.all(all.map((used) => use(before, used)));
    await before.close();
    for (const { poison, used } of bad) await plantInMySql(mysql, poison, used.key);
    const expected = [...expectedOf(bad)].sort();
    const mended = bad.find(({ poison }) => kindsOfPlausible[poison.name] === 'word_behind')!.used.key;
    const planted = await rowsOf(mysql);
    const sequences = open();
    try {
      expect(await found(sequences, false)).toEqual({ kinds: expected, repaired: [] });
      expect(await rowsOf(mysql)).toEqual(planted);
      expect(await found(sequences, true)).toEqual({ kinds: expected, repaired: ['word_behind'] });
      const others = (rows: readonly string[]) => rows.filter((row) => !row.includes(hexOf(mended)));
      expect(others(await rowsOf(mysql))).toEqual(others(planted));
    } finally {
      await sequences.close();
    }
  });

  it('in the folder of an embedded ledger', async () => {
    const temporary = await temporaryFolder();
    const folder = path.join(temporary.path, 'ledger');
    try {
      const bad = badOf(folderPoisons);
      const before = await openEmbedded({ folder, reservation });
      const all = [new Used('sound'), ...bad.map(({ used }) => used)];
      await Promise.all(all.map((used) => use(before, used)));
      await before.close();
      for (const { poison, used } of bad) await plantInFolder(folder, poison, used.key);
      const expected = [...expectedOf(bad)].sort();
      const planted = await bytesOf(folder);
      for (const repair of [false, true]) {
        const sequences = await openEmbedded({ folder, reservation });
        try {
          expect(await found(sequences, repair)).toEqual({ kinds: expected, repaired: [] });
        } finally {
          await sequences.close();
        }
        expect(await bytesOf(folder)).toEqual(planted);
      }
    } finally {
      await temporary.remove();
    }
  });
});

/** Every row of the conversations, each as text that is the same only for the same bytes. */
async function rowsOf(mysql: string): Promise<readonly string[]> {
  return withConnection(mysql, async (connection) => {
    const rows: string[] = [];
    for (const table of tables) {
      const query = { sql: `SELECT * FROM ${table}`, supportBigNumbers: true, rowsAsArray: true } as never;
      const [of] = await connection.query<never>(query);
      for (const row of of as unknown[][]) {
        const shown = row.map((value) => (Buffer.isBuffer(value) ? value.toString('hex') : String(value)));
        rows.push(`${table} ${shown.join(' ')}`);
      }
    }
    return rows.sort();
  });
}

function hexOf(text: string): string {
  return Buffer.from(text).toString('hex');
}

/** Every row of the conversations: those of the folder itself change with each process that opens it. */
function bytesOf(folder: string): Promise<readonly string[]> {
  return inFolder(folder, (store) =>
    Array.from(
      store.getRange(),
      ({ key, value }) => `${key.toString('hex')} ${value.toString('hex')}`,
    ).filter((row) => ['c', 'e', 'g'].some((kind) => row.startsWith(hexOf(kind)))),
  );
}
