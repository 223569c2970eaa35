import type { Connection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migrate } from '../../src/ledgers/mysql/migrate.js';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import { type MariaDbServer, startMariaDb } from '../support/servers.js';
import { ask, errorOf, globalStatus, kindOf, sql, untilServerRuns, withConnection } from './mysql-support.js';

let server: MariaDbServer;
let url: string;
beforeAll(async () => {
  server = await startMariaDb();
  url = await server.createDatabase();
  await migrate(url);
});
afterAll(() => server.stop());

function batchOf(round: number, from: number, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `group:round-${round}-${from + index}`);
}

/** Sum of all ceilings of conversations whose key begins with `prefix`. */
async function sumOfCeilings(prefix: string): Promise<number> {
  const [row] = await sql(
    url,
    `SELECT SUM(ceiling) AS total FROM tidemark_ledger WHERE conversation LIKE '${prefix}%'`,
  );
  return Number(row!['total']);
}

it('two workers reserve overlapping batches of new rows, 200 rounds: no error, and every number counted once', async () => {
  const workers = [new MySqlLedger(url), new MySqlLedger(url)];
  const rollbacksBefore = await globalStatus(url, 'Com_rollback');
  let reserved = 0;
  let takeovers = 0;
  for (let round = 0; round < 200; round += 1) {
    // Opposite orders and an overlap of ten: the worst case for locks.
    const batches = [batchOf(round, 0, 20), batchOf(round, 10, 20).reverse()];
    const outcomes = await Promise.all(
      workers.map((ledger, i) => ledger.reserve(batches[i]!.map((key) => ask(key)))),
    );
    for (const outcome of outcomes.flat()) {
      // Whoever comes second sees a block that somebody is just installing, or, a second later, one that got lost.
      if (kindOf(outcome) === 'takeover') takeovers += 1;
      if (outcome.status === 'reserved') reserved += outcome.block.end - outcome.block.start;
      else expect(outcome.status).toBe('busy');
    }
  }
  expect(reserved).toBe((200 * 30 + takeovers) * 10);
  expect(await sumOfCeilings('group:round-')).toBe(reserved);
  // The workers did meet: some transactions were rolled back and run again.
  expect(await globalStatus(url, 'Com_rollback')).toBeGreaterThan(rollbacksBefore);
  await Promise.all(workers.map((ledger) => ledger.close()));
}, 120_000);

it('60 histories that are registered at once get the generations 1 to 60, and the same ones again', async () => {
  const ledgers = Array.from({ length: 3 }, () => new MySqlLedger({ url, poolSize: 20 }));
  const register = () =>
    Promise.all(
      Array.from({ length: 60 }, (_, index) => ledgers[index % 3]!.registerHistory(`history-${index}`)),
    );
  await Promise.all(
    ledgers.map((ledger) => Promise.all(Array.from({ length: 20 }, () => ledger.load(['group:warm'])))),
  );
  const generations = await register();
  expect([...generations].sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
  expect(await register()).toEqual(generations);
  await Promise.all(ledgers.map((ledger) => ledger.close()));
});

it('many calls of one ledger extend the same rows at once: every block is given to one of them', async () => {
  const ledgers = [new MySqlLedger({ url, poolSize: 8 }), new MySqlLedger({ url, poolSize: 8 })];
  const keys = batchOf(1_000, 0, 8);
  await ledgers[0]!.reserve(keys.map((key) => ask(key)));
  const kinds = new Map<string, number>();
  const calls = Array.from({ length: 60 }, async (_, call) => {
    const outcomes = await ledgers[call % 2]!.reserve(keys.map((key) => ask(key, [9, 1])));
    for (const outcome of outcomes) {
      expect(outcome).toMatchObject({ status: 'reserved', block: { start: 10, end: 20 } });
      kinds.set(kindOf(outcome), (kinds.get(kindOf(outcome)) ?? 0) + 1);
    }
  });
  await Promise.all(calls);
  // One extends, all others adopt that block; nothing is reserved twice.
  expect(Object.fromEntries(kinds)).toEqual({ extended: 8, adopted: 59 * 8 });
  expect(await sumOfCeilings('group:round-1000-')).toBe(8 * 20);
  const adoptions = await sql(
    url,
    "SELECT DISTINCT adoptions AS n FROM tidemark_ledger WHERE conversation LIKE 'group:round-1000-%'",
  );
  expect(adoptions).toEqual([{ n: 59 }]);
  await Promise.all(ledgers.map((ledger) => ledger.close()));
}, 60_000);

describe('beside another session', () => {
  async function beside(use: (other: Connection, ledger: MySqlLedger) => Promise<void>): Promise<void> {
    const ledger = new MySqlLedger(url);
    await ledger.load(['group:warm']);
    try {
      await withConnection(url, async (other) => {
        await other.query('START TRANSACTION');
        await use(other, ledger);
      });
    } finally {
      await ledger.close();
    }
  }

  const columns = 'conversation, ceiling, floor, generation, block_size, reserved_at_ms';

  it('a new row that somebody else creates between the look and the insert is not overwritten', async () => {
    // The trigger holds the ledger's insert back until the other session has inserted the same row.
    await sql(
      url,
      `CREATE TRIGGER slow_insert BEFORE INSERT ON tidemark_ledger FOR EACH ROW
       IF NEW.conversation = 'group:race' AND @first IS NULL THEN SET @slept = SLEEP(0.3); END IF`,
    );
    await beside(async (other, ledger) => {
      const reserving = ledger.reserve([ask('group:race'), ask('group:race-too')]);
      await untilServerRuns(url, 'SLEEP(0.3)');
      await other.query('SET @first = 1');
      await other.query(
        `INSERT INTO tidemark_ledger (${columns}) VALUES ('group:race', 500, 400, 1, 100, 0)`,
      );
      await other.query('COMMIT');
      const [outcome, second] = await reserving;
      const gap = { first: 401, last: 500, reason: 'word_lost' };
      expect(outcome).toMatchObject({ kind: 'takeover', block: { start: 500, end: 510 }, gap });
      expect(second).toMatchObject({ kind: 'new', block: { start: 0, end: 10 } });
    });
    await sql(url, 'DROP TRIGGER slow_insert');
  });

  it('the victim of a deadlock runs again', async () => {
    await sql(
      url,
      `INSERT INTO tidemark_ledger (${columns}) VALUES ('group:dead-a', 10, 0, 1, 10, 0), ('group:dead-b', 10, 0, 1, 10, 0)`,
    );
    const deadlocksBefore = await globalStatus(url, 'Innodb_deadlocks');
    await beside(async (other, ledger) => {
      // Many changes make this session the one that the server does not choose as the victim.
      await other.query(
        `INSERT INTO tidemark_gaps SELECT 'group:dead', seq, seq, 'word_lost', 1, 0 FROM seq_1_to_500`,
      );
      await other.query("SELECT * FROM tidemark_ledger WHERE conversation = 'group:dead-b' FOR UPDATE");
      const reserving = ledger.reserve([ask('group:dead-a', [10, 0]), ask('group:dead-b', [10, 0])]);
      await untilServerRuns(url, 'FOR UPDATE');
      await other.query("SELECT * FROM tidemark_ledger WHERE conversation = 'group:dead-a' FOR UPDATE");
      await other.query('COMMIT');
      expect((await reserving).map(kindOf)).toEqual(['extended', 'extended']);
    });
    expect(await globalStatus(url, 'Innodb_deadlocks')).toBe(deadlocksBefore + 1);
  });

  it('a lock wait that times out is tried again; the clock is read after the wait', async () => {
    const [row] = await sql(url, 'SELECT ROUND(UNIX_TIMESTAMP(NOW(3)) * 1000) AS ms');
    const reservedAtMs = Number(row!['ms']);
    await sql(
      url,
      `INSERT INTO tidemark_ledger (${columns}) VALUES ('group:slow', 10, 0, 1, 10, ${reservedAtMs})`,
    );
    const ledger = new MySqlLedger({ url, queryTimeoutMs: 2_000 });
    await ledger.load(['group:warm']);
    await withConnection(url, async (other) => {
      await other.query('START TRANSACTION');
      await other.query("SELECT * FROM tidemark_ledger WHERE conversation = 'group:slow' FOR UPDATE");
      const reserving = ledger.reserve([ask('group:slow')]);
      // The session waits one second for a lock with this timeout, so the second attempt is under way at 1.5 s.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      await other.query('COMMIT');
      // By the clock of the statement's start the block would be a moment old, and the answer busy, or too late.
      expect(kindOf((await reserving)[0])).toBe('takeover');
    });
    const [entry] = await ledger.load(['group:slow']);
    expect(entry!.reservedAtMs - reservedAtMs).toBeGreaterThan(1_400);
    await ledger.close();
  });

  it('rows that stay locked are an error in bounded time, and nothing was reserved', async () => {
    await sql(url, `INSERT INTO tidemark_ledger (${columns}) VALUES ('group:stuck', 10, 0, 1, 10, 0)`);
    const ledger = new MySqlLedger({ url, queryTimeoutMs: 2_000 });
    const notices: string[] = [];
    ledger.onNotice(({ status }) => notices.push(status));
    await withConnection(url, async (other) => {
      await other.query('START TRANSACTION');
      await other.query("SELECT * FROM tidemark_ledger WHERE conversation = 'group:stuck' FOR UPDATE");
      const error = await errorOf(ledger.reserve([ask('group:stuck', [10, 0]), ask('group:stuck-too')]));
      expect([error.code, error.retryable]).toEqual(['ledger_unavailable', true]);
      expect(error.message).toContain('did not free the rows in time');
    });
    // The server works, so it is not reported as down.
    expect(notices).toEqual([]);
    expect((await ledger.load(['group:stuck', 'group:stuck-too'])).map((entry) => entry?.ceiling)).toEqual([
      10,
      undefined,
    ]);
    await ledger.close();
  }, 60_000);
});

it('locks rows by the primary key alone, in its order, without sorting', async () => {
  const ledger = new MySqlLedger(url);
  const keys = batchOf(2_000, 0, 400);
  await ledger.reserve(keys.map((key) => ask(key)));
  await ledger.close();
  const list = keys.map((key) => `'${key}'`).join(', ');
  const [plan] = await sql(
    url,
    `EXPLAIN SELECT * FROM tidemark_ledger FORCE INDEX (PRIMARY) WHERE conversation IN (${list}) ORDER BY conversation FOR UPDATE`,
  );
  expect(plan).toMatchObject({ type: 'range', key: 'PRIMARY', Extra: 'Using where' });
});
