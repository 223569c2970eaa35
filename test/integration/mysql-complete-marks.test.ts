import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '../../src/ledgers/mysql/migrate.js';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import { type MariaDbServer, startMariaDb } from '../support/servers.js';
import { errorOf, globalStatus, sql, untilServerRuns, withConnection } from './mysql-support.js';

let server: MariaDbServer;
let url: string;
let ledger: MySqlLedger;
beforeAll(async () => {
  server = await startMariaDb();
  url = await server.createDatabase();
  await migrate(url);
  ledger = new MySqlLedger(url);
});
afterAll(async () => {
  await ledger?.close();
  await server?.stop();
});

const columns = 'conversation, complete_up_to';

it('a raise that finds the mark high enough is a write all the same, and so waits for the disk', async () => {
  const raise = (completeUpTo: number) =>
    ledger.raiseCompleteMarks([{ conversation: 'group:counted', completeUpTo }]);
  await raise(9);
  const before = await globalStatus(url, 'Innodb_rows_updated');
  await Promise.all(Array.from({ length: 10 }, (_, n) => raise(n)));
  const rows = await sql(url, `SELECT complete_up_to, raises FROM tidemark_complete_marks`);
  expect(rows).toEqual([{ complete_up_to: 9, raises: 10 }]);
  expect(await globalStatus(url, 'Innodb_rows_updated')).toBe(before + 10);
});

it('a higher mark that somebody else makes between the look and the insert stays', async () => {
  // The trigger holds the ledger's insert back until the other session has inserted the same row.
  await sql(
    url,
    `CREATE TRIGGER slow_mark BEFORE INSERT ON tidemark_complete_marks FOR EACH ROW
     IF NEW.conversation = 'group:race' AND @first IS NULL THEN SET @slept = SLEEP(0.3); END IF`,
  );
  await withConnection(url, async (other) => {
    const raising = ledger.raiseCompleteMarks([
      { conversation: 'group:race', completeUpTo: 5 },
      { conversation: 'group:race-too', completeUpTo: 6 },
    ]);
    await untilServerRuns(url, 'SLEEP(0.3)');
    await other.query('SET @first = 1');
    await other.query(`INSERT INTO tidemark_complete_marks (${columns}) VALUES ('group:race', 500)`);
    await raising;
  });
  await sql(url, 'DROP TRIGGER slow_mark');
  expect(await ledger.completeMarks(['group:race', 'group:race-too'])).toEqual([500, 6]);
});

it('the victim of a deadlock raises again', async () => {
  const names = ['group:dead-a', 'group:dead-b'];
  await ledger.raiseCompleteMarks(names.map((conversation) => ({ conversation, completeUpTo: 1 })));
  const deadlocksBefore = await globalStatus(url, 'Innodb_deadlocks');
  await withConnection(url, async (other) => {
    await other.query('START TRANSACTION');
    // Many changes make this session the one that the server does not choose as the victim.
    await other.query(
      `INSERT INTO tidemark_gaps SELECT 'group:dead', seq, seq, 'word_lost', 1, 0 FROM seq_1_to_500`,
    );
    const lock = (name: string) =>
      other.query(`SELECT * FROM tidemark_complete_marks WHERE conversation = '${name}' FOR UPDATE`);
    await lock('group:dead-b');
    const raising = ledger.raiseCompleteMarks(
      [...names].reverse().map((conversation) => ({ conversation, completeUpTo: 7 })),
    );
    await untilServerRuns(url, 'FOR UPDATE');
    await lock('group:dead-a');
    await other.query('COMMIT');
    await raising;
  });
  expect(await globalStatus(url, 'Innodb_deadlocks')).toBe(deadlocksBefore + 1);
  expect(await ledger.completeMarks(names)).toEqual([7, 7]);
});

const corrupt: [what: string, value: string][] = [
  ['negative', '-1'],
  ['above the last number', '1000000000000'],
  ['above 2^53', '9223372036854775807'],
];

it.each(corrupt)(
  'a mark that is %s is said, and left alone; nothing of its batch is raised',
  async (what, value) => {
    const broken = `group:broken ${what}`;
    const sound = `group:sound ${what}`;
    await sql(url, `INSERT INTO tidemark_complete_marks (${columns}) VALUES ('${broken}', ${value})`);
    const calls = [
      ledger.completeMarks([sound, broken]),
      ledger.raiseCompleteMarks([
        { conversation: sound, completeUpTo: 3 },
        { conversation: broken, completeUpTo: 3 },
      ]),
    ];
    for (const call of calls) {
      const error = await errorOf(call);
      expect([error.code, error.conversation, error.retryable]).toEqual(['ledger_corrupt', broken, false]);
      expect(error.message).toContain(`its row in tidemark_complete_marks has complete_up_to ${value}`);
    }
    const [row] = await sql(
      url,
      `SELECT CONCAT(complete_up_to) AS mark, raises FROM tidemark_complete_marks WHERE conversation = '${broken}'`,
    );
    expect(row).toEqual({ mark: value, raises: 0 });
    expect(await ledger.completeMarks([sound])).toEqual([undefined]);
  },
);

it('names that no row can hold are refused, and nothing of their batch is raised', async () => {
  const [longest, sound] = [`group:${'é'.repeat(297)}`, 'group:with-wrong-names'];
  await ledger.raiseCompleteMarks([{ conversation: longest, completeUpTo: 4 }]);
  expect(await ledger.completeMarks([longest])).toEqual([4]);
  for (const wrong of ['', `${longest}x`]) {
    const marks = [sound, wrong].map((conversation) => ({ conversation, completeUpTo: 4 }));
    expect((await errorOf(ledger.raiseCompleteMarks(marks))).code).toBe('invalid_argument');
    expect((await errorOf(ledger.completeMarks([sound, wrong]))).code).toBe('invalid_argument');
  }
  expect(await ledger.completeMarks([sound])).toEqual([undefined]);
});
