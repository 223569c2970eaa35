/** The schema of the ledger: numbered SQL files, applied in order, by one process at a time. */

import { readdir, readFile } from 'node:fs/promises';
import { TidemarkError } from '../../errors.js';
import { Connections, type Session } from './connections.js';
import { Health } from './health.js';
import { type MySqlLedgerOptions, mySqlSettings } from './options.js';
import { clockMs } from './rows.js';
import { failureOf, isMissingTable } from './server-errors.js';

const folder = new URL('./migrations/', import.meta.url);
const fileName = /^(\d{3})\.sql$/;
/** Longest wait for another process that migrates, in seconds. */
const migratorWaitSeconds = 30;
/** Longest time of one statement of a migration. */
const statementTimeoutMs = 600_000;
/** Per database, because the names of locks are shared by the whole server; 64 characters at most. */
const lockName = "CONCAT('tidemark.migrate.', MD5(DATABASE()))";

/** Schema versions before and after a migration; 0 is an empty database. */
export interface MigrationResult {
  readonly from: number;
  readonly to: number;
}

/**
 * Creates or upgrades the tables of a MySQL ledger. Safe to run from many processes at once, and again after a crash.
 *
 * @param target - `mysql://user:password@host:3306/database`, or the options of a {@link MySqlLedger}
 * @returns the schema versions before and after; equal when there was nothing to do
 * @throws TidemarkError `schema_too_new`, `ledger_unavailable`, `ledger_full`, `invalid_argument`
 */
export async function migrate(target: string | MySqlLedgerOptions): Promise<MigrationResult> {
  const settings = mySqlSettings(target);
  const connections = new Connections(settings, new Health());
  try {
    return await ensureSchema(connections, true);
  } catch (error) {
    throw failureOf(error, settings.server).error;
  } finally {
    await connections.end();
  }
}

/** Brings the schema to this version, or only checks that it is there. Takes no lock when there is nothing to do. */
export async function ensureSchema(connections: Connections, mayMigrate: boolean): Promise<MigrationResult> {
  const files = await migrationFiles();
  return connections.use(async (session) => {
    const from = await schemaVersion(session);
    checkNotNewer(from, files.length);
    if (from === files.length) return { from, to: from };
    if (!mayMigrate) {
      const state =
        from === 0
          ? 'has no tables of Tidemark'
          : `has schema version ${from}, and this Tidemark needs ${files.length}`;
      throw new TidemarkError('schema_missing', `the MySQL database ${state}; run \`tidemark migrate\``);
    }
    return migrateLocked(session, files);
  });
}

async function migrateLocked(session: Session, files: readonly URL[]): Promise<MigrationResult> {
  const lockTimeoutMs = (migratorWaitSeconds + 5) * 1_000;
  const [granted] = await session.query(
    `SELECT GET_LOCK(${lockName}, ?)`,
    [migratorWaitSeconds],
    lockTimeoutMs,
  );
  if (Number(granted?.[0]) !== 1) {
    const text = `another process has been migrating the MySQL database for ${migratorWaitSeconds} s; wait for it and try again`;
    throw new TidemarkError('ledger_unavailable', text);
  }
  try {
    // Somebody else may have done it while this process waited.
    const from = await schemaVersion(session);
    checkNotNewer(from, files.length);
    for (let version = from + 1; version <= files.length; version++) {
      await apply(session, version, files[version - 1]!);
    }
    return { from, to: files.length };
  } finally {
    await session.query(`DO RELEASE_LOCK(${lockName})`);
  }
}

/** A crash between two statements is repaired by running the file again: each of its statements can be repeated. */
async function apply(session: Session, version: number, file: URL): Promise<void> {
  for (const statement of statementsOf(await readFile(file, 'utf8'))) {
    await session.query(statement, [], statementTimeoutMs);
  }
  await session.query(
    `INSERT INTO tidemark_schema (version, applied_at_ms) VALUES (?, ${clockMs}) ON DUPLICATE KEY UPDATE version = version`,
    [version],
  );
}

async function schemaVersion(session: Session): Promise<number> {
  try {
    const [row] = await session.query('SELECT COALESCE(MAX(version), 0) FROM tidemark_schema');
    return Number(row![0]);
  } catch (error) {
    if (isMissingTable(error)) return 0;
    throw error;
  }
}

function checkNotNewer(found: number, known: number): void {
  if (found <= known) return;
  const text = `the MySQL database has schema version ${found}, and this Tidemark knows ${known}; upgrade Tidemark`;
  throw new TidemarkError('schema_too_new', text);
}

async function migrationFiles(): Promise<readonly URL[]> {
  const names = (await readdir(folder)).filter((name) => fileName.test(name)).sort();
  names.forEach((name, index) => {
    if (Number(fileName.exec(name)![1]) !== index + 1) {
      throw new TidemarkError(
        'internal',
        `the migrations of the MySQL ledger are not numbered without holes: ${name}`,
      );
    }
  });
  if (names.length === 0)
    throw new TidemarkError('internal', 'the migrations of the MySQL ledger are not installed');
  return names.map((name) => new URL(name, folder));
}

/** A statement ends with a semicolon at the end of a line; comments have lines of their own. */
function statementsOf(sql: string): readonly string[] {
  return sql
    .replace(/^--.*$/gm, '')
    .split(/;\s*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}
