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

let server: MariaDbServer;
beforeAll(async () => {
  server = await startMariaDb();
});
afterAll(() => server.stop());

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
  expect(await sql(url, 'SELECT version FROM tidemark_schema')).toEqual([{ version: 1 }]);
}, 120_000);

it('migrate says from which version to which, and does nothing the second time', async () => {
  const url = await server.createDatabase();
  expect(await migrate(url)).toEqual({ from: 0, to: 1 });
  expect(await migrate(url)).toEqual({ from: 1, to: 1 });
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
    { t: 'tidemark_gaps', type: 'varbinary(600)' },
    { t: 'tidemark_generations', type: 'varbinary(255)' },
    { t: 'tidemark_ledger', type: 'varbinary(600)' },
  ]);
});

it('finishes a migration that a crash left half done', async () => {
  const text = await readFile(new URL('../../src/ledgers/mysql/migrations/001.sql', import.meta.url), 'utf8');
  const statements = text
    .replace(/^--.*$/gm, '')
    .split(';')
    .filter((statement) => statement.trim() !== '');
  expect(statements.length).toBe(4);
  for (let done = 1; done <= statements.length; done += 1) {
    const url = await server.createDatabase();
    await sql(url, ...statements.slice(0, done));
    const ledger = new MySqlLedger(url);
    expect(kindOf((await ledger.reserve([ask('group:a')]))[0])).toBe('new');
    expect(await ledger.registerHistory('h')).toBe(1);
    await ledger.close();
    expect(await migrate(url)).toEqual({ from: 1, to: 1 });
  }
});

it('refuses a newer schema, from the ledger and from migrate, and touches nothing', async () => {
  const url = await server.createDatabase();
  await migrate(url);
  await sql(url, 'INSERT INTO tidemark_schema VALUES (2, 0)');
  const ledger = new MySqlLedger(url);
  const error = await errorOf(ledger.reserve([ask('group:a')]));
  expect([error.code, error.retryable]).toEqual(['schema_too_new', false]);
  expect(error.message).toContain('schema version 2, and this Tidemark knows 1; upgrade Tidemark');
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
  await sql(url, 'DROP TABLE tidemark_ledger');
  expect((await errorOf(ledger.reserve([ask('group:a', [10, 0])]))).code).toBe('schema_missing');
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
    expect(await migrating).toEqual({ from: 0, to: 1 });
  });
});
