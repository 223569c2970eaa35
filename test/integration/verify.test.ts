/** `verify` on a real Redis, MariaDB and LMDB: each fault is planted, found, mended where that is safe, and nothing comes twice. */

import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { Finding } from '../../src/core/findings.js';
import type { VerifyOptions } from '../../src/core/options.js';
import { openTidemark } from '../../src/open.js';
import type { SequenceGenerator } from '../../src/sequence-generator.js';
import { type CommandResult, runCommand } from '../support/command.js';
import { startLoad } from '../support/load.js';
import { type MariaDbServer, type RedisServer, startMariaDb, temporaryFolder } from '../support/servers.js';
import { Started } from '../support/started.js';

const g1 = groupChat('g1');
const g2 = groupChat('g2');
const key = 'seq:{group:g1}:1';
const query = 'SELECT conversation, number FROM messages ORDER BY conversation, number';

let maria: MariaDbServer;
let mysql: string;
let redis: RedisServer;
const started = new Started();

beforeAll(async () => {
  maria = await startMariaDb();
});
afterAll(() => maria.stop());
beforeEach(async () => {
  [redis, mysql] = await Promise.all([started.redis(), maria.createDatabase()]);
});
afterEach(() => started.stop());

function open(): SequenceGenerator {
  const sequences = openTidemark({
    redis: redis.url,
    mysql,
    timeoutMs: 10_000,
    reservation: { kind: 'fixed', size: 100 },
  });
  started.add({ stop: () => sequences.close() });
  return sequences;
}

async function sql(...statements: string[]): Promise<void> {
  const connection = await createConnection({ uri: mysql });
  try {
    for (const statement of statements) await connection.query(statement);
  } finally {
    connection.destroy();
  }
}

async function verified(sequences: SequenceGenerator, options: VerifyOptions = {}) {
  const findings: Finding[] = [];
  const report = await sequences.verify({ ...options, onFinding: (finding) => findings.push(finding) });
  return { report, kinds: findings.map(({ kind, conversation }) => `${kind} ${conversation}`), findings };
}

/** Found, mended, not found any more; then numbers go on above everything that was issued. */
async function expectMended(sequences: SequenceGenerator, kind: string, above: number): Promise<void> {
  const looked = await verified(sequences);
  expect(looked.kinds).toEqual([`${kind} group:g1`]);
  expect(looked.report).toMatchObject({ failures: 1, repaired: 0 });
  const mended = await verified(sequences, { repair: true });
  expect(mended.report).toMatchObject({ found: { [kind]: 1 }, failures: 0, repaired: 1 });
  expect(mended.findings[0]!.repaired).toBeTypeOf('string');
  expect((await verified(sequences)).kinds).toEqual([]);
  expect(await sequences.next(g1)).toBeGreaterThan(above);
}

/** What a chat has stored. */
async function store(...messages: readonly [conversation: string, number: number][]): Promise<void> {
  await sql(
    'CREATE TABLE IF NOT EXISTS messages (conversation VARBINARY(600), number BIGINT, KEY (conversation, number))',
    ...messages.map(([conversation, number]) => `INSERT INTO messages VALUES ('${conversation}', ${number})`),
  );
}

function command(...args: string[]): Promise<CommandResult> {
  return runCommand(['verify', ...args, '--redis', redis.url, '--ledger', mysql]);
}

describe('words and the ledger', () => {
  it('finds nothing where nothing is wrong', async () => {
    const sequences = open();
    await Promise.all([sequences.nextMany(g1, 50), sequences.next(g2), sequences.take(g1)]);
    const { report, kinds } = await verified(sequences);
    expect({ kinds, report }).toMatchObject({
      kinds: [],
      report: { conversations: 2, failures: 0, warnings: 0 },
    });
  });

  it('a row that is lost, and one that went back, are raised past their words', async () => {
    const sequences = open();
    // More than half of the block is left, so no refill is on its way that would put the row back.
    await sequences.nextMany(g1, 40);
    await sql('DELETE FROM tidemark_ledger');
    await expectMended(sequences, 'ledger_behind', 40);
    await sql('UPDATE tidemark_ledger SET `ceiling` = 10, `floor` = 5');
    await expectMended(sequences, 'ledger_behind', 41);
  });

  it('a word that went back is removed: nothing that it had issued comes again', async () => {
    const sequences = open();
    await sequences.next(g1);
    const old = String(await redis.command('GET', key));
    await sequences.nextMany(g1, 99);
    await sequences.nextMany(g1, 50);
    // The floor is known to be there since the last block was reserved.
    await redis.command('SET', key, old);
    await expectMended(sequences, 'word_behind', 150);
  });

  it('gaps above the ceiling show that the entry is an old one', async () => {
    const sequences = open();
    await sequences.nextMany(g1, 90);
    await redis.command('DEL', key);
    await sleep(1_100);
    const behindGap = await sequences.next(g1);
    expect(behindGap).toBeGreaterThan(100);
    await sql('UPDATE tidemark_ledger SET `ceiling` = 50, `floor` = 5');
    await redis.command('DEL', key);
    await expectMended(sequences, 'gap_above_ceiling', behindGap);
  });

  it.each(['-1', '9007199254740993', 'garbage'])('a word that is %s is left, and told of', async (value) => {
    const sequences = open();
    await sequences.next(g1);
    await sequences.next(g2);
    await redis.command('SET', key, value);
    const { report, kinds, findings } = await verified(sequences, { repair: true });
    expect(kinds).toEqual(['word_corrupt group:g1']);
    expect(findings[0]!.found).toContain(value);
    expect(report).toMatchObject({ failures: 1, repaired: 0 });
    expect(await redis.command('GET', key)).toBe(value);
  });

  it('something else under the key of a word that the ledger does not know is found, too', async () => {
    const sequences = open();
    await sequences.next(g2);
    await redis.command('LPUSH', key, 'x');
    expect((await verified(sequences)).kinds).toEqual(['word_corrupt group:g1']);
  });

  it('rows that make no sense are named, with everything behind them', async () => {
    const sequences = open();
    for (const name of ['a', 'b', 'c', 'd', 'e']) await sequences.next(groupChat(name));
    await sql(
      "UPDATE tidemark_ledger SET `floor` = `ceiling` + 1 WHERE conversation = 'group:b'",
      "UPDATE tidemark_ledger SET generation = 99 WHERE conversation = 'group:c'",
      "INSERT INTO tidemark_gaps (conversation, first_number, last_number, reason, generation, recorded_at_ms) VALUES ('group:d', 7, 3, 'abandoned', 1, 0)",
      "INSERT INTO tidemark_complete_marks (conversation, complete_up_to) VALUES ('group:e', 5000)",
    );
    const { kinds } = await verified(sequences, { repair: true });
    expect(kinds.sort()).toEqual([
      'entry_corrupt group:b',
      'fenced group:c',
      'gap_corrupt group:d',
      'mark_wrong group:e',
    ]);
  });

  it('beside a load that drains and refills, nothing is found', async () => {
    const folder = await temporaryFolder();
    const load = startLoad(folder.path, {
      redis: redis.url,
      mysql,
      processCount: 2,
      conversations: 50,
      callers: 8,
    });
    try {
      await load.running(50);
      const sequences = open();
      for (let round = 0; round < 4; round += 1) {
        const drained = sequences.drainAll();
        const { kinds } = await verified(sequences, { repair: true });
        await drained;
        expect(kinds).toEqual([]);
      }
    } finally {
      await load.finish();
      await folder.remove();
    }
  });
});

describe('stored messages', () => {
  it('numbers that come twice, are missing, or were never issued', async () => {
    const sequences = open();
    await sequences.nextMany(g1, 100);
    await sequences.nextMany(g1, 10);
    await store(['group:g1', 1], ['group:g1', 2], ['group:g1', 2], ['group:g1', 5], ['group:g2', 7]);
    const { status, stdout } = await command('--messages', query, '--json');
    const { findings, ...report } = JSON.parse(stdout) as { findings: Finding[] };
    expect({ status, report }).toMatchObject({
      status: 1,
      report: { messages: 5, failures: 2, warnings: 1 },
    });
    expect(findings.map(({ kind, conversation, found }) => [kind, conversation, found])).toEqual([
      ['number_twice', 'group:g1', '2, so 1 too many messages'],
      ['number_missing', 'group:g1', '3-4: 2 below the highest are neither stored nor in a gap'],
      ['number_above', 'group:g2', expect.stringContaining('has the number 7')],
    ]);
    const repaired = await command('--messages', query, '--repair');
    expect(repaired.status).toBe(1);
    expect(repaired.stdout).toContain('repaired  number_above  group:g2');
    expect(repaired.stdout).toContain('failure  number_twice  group:g1');
    expect(await sequences.gaps(g1)).toMatchObject([
      { first: 3, last: 4, reason: 'reply_lost', certain: false },
    ]);
    expect(await sequences.next(g2)).toBeGreaterThan(7);
    await sql('DELETE FROM messages WHERE number = 2 LIMIT 1');
    // What g2 had issued before the message that told of it, nobody stored.
    expect(await command('--messages', query)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(
        /group:g2: 1-6: 6 below[\s\S]*2 conversations, 4 messages, 0 failures, 1 warning\n$/,
      ),
    });
  });

  it('both stores have lost everything: the messages say how far to go on', async () => {
    await store(['group:g1', 41], ['group:g1', 42], ['private:a:b', 3]);
    const sequences = open();
    const { status, stdout } = await command('--messages', query, '--repair');
    expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining('2 repaired') });
    expect(await sequences.next(g1)).toBeGreaterThan(42);
  });

  it.each([
    ['DELETE FROM messages', 'it must begin with SELECT'],
    ['SELECT conversation FROM messages', 'it must select two columns'],
    ['SELECT conversation, number FROM messages ORDER BY number DESC', 'order the messages by the bytes'],
    ["SELECT 'nobody', 1", 'nobody'],
    ["SELECT 'group:g1', 'x'", 'must be the number'],
    ["SELECT 'group:g1', 0", 'none from 1 to'],
    ['SELECT conversation, number FROM nowhere', 'nowhere'],
    ["SELECT 'group:g1', 1 INTO OUTFILE '/tmp/never'", ''],
  ])('refuses %s', async (text, reason) => {
    await store(['group:g1', 1], ['group:g1', 2]);
    const { status, stderr } = await command('--messages', text);
    expect(status).not.toBe(0);
    expect(stderr).toContain(reason);
    expect(stderr).not.toContain('internal');
    const connection = await createConnection({ uri: mysql });
    const [rows] = await connection.query('SELECT COUNT(*) AS many FROM messages');
    connection.destroy();
    expect(rows).toEqual([{ many: 2 }]);
  });
});

describe('embedded', () => {
  it('has no words to lose, and messages are compared with the folder', async () => {
    const folder = await temporaryFolder();
    const data = ['--data', folder.path];
    expect((await runCommand(['next', 'group:g1', '--count', '5', ...data])).status).toBe(0);
    expect(await runCommand(['verify', ...data])).toMatchObject({
      status: 0,
      stdout: '1 conversation, 0 failures, 0 warnings\n',
    });
    await store(['group:g1', 5], ['group:g1', 9]);
    const from = ['--messages', query, '--messages-from', mysql];
    const { status, stdout } = await runCommand(['verify', '--repair', ...from, ...data]);
    expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining('number_above') });
    const next = await runCommand(['next', 'group:g1', ...data]);
    expect(Number(next.stdout)).toBeGreaterThan(9);
    await folder.remove();
  });
});
