import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '../../src/ledgers/mysql/migrate.js';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import { compiledFile } from '../support/compiled.js';
import { type MariaDbServer, startMariaDb } from '../support/servers.js';
import { ask, errorOf, kindOf, sql, withConnection } from './mysql-support.js';

const processCount = 20;
/** The version that the migrations lead to, and the rows of `tidemark_schema` then. */
const newest = 3;
const allVersions = [{ version: 1 }, { version: 2 }, { version: 3 }];
const versionIs = (version: number) => `INSERT INTO tidemark_schema VALUES (${version}, 0)`;
/** The tables of version 1, without that of the versions. */
const oldTables = ['tidemark_ledger', 'tidemark_gaps', 'tidemark_generations'];

let server: MariaDbServer;
beforeAll(async () => {
  server = await startMariaDb();
});
afterAll(() => server.stop());

/** The statements of a migration. */
async function statementsOf(version: number): Promise<string[]> {
  const file = `../../src/ledgers/mysql/migrations/00${version}.sql`;
  const text = await readFile(new URL(file, import.meta.url), 'utf8');
  return text
    .replace(/^--.*$/gm, '')
    .split(';')
    .filter((statement) => statement.trim() !== '');
}

/** A database as an older version of Tidemark left it: a history, an entry and a gap. */
async function databaseOf(version: 1 | 2): Promise<string> {
  const url = await server.createDatabase();
  await sql(
    url,
    ...(await statementsOf(1)),
    versionIs(1),
    ...(version === 2 ? [...(await statementsOf(2)), versionIs(2)] : []),
    "INSERT INTO tidemark_generations VALUES (1, 'old', 0)",
    "INSERT INTO tidemark_ledger VALUES ('group:old', 10, 0, 1, 10, 0, 0)",
    "INSERT INTO tidemark_gaps VALUES ('group:old', 1, 2, 'abandoned', 1, 0)",
  );
  return url;
}

interface Generations {
  readonly own: number;
  readonly shared: number;
}

async function startMigrator(
  url: string,
  own: string,
): Promise<{ child: ChildProcess; run(): Promise<Generations> }> {
  const file = compiledFile('test/integration/mysql-migrating-process.ts');
  const child = spawn(process.execPath, [file, url, own, 'shared'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe('ready');
  return {
    child,
    async run() {
      const exited = once(child, 'exit');
      child.stdin.write('go\n');
      const line = await lines.next();
      const [status] = await exited;
      if (line.done || status !== 0) throw new Error(`process ${own} ended with ${status}`);
      return JSON.parse(line.value) as Generations;
    },
  };
}

it('20 processes that start at once migrate once, and get one generation for one history', async () => {
  const url = await server.createDatabase();
  const starting = Array.from({ length: processCount }, (_, index) => startMigrator(url, `own-${index}`));
  const migrators = await Promise.all(starting);
  const results = await Promise.all(migrators.map((migrator) => migrator.run()));
  expect(new Set(results.map(({ shared }) => shared)).size).toBe(1);
  // No holes: 20 histories of their own and the shared one have the generations 1 to 21.
  const all = [...results.map(({ own }) => own), results[0]!.shared].sort((a, b) => a - b);
  expect(all).toEqual(Array.from({ length: processCount + 1 }, (_, index) => index + 1));
  const rows = await sql(
    url,
    'SELECT generation, history FROM tidemark_generations ORDER BY registered_at_ms, generation',
  );
  expect(rows.map((row) => row['generation'])).toEqual(all);
  expect(await sql(url, 'SELECT version FROM tidemark_schema ORDER BY version')).toEqual(allVersions);
}, 120_000);

it('migrate says from which version to which, and does nothing the second time', async () => {
  const url = await server.createDatabase();
  expect(await migrate(url)).toEqual({ from: 0, to: newest });
  expect(await migrate(url)).toEqual({ from: newest, to: newest });
});

it.each([1, 2] as const)(
  '10 processes that find version %i at once migrate it once, and its rows stay',
  async (old) => {
    const url = await databaseOf(old);
    const rows = async () =>
      Promise.all(oldTables.map((table) => sql(url, `SELECT * FROM ${table} ORDER BY 1, 2`)));
    const before = await rows();
    // Columns that are new.
    Object.assign(before[0]![0]!, { frozen_until_ms: 0 });
    Object.assign(before[2]![0]!, { seen_at_ms: 0 });
    const results = await Promise.all(Array.from({ length: 10 }, () => migrate(url)));
    expect(results.filter(({ from }) => from === old)).toHaveLength(1);
    expect(results.filter(({ from }) => from === newest)).toHaveLength(9);
    expect(results.every(({ to }) => to === newest)).toBe(true);
    expect(await rows()).toEqual(before);
    expect(await sql(url, 'SELECT version FROM tidemark_schema ORDER BY version')).toEqual(allVersions);
  },
);

it('a ledger that finds version 1 migrates it, goes on with its rows, and keeps complete marks', async () => {
  const url = await databaseOf(1);
  const ledger = new MySqlLedger(url);
  expect(await ledger.completeMarks(['group:old'])).toEqual([undefined]);
  await ledger.raiseCompleteMarks([{ conversation: 'group:old', completeUpTo: 7 }]);
  expect(await ledger.completeMarks(['group:old'])).toEqual([7]);
  expect(await ledger.registerHistory('old')).toBe(1);
  expect(await ledger.registerHistory('other')).toBe(2);
  expect(await ledger.registerHistory('old', { atLeast: 2 })).toBe(3);
  expect(await ledger.registerHistory('new', { renamedFrom: 'old', onlyIfNewest: true })).toBe(1);
  expect((await ledger.keepAlive(3)).newest).toBe(3);
  expect(await ledger.reserve([ask('group:old', [10, 0])])).toMatchObject([
    { kind: 'extended', block: { start: 10, end: 20 } },
  ]);
  expect(await ledger.gaps('group:old', { from: 1, to: 99, limit: 9 })).toMatchObject([
    { first: 1, last: 2, reason: 'abandoned' },
  ]);
  await ledger.close();
});

it('with migrate: false a database of version 1 is refused by name, and not touched', async () => {
  const url = await databaseOf(1);
  const ledger = new MySqlLedger({ url, migrate: false });
  const error = await errorOf(ledger.load(['group:old']));
  expect(error.code).toBe('schema_missing');
  expect(error.message).toContain(
    `has schema version 1, and this Tidemark needs ${newest}; run \`tidemark migrate\``,
  );
  expect(await sql(url, 'SHOW TABLES')).toHaveLength(oldTables.length + 1);
  await migrate(url);
  expect(await ledger.load(['group:old'])).toMatchObject([{ ceiling: 10 }]);
  await ledger.close();
});

it('stores conversations and histories as bytes', async () => {
  const url = await server.createDatabase();
  await migrate(url);
  const columns = await sql(
    url,
    `SELECT table_name AS t, column_type AS type FROM information_schema.columns WHERE table_schema = DATABASE()
     AND column_name IN ('conversation', 'history') ORDER BY table_name`,
  );
  expect(columns).toEqual([
    { t: 'tidemark_complete_marks', type: 'varbinary(600)' },
    { t: 'tidemark_gaps', type: 'varbinary(600)' },
    { t: 'tidemark_generations', type: 'varbinary(255)' },
    { t: 'tidemark_ledger', type: 'varbinary(600)' },
  ]);
});

it('finishes a migration that a crash left half done', async () => {
  const files = [await statementsOf(1), await statementsOf(2), await statementsOf(3)];
  expect(files.map((statements) => statements.length)).toEqual([4, 2, 9]);
  const all = files.flatMap((statements, index) => [...statements, versionIs(index + 1)]);
  for (const done of all.slice(0, -1).map((_, index) => all.slice(0, index + 1))) {
    const url = await server.createDatabase();
    await sql(url, ...done);
    const ledger = new MySqlLedger(url);
    expect(kindOf((await ledger.reserve([ask('group:a')]))[0])).toBe('new');
    expect(await ledger.registerHistory('h')).toBe(1);
    expect(await ledger.registerHistory('h', { atLeast: await ledger.registerHistory('i') })).toBe(3);
    expect(await ledger.registerHistory('new', { renamedFrom: 'h' })).toBe(1);
    expect(await ledger.generationsOf('new')).toEqual([1, 3]);
    await ledger.raiseCompleteMarks([{ conversation: 'group:a', completeUpTo: 1 }]);
    await ledger.close();
    expect(await migrate(url)).toEqual({ from: newest, to: newest });
  }
});

it('refuses a newer schema, from the ledger and from migrate, and touches nothing', async () => {
  const url = await server.createDatabase();
  await migrate(url);
  await sql(url, `INSERT INTO tidemark_schema VALUES (${newest + 1}, 0)`);
  const ledger = new MySqlLedger(url);
  const error = await errorOf(ledger.reserve([ask('group:a')]));
  expect([error.code, error.retryable]).toEqual(['schema_too_new', false]);
  expect(error.message).toContain(
    `schema version ${newest + 1}, and this Tidemark knows ${newest}; upgrade Tidemark`,
  );
  expect((await errorOf(migrate(url))).code).toBe('schema_too_new');
  expect(await sql(url, 'SELECT * FROM tidemark_ledger')).toEqual([]);
  await ledger.close();
});

it('with migrate: false asks for `tidemark migrate`, and works once that was done', async () => {
  const url = await server.createDatabase();
  const ledger = new MySqlLedger({ url, migrate: false });
  const error = await errorOf(ledger.registerHistory('h'));
  expect([error.code, error.message.includes('run `tidemark migrate`')]).toEqual(['schema_missing', true]);
  expect(await sql(url, 'SHOW TABLES')).toEqual([]);
  await migrate(url);
  expect(await ledger.registerHistory('h')).toBe(1);
  await ledger.close();
});

it('a table that was dropped under a running ledger is an error, and is not silently made again', async () => {
  const url = await server.createDatabase();
  const ledger = new MySqlLedger(url);
  await ledger.reserve([ask('group:a')]);
  await sql(url, 'DROP TABLE tidemark_ledger, tidemark_complete_marks');
  expect((await errorOf(ledger.reserve([ask('group:a', [10, 0])]))).code).toBe('schema_missing');
  expect((await errorOf(ledger.completeMarks(['group:a']))).code).toBe('schema_missing');
  await ledger.close();
});

it('a migrator that waits for another one does its work once the lock is free', async () => {
  const url = await server.createDatabase();
  await withConnection(url, async (other) => {
    await other.query("SELECT GET_LOCK(CONCAT('tidemark.migrate.', MD5(DATABASE())), 0)");
    const migrating = migrate(url);
    const early = await Promise.race([
      migrating,
      new Promise((resolve) => setTimeout(resolve, 300, 'waiting')),
    ]);
    expect(early).toBe('waiting');
    expect(await sql(url, 'SHOW TABLES')).toEqual([]);
    await other.query("SELECT RELEASE_LOCK(CONCAT('tidemark.migrate.', MD5(DATABASE())))");
    expect(await migrating).toEqual({ from: 0, to: newest });
  });
});
