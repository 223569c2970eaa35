/** What `tidemark doctor` looks at in MySQL or MariaDB, over a connection of its own. */

import type { Connection } from 'mysql2/promise';
import { TidemarkError } from '../../errors.js';
import { MySqlLedger } from '../../ledgers/mysql/mysql-ledger.js';
import { type MySqlSettings, mySqlSettings } from '../../ledgers/mysql/options.js';
import { type Check, clockCheck, reasonOf, within } from './doctor.js';
import { connect } from './mysql-connection.js';

/** Everything about one MySQL or MariaDB server. Faults become checks; nothing is thrown. */
export async function examineLedger(url: string, timeoutMs: number): Promise<Check[]> {
  let settings: MySqlSettings;
  try {
    settings = mySqlSettings(url);
  } catch (error) {
    return [
      { check: 'ledger.connection', status: 'failure', found: reasonOf(error), advice: 'correct the URL' },
    ];
  }
  const startedAtMs = performance.now();
  let connection: Connection | undefined;
  try {
    connection = await within(timeoutMs, connect(settings, timeoutMs));
    const tookMs = Math.ceil(performance.now() - startedAtMs);
    const first: Check = {
      check: 'ledger.connection',
      status: 'ok',
      found: `mysql://${settings.server}, ${tookMs} ms`,
    };
    return [
      first,
      ...(await within(timeoutMs, examineConnected(connection))),
      await schemaCheck(url, connection),
    ];
  } catch (error) {
    const found = `mysql://${settings.server}: ${reasonOf(error)}`;
    const advice = 'check that the server runs, and host, port, user, password and database';
    return [{ check: 'ledger.connection', status: 'failure', found, advice }];
  } finally {
    connection?.destroy();
  }
}

async function examineConnected(connection: Connection): Promise<Check[]> {
  return [
    versionCheck(await variable(connection, 'version')),
    await readOnlyCheck(connection),
    await flushCheck(connection),
    await binlogCheck(connection),
    await isolationCheck(connection),
    await clockOf(connection),
  ];
}

function versionCheck(version: string | undefined): Check {
  const check = 'ledger.version';
  if (version === undefined) return hidden(check, 'version');
  const isMariaDb = /mariadb/i.test(version);
  const [major = 0, minor = 0] = version.split('.').map(Number.parseFloat);
  const found = `${isMariaDb ? 'MariaDB' : 'MySQL'} ${version.split('-')[0]}`;
  const isSupported = isMariaDb ? major > 10 || (major === 10 && minor >= 6) : major >= 8;
  if (isSupported) return { check, status: 'ok', found };
  return { check, status: 'failure', found, advice: 'use MySQL 8.0 or newer, or MariaDB 10.6 or newer' };
}

async function readOnlyCheck(connection: Connection): Promise<Check> {
  const check = 'ledger.writable';
  const readOnly = await variable(connection, 'read_only');
  if (readOnly === undefined) return hidden(check, 'read_only');
  // Without read_only the server of a cloud may still be read-only at the level of its storage.
  if (isOn(readOnly) || isOn(await variable(connection, 'innodb_read_only'))) {
    return {
      check,
      status: 'failure',
      found: 'the server is read-only',
      advice: 'point --ledger to the primary',
    };
  }
  return { check, status: 'ok', found: 'read_only is off' };
}

async function flushCheck(connection: Connection): Promise<Check> {
  const check = 'ledger.flush';
  const name = 'innodb_flush_log_at_trx_commit';
  const value = await variable(connection, name);
  if (value === undefined) return hidden(check, name);
  const found = `${name} = ${value}`;
  // 3 is MariaDB's older way of flushing at every commit.
  if (value === '1' || value === '3') return { check, status: 'ok', found };
  const advice = `set ${name} = 1: now a crash of the server may forget reservations that it has acknowledged`;
  return { check, status: 'warning', found, advice };
}

async function binlogCheck(connection: Connection): Promise<Check> {
  const check = 'ledger.binlog';
  const logs = await variable(connection, 'log_bin');
  const sync = await variable(connection, 'sync_binlog');
  if (logs === undefined || sync === undefined) return hidden(check, 'sync_binlog');
  if (!isOn(logs)) return { check, status: 'ok', found: 'no binary log' };
  const found = `sync_binlog = ${sync}`;
  if (sync === '1') return { check, status: 'ok', found };
  const advice = 'set sync_binlog = 1: now a replica may miss reservations after a crash of the server';
  return { check, status: 'warning', found, advice };
}

async function isolationCheck(connection: Connection): Promise<Check> {
  const check = 'ledger.isolation';
  try {
    await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
    const byDefault =
      (await variable(connection, 'transaction_isolation')) ?? (await variable(connection, 'tx_isolation'));
    return {
      check,
      status: 'ok',
      found: `READ COMMITTED in our sessions (the server's default: ${byDefault ?? 'unknown'})`,
    };
  } catch (error) {
    const advice = 'the ledger needs READ COMMITTED; allow the user to set it';
    return { check, status: 'failure', found: reasonOf(error), advice };
  }
}

async function clockOf(connection: Connection): Promise<Check> {
  const beforeMs = performance.now();
  const [value] = await firstRow(connection, 'SELECT UNIX_TIMESTAMP(NOW(3)) * 1000');
  const errorMs = (performance.now() - beforeMs) / 2;
  return clockCheck('ledger.clock', Number(value) - (Date.now() - errorMs), errorMs);
}

/** What the ledger itself says about the schema, and the version that is there. */
async function schemaCheck(url: string, connection: Connection): Promise<Check> {
  const check = 'ledger.schema';
  const ledger = new MySqlLedger({ url, migrate: false });
  try {
    await ledger.load(['doctor:schema']);
    const [version] = await firstRow(connection, 'SELECT MAX(version) FROM tidemark_schema');
    return { check, status: 'ok', found: `version ${String(version)}` };
  } catch (error) {
    const found = reasonOf(error);
    if (!(error instanceof TidemarkError))
      return { check, status: 'failure', found, advice: 'see the log of the server' };
    if (error.code === 'schema_missing') {
      return {
        check,
        status: 'warning',
        found,
        advice: 'run tidemark migrate; otherwise the first number does it',
      };
    }
    const advice = error.code === 'schema_too_new' ? 'upgrade Tidemark' : 'see the message';
    return { check, status: 'failure', found, advice };
  } finally {
    await ledger.close();
  }
}

/** The value of a system variable as text; undefined when there is none of that name or it may not be read. */
async function variable(connection: Connection, name: string): Promise<string | undefined> {
  try {
    const [value] = await firstRow(connection, `SELECT @@global.${name}`);
    return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
  } catch (error) {
    // A refusal has an SQL state; a lost connection has none and ends the examination.
    if ((error as { sqlState?: string }).sqlState !== undefined) return undefined;
    throw error;
  }
}

async function firstRow(connection: Connection, sql: string): Promise<readonly unknown[]> {
  const [rows] = await connection.query({ sql, rowsAsArray: true });
  return (rows as unknown as readonly (readonly unknown[])[])[0] ?? [];
}

function isOn(value: string | undefined): boolean {
  return value === '1' || value === 'ON';
}

function hidden(check: string, name: string): Check {
  return {
    check,
    status: 'warning',
    found: `${name} may not be read`,
    advice: `ask the operator for the value of ${name}`,
  };
}
