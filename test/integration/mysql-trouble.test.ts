import { inspect } from 'node:util';
import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerNotice } from '../../src/core/ledger.js';
import { migrate } from '../../src/ledgers/mysql/migrate.js';
import { MySqlLedger, type MySqlLedgerOptions } from '../../src/ledgers/mysql/mysql-ledger.js';
import { freePort, type MariaDbServer, startMariaDb } from '../support/servers.js';
import { ask, asUser, errorOf, kindOf, sql, statesOf, until } from './mysql-support.js';

const secret = 'h0rse b@ttery:/%';

let server: MariaDbServer;
beforeAll(async () => {
  server = await startMariaDb();
});
afterAll(() => server.stop());

async function using<T>(
  target: string | MySqlLedgerOptions,
  use: (ledger: MySqlLedger, notices: LedgerNotice[]) => Promise<T>,
): Promise<T> {
  const ledger = new MySqlLedger(target);
  const notices: LedgerNotice[] = [];
  ledger.onNotice((notice) => notices.push(notice));
  try {
    return await use(ledger, notices);
  } finally {
    await ledger.close();
  }
}

describe('users', () => {
  async function withUser(name: string, grants: string, limits = '', hasTables = true): Promise<string> {
    const url = await server.createDatabase();
    if (hasTables) await migrate(url);
    const database = new URL(url).pathname.slice(1);
    await sql(
      url,
      `CREATE USER '${name}'@'127.0.0.1' IDENTIFIED BY '${secret}' ${limits}`,
      `GRANT ${grants} ON ${database}.* TO '${name}'@'127.0.0.1'`,
    );
    return asUser(url, name, secret);
  }

  it('a user who may only read gets a clear error, and reading goes on', async () => {
    const url = await withUser('reader', 'SELECT');
    await using(url, async (ledger, notices) => {
      const error = await errorOf(ledger.reserve([ask('group:a')]));
      expect([error.code, error.retryable]).toEqual(['ledger_unavailable', true]);
      expect(error.message).toContain('lacks a grant for this user; grant SELECT, INSERT and UPDATE');
      expect((await errorOf(ledger.registerHistory('h'))).code).toBe('ledger_unavailable');
      expect(await ledger.load(['group:a'])).toEqual([undefined]);
      // A read that works does not make the ledger usable again.
      expect(statesOf(notices)).toEqual(['down']);
      expect(inspect(error, { depth: 20 })).not.toContain(secret);
    });
  });

  it('CREATE and ALTER beside them are all that migrating needs', async () => {
    const url = await withUser('migrator', 'SELECT, INSERT, UPDATE, CREATE, ALTER', '', false);
    expect(await migrate(url)).toMatchObject({ from: 0 });
    await using(url, async (ledger) => {
      expect((await ledger.reserve([ask('group:a')])).map(kindOf)).toEqual(['new']);
    });
  });

  it('SELECT, INSERT and UPDATE are all that a migrated ledger needs', async () => {
    const url = await withUser('writer', 'SELECT, INSERT, UPDATE');
    await using(url, async (ledger) => {
      expect(await ledger.registerHistory('h')).toBe(1);
      expect((await ledger.reserve([ask('group:a')])).map(kindOf)).toEqual(['new']);
      expect((await ledger.reserve([ask('group:a', [10, 0])])).map(kindOf)).toEqual(['extended']);
      await ledger.recordGaps([
        { conversation: 'group:a', first: 1, last: 2, reason: 'abandoned', generation: 1 },
      ]);
      expect(await ledger.registerHistory('renamed', { renamedFrom: 'h', onlyIfNewest: true })).toBe(1);
      expect(await ledger.keepAlive(1)).toMatchObject({ newest: 1 });
      const words = [{ conversation: 'group:a', word: { last: 15, remaining: 5 } }];
      expect(await ledger.freeze(1, words)).toEqual([true]);
      expect(await ledger.handBack(1, words)).toEqual([true]);
      expect((await ledger.load(['group:a']))[0]).toMatchObject({ ceiling: 15, floor: 15 });
      for (const completeUpTo of [4, 9]) {
        await ledger.raiseCompleteMarks([{ conversation: 'group:a', completeUpTo }]);
      }
      expect(await ledger.completeMarks(['group:a'])).toEqual([9]);
    });
  });

  it('a wrong password and an unknown database are said, the password is not', async () => {
    const url = await withUser('known', 'SELECT');
    await using(asUser(url, 'known', `${secret}!`), async (ledger, notices) => {
      const error = await errorOf(ledger.load(['group:a']));
      expect([error.code, error.retryable]).toEqual(['ledger_unavailable', true]);
      expect(error.message).toMatch(
        /the MySQL server 127\.0\.0\.1:\d+\/tidemark_\d+ refuses the user; check its name, password/,
      );
      expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(secret);
      expect(inspect(notices, { depth: 20 })).not.toContain(secret);
      expect(statesOf(notices)).toEqual(['down']);
    });
    await using(server.url.replace(/tidemark$/, 'nowhere'), async (ledger) => {
      expect((await errorOf(ledger.load(['group:a']))).message).toContain('has no such database; create it');
    });
  });

  it('too many connections are said', async () => {
    const url = await withUser('busy', 'ALL', 'WITH MAX_USER_CONNECTIONS 1');
    const other = await createConnection(url);
    await using(url, async (ledger, notices) => {
      const error = await errorOf(ledger.load(['group:a']));
      expect(error.code).toBe('ledger_unavailable');
      expect(error.message).toContain('has too many connections; raise max_connections or lower poolSize');
      other.destroy();
      await until(() => ledger.load(['group:a']).then(Boolean, () => false), 'the connection is free');
      expect(statesOf(notices)).toEqual(['down', 'up']);
    });
  });

  it('a server that became read-only is down until it can be written again', async () => {
    const url = await withUser('app', 'SELECT, INSERT, UPDATE');
    await using(url, async (ledger, notices) => {
      await ledger.reserve([ask('group:a')]);
      await sql(server.url, 'SET GLOBAL read_only = 1');
      try {
        const error = await errorOf(ledger.reserve([ask('group:a', [10, 0])]));
        expect(error.code).toBe('ledger_unavailable');
        expect(error.message).toContain('is read-only; connect to the primary');
        expect((await ledger.load(['group:a']))[0]?.ceiling).toBe(10);
        expect(statesOf(notices)).toEqual(['down']);
      } finally {
        await sql(server.url, 'SET GLOBAL read_only = 0');
      }
      expect((await ledger.reserve([ask('group:a', [10, 0])])).map(kindOf)).toEqual(['extended']);
      expect(statesOf(notices)).toEqual(['down', 'up']);
    });
  });
});

it('nobody listening, and TLS that the server does not have, are said at once', async () => {
  const startMs = performance.now();
  await using(
    `mysql://root:${encodeURIComponent(secret)}@127.0.0.1:${await freePort()}/db`,
    async (ledger, notices) => {
      const error = await errorOf(ledger.registerHistory('h'));
      expect([error.code, error.retryable]).toEqual(['ledger_unavailable', true]);
      expect(error.message).toContain('cannot be reached; check that it runs');
      expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(secret);
      expect(statesOf(notices)).toEqual(['down']);
    },
  );
  await using(`${server.url}?ssl=true`, async (ledger) => {
    expect((await errorOf(ledger.load(['group:a']))).message).toContain(
      'does not offer TLS, which was asked for',
    );
  });
  expect(performance.now() - startMs).toBeLessThan(5_000);
});

it('at most 1,000 calls wait for a connection; one more is refused at once', async () => {
  await using({ url: await server.createDatabase(), poolSize: 1, queryTimeoutMs: 50_000 }, async (ledger) => {
    await ledger.load(['group:a']);
    const calls = Array.from({ length: 1_001 }, () => ledger.load(['group:a']));
    expect((await errorOf(ledger.load(['group:a']))).code).toBe('overloaded');
    await Promise.all(calls);
  });
});

describe('corrupt rows', () => {
  const rows: [what: string, values: string, frozenUntilMs?: number][] = [
    ['a floor above the ceiling', '10, 11, 1, 10, 0'],
    ['a negative ceiling', '-1, -1, 1, 10, 0'],
    ['a negative floor', '10, -5, 1, 10, 0'],
    ['a ceiling above the last number', '1000000000000, 0, 1, 10, 0'],
    ['a ceiling above 2^53', '9223372036854775807, 0, 1, 10, 0'],
    ['a negative generation', '10, 0, -1, 10, 0'],
    ['a block size above 2^53', '10, 0, 1, 9007199254740993, 0'],
    ['a freeze in the past of all clocks', '10, 0, 1, 10, 0', -1],
  ];
  it.each(rows)(
    '%s: only its conversation is refused, and the row is left alone',
    async (_what, values, frozenUntilMs = 0) => {
      const url = await server.createDatabase();
      await using(url, async (ledger) => {
        await ledger.reserve([ask('group:sound')]);
        await sql(url, `INSERT INTO tidemark_ledger VALUES ('group:broken', ${values}, 0, ${frozenUntilMs})`);
        const everything = 'SELECT * FROM tidemark_ledger WHERE conversation = "group:broken"';
        const before = await sql(url, everything);
        const outcomes = await ledger.reserve([
          ask('group:sound', [10, 0]),
          ask('group:broken', undefined, 2),
          ask('group:new'),
        ]);
        expect(outcomes.map(kindOf)).toEqual(['extended', 'corrupt', 'new']);
        expect(outcomes[1]).toMatchObject({
          found: expect.stringContaining(`ceiling ${values.split(',')[0]}`),
        });
        const words = [{ conversation: 'group:broken', word: { last: 4, remaining: 6 } }];
        expect(await ledger.freeze(1, words)).toEqual([false]);
        expect(await ledger.handBack(1, words)).toEqual([false]);
        const error = await errorOf(ledger.load(['group:sound', 'group:broken']));
        expect([error.code, error.conversation, error.retryable]).toEqual([
          'ledger_corrupt',
          'group:broken',
          false,
        ]);
        expect((await errorOf(ledger.list('group', { after: undefined, limit: 9 }))).code).toBe(
          'ledger_corrupt',
        );
        expect(await ledger.list('group', { after: 'group:broken', limit: 9 })).toHaveLength(2);
        expect(await sql(url, everything)).toEqual(before);
      });
    },
  );

  it('a gap with an unknown reason', async () => {
    const url = await server.createDatabase();
    await using(url, async (ledger) => {
      await ledger.load(['group:a']);
      await sql(url, "INSERT INTO tidemark_gaps VALUES ('group:a', 1, 2, 'moths', 1, 0)");
      const error = await errorOf(ledger.gaps('group:a', { from: 1, to: 10, limit: 10 }));
      expect([error.code, error.conversation]).toEqual(['ledger_corrupt', 'group:a']);
    });
  });
});

it('conversations that differ only in case, accents or trailing spaces have rows of their own', async () => {
  const keys = [
    'Room',
    'room',
    'room ',
    'room  ',
    ' room',
    'roöm',
    'room\u0308',
    'straße',
    'strasse',
    "r'o\\om",
    'r"`%_',
    '🙂',
  ];
  const url = await server.createDatabase();
  await using(url, async (ledger) => {
    const all = keys.map((id) => `group:${id}`);
    expect((await ledger.reserve(all.map((key) => ask(key)))).map(kindOf)).toEqual(keys.map(() => 'new'));
    // Each gets a ceiling of its own, so that a mixed-up row would show.
    for (const [index, key] of all.entries())
      await ledger.reserve([{ ...ask(key, [10, 0]), need: 100 + index }]);
    const entries = await ledger.load(all);
    expect(entries.map((entry) => [entry?.conversation, entry?.ceiling])).toEqual(
      all.map((key, i) => [key, 110 + i]),
    );
    const listed = await ledger.list('group', { after: undefined, limit: 100 });
    expect(listed.map(({ conversation }) => conversation)).toEqual(
      [...all].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    );
    expect(await ledger.registerHistory('ABC')).toBe(1);
    expect(await ledger.registerHistory('abc')).toBe(2);
    expect(await ledger.registerHistory('abc ')).toBe(3);
  });
});

it('keys and histories that do not fit into their columns are refused before anything is written', async () => {
  await using(await server.createDatabase(), async (ledger) => {
    const tooLong = `group:${'ü'.repeat(298)}`;
    expect((await errorOf(ledger.reserve([ask('group:a'), ask(tooLong)]))).code).toBe('invalid_argument');
    expect(await ledger.load(['group:a'])).toEqual([undefined]);
    expect((await ledger.reserve([ask(`group:${'ü'.repeat(297)}`)])).map(kindOf)).toEqual(['new']);
    for (const history of ['', 'h'.repeat(256), 'ü'.repeat(128)]) {
      expect((await errorOf(ledger.registerHistory(history))).code).toBe('invalid_argument');
    }
    expect(await ledger.registerHistory('h'.repeat(255))).toBe(1);
  });
});

describe('servers that are set up in a risky way', () => {
  it('a flush only once a second, and a log that is not synced, are told once each, with advice', async () => {
    const risky = await startMariaDb({
      args: ['--innodb-flush-log-at-trx-commit=2', '--log-bin', '--sync-binlog=0'],
    });
    try {
      await using(risky.url, async (ledger, notices) => {
        await ledger.load(['group:a']);
        await Promise.all(Array.from({ length: 8 }, () => ledger.load(['group:a'])));
        expect(notices).toMatchObject([
          { status: 'not_durable', setting: 'innodb_flush_log_at_trx_commit', value: '2' },
          { status: 'not_durable', setting: 'sync_binlog', value: '0' },
        ]);
        for (const notice of notices)
          expect(notice).toMatchObject({ advice: expect.stringMatching(/^set \w+ = 1;/) });
        // A listener that comes later is told, too.
        const late: LedgerNotice[] = [];
        ledger.onNotice((notice) => late.push(notice));
        await Promise.resolve();
        expect(late).toEqual(notices);
      });
    } finally {
      await risky.stop();
    }
  });

  it('a server that flushes at every commit and has no binary log is not warned about', async () => {
    await using(await server.createDatabase(), async (ledger, notices) => {
      await ledger.reserve([ask('group:a')]);
      expect(notices).toEqual([]);
    });
  });

  it('does not depend on the defaults of the server', async () => {
    const odd = await startMariaDb({
      args: [
        '--sql-mode=NO_BACKSLASH_ESCAPES,ANSI_QUOTES,PIPES_AS_CONCAT',
        '--autocommit=0',
        '--transaction-isolation=SERIALIZABLE',
        '--character-set-server=latin1',
        '--default-time-zone=+05:45',
        '--lower-case-table-names=1',
      ],
    });
    try {
      await using(odd.url, async (ledger) => {
        const before = Date.now();
        const key = "group:it's \\ ünï";
        expect(kindOf((await ledger.reserve([ask(key)]))[0])).toBe('new');
        const [entry] = await ledger.load([key]);
        expect(entry?.conversation).toBe(key);
        expect(Math.abs(entry!.reservedAtMs - before)).toBeLessThan(60_000);
        expect(await ledger.registerHistory('h')).toBe(1);
      });
      expect(await sql(odd.url, 'SELECT COUNT(*) AS n FROM tidemark_ledger')).toEqual([{ n: 1 }]);
    } finally {
      await odd.stop();
    }
  });
});

it('a full table space is ledger_full, and reading goes on', async () => {
  const small = await startMariaDb({
    args: ['--innodb-file-per-table=0', '--innodb-data-file-path=ibdata1:12M;ibdata2:8M'],
  });
  try {
    await using(small.url, async (ledger, notices) => {
      let error: Error & { code?: string; retryable?: boolean } = new Error('never full');
      for (let batch = 0; batch < 300 && error.code === undefined; batch += 1) {
        const keys = Array.from(
          { length: 200 },
          (_, index) => `group:${String(batch).padStart(200, '0')}-${index}`,
        );
        await ledger.reserve(keys.map((key) => ask(key))).catch((thrown) => {
          error = thrown;
        });
      }
      expect([error.code, error.retryable]).toEqual(['ledger_full', true]);
      expect(error.message).toContain('has no space left; free disk space');
      expect(await ledger.list('group', { after: undefined, limit: 3 })).toHaveLength(3);
      expect(notices).toEqual([]);
    });
  } finally {
    await small.stop();
  }
});
