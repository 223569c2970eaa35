/** I14 on a real Redis and a real MariaDB: unused numbers go back to the ledger, and what happens to Redis then leaves no gap. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Conversation, groupChat } from '../../src/core/conversation.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import { openTidemark } from '../../src/open.js';
import type { SequenceGenerator } from '../../src/sequence-generator.js';
import { type CommandResult, runCommand, startCommand } from '../support/command.js';
import { commandFile } from '../support/compiled.js';
import type { GapRecord } from '../support/judge.js';
import { gapsOf, startLoad } from '../support/load.js';
import type { TcpProxy } from '../support/proxy.js';
import { replicate } from '../support/replicate.js';
import { type MariaDbServer, type RedisServer, startMariaDb, temporaryFolder } from '../support/servers.js';
import { Started } from '../support/started.js';
import { waitUntil } from '../support/wait.js';
import { sql } from './mysql-support.js';

const g1 = groupChat('g1');

let maria: MariaDbServer;
let mysql: string;
let redis: RedisServer;
const started = new Started();

beforeAll(async () => {
  maria = await startMariaDb();
});
afterAll(() => maria.stop());
beforeEach(async () => {
  [redis, mysql] = await Promise.all([started.redisToReplicate(), maria.createDatabase()]);
});
afterEach(() => started.stop());

function open(url = redis.url, onEvent?: (event: TidemarkEvent) => void): SequenceGenerator {
  const sequences = openTidemark({ redis: url, mysql, timeoutMs: 10_000, ...(onEvent && { onEvent }) });
  started.add({ stop: () => sequences.close() });
  return sequences;
}

function urlOf(proxy: TcpProxy): string {
  return `redis://127.0.0.1:${proxy.port}`;
}

/** The conversations `c0`, `c1`, …. */
function chats(count: number): Conversation[] {
  return Array.from({ length: count }, (_, index) => groupChat(`c${index}`));
}

async function nextOfEach(sequences: SequenceGenerator, of: readonly Conversation[]): Promise<number[]> {
  return Promise.all(of.map((one) => sequences.next(one)));
}

function recordedGaps(of: readonly Conversation[]): Promise<GapRecord[]> {
  return gapsOf(mysql, new Set(of.map(({ key }) => key)));
}

async function wordsIn(server: RedisServer): Promise<number> {
  const keys = (await server.command('KEYS', 'seq:{*}:*')) as string[];
  return keys.length;
}

describe('numbers go back', () => {
  it('of one conversation: its word is gone, and the next number is the last one plus one', async () => {
    const sequences = open();
    await sequences.nextMany(g1, 5);
    await sequences.next(groupChat('other'));
    expect(await sequences.drain(g1)).toEqual({ conversations: 1, numbers: 59, busy: [] });
    expect(await redis.command('GET', 'seq:{group:g1}:1')).toBeNull();
    expect(await wordsIn(redis)).toBe(1);
    expect(await sequences.ledgerEntry(g1)).toMatchObject({ ceiling: 5, floor: 5, frozenUntilMs: 0 });
    expect(await sequences.current(g1)).toBe(5);
    expect(await sequences.drain(g1)).toEqual({ conversations: 0, numbers: 0, busy: [] });
    // Behind a hand back the next block is as large as what went back, at least (I14).
    expect(await sequences.next(g1)).toBe(6);
    expect(await sequences.ledgerEntry(g1)).toMatchObject({ ceiling: 69 });
    expect(await recordedGaps([g1])).toEqual([]);
  });

  it('of all, page by page, with the sums so far; of one type only where that is asked for', async () => {
    const events: TidemarkEvent[] = [];
    const sequences = open(redis.url, (event) => events.push(event));
    const of = chats(600);
    await nextOfEach(sequences, of);
    await sequences.generateSequence('channel', 'general');
    expect(await sequences.drainAll({ type: 'channel' })).toEqual({
      conversations: 1,
      numbers: 63,
      busy: [],
    });
    expect(await wordsIn(redis)).toBe(600);

    const sums: number[] = [];
    const report = await sequences.drainAll({ onProgress: ({ conversations }) => sums.push(conversations) });
    expect(report).toEqual({ conversations: 600, numbers: 600 * 63, busy: [] });
    expect(sums).toEqual([249, 499, 600]);
    expect(await wordsIn(redis)).toBe(0);
    const drained = events.filter((event) => event.type === 'drained');
    expect(drained.reduce((sum, { conversations }) => sum + conversations, 0)).toBe(601);

    expect(await nextOfEach(sequences, of)).toEqual(of.map(() => 2));
    expect(await sequences.generateSequence('channel', 'general')).toBe(2);
    expect(await recordedGaps(of)).toEqual([]);
  });
});

describe('a planned failover of 500 conversations', () => {
  /** Numbers before, a replica is promoted and the primary killed, numbers after. */
  async function failOver(isDrained: boolean): Promise<{ after: number[]; gaps: GapRecord[] }> {
    const replica = await started.redisToReplicate();
    await replicate(replica, redis);
    const proxy = await started.proxyTo(redis.port);
    let isDown = false;
    const sequences = open(urlOf(proxy), (event) => {
      if (event.type === 'store' && event.store === 'counters') isDown = event.status === 'down';
    });
    const of = chats(500);
    await nextOfEach(sequences, of);
    await Promise.all(of.map((one, index) => sequences.nextMany(one, 1 + (index % 40))));
    if (isDrained) expect(await sequences.drainAll()).toMatchObject({ conversations: 500, busy: [] });

    await replica.command('REPLICAOF', 'NO', 'ONE');
    proxy.targetPort = replica.port;
    await redis.kill();
    // A take that is sent to the dying one is lost, and that is a gap.
    await waitUntil('the old connection is gone', async () => isDown);
    const after = await nextOfEach(sequences, of);
    return { after, gaps: await recordedGaps(of) };
  }

  it('I14: leaves not one gap when all is drained before', async () => {
    const { after, gaps } = await failOver(true);
    expect(after).toEqual(after.map((_, index) => 3 + (index % 40)));
    expect(gaps).toEqual([]);
  });

  it('leaves a gap in each of them otherwise', async () => {
    const { after, gaps } = await failOver(false);
    expect(gaps).toHaveLength(500);
    expect(Math.min(...after)).toBe(65);
  });
});

describe('under load', () => {
  it('I14: draining all, again and again, under four processes', async () => {
    const folder = await temporaryFolder();
    try {
      const load = startLoad(folder.path, { redis: redis.url, mysql });
      await load.running();
      const sequences = open();
      let [rounds, conversations, busy] = [0, 0, 0];
      const endMs = performance.now() + 4_000;
      while (performance.now() < endMs || conversations < 1_000) {
        const report = await sequences.drainAll();
        rounds += 1;
        conversations += report.conversations;
        busy += report.busy.length;
      }
      await load.running();
      const { verdict, gaps, failures, events, stderr } = await load.finish();
      console.log(
        `${rounds} rounds drained ${conversations} conversations, ${busy} were busy; ${verdict.numbers} numbers`,
        events,
      );
      expect({ stderr, failures, gaps }).toEqual({ stderr: '', failures: {}, gaps: [] });
      const { duplicates, regressions, holes, missing } = verdict;
      expect({ duplicates, regressions, holes, missing }).toEqual({
        duplicates: [],
        regressions: [],
        holes: [],
        missing: 0,
      });
    } finally {
      await folder.remove();
    }
  });
});

describe('whoever drains dies in between', () => {
  /** One gap explains what went with it, from what the ledger knew to be issued, and numbers go on behind it. */
  async function expectOneGap(): Promise<void> {
    const sequences = open();
    expect(await sequences.next(g1)).toBe(65);
    expect(await sequences.gaps(g1)).toMatchObject([{ first: 1, last: 64, reason: 'word_lost' }]);
    expect(await sequences.next(g1)).toBe(66);
  }

  it('the reply with the removed word is lost', async () => {
    const proxy = await started.proxyTo(redis.port);
    const sequences = open(urlOf(proxy));
    await sequences.nextMany(g1, 3);
    // What comes back next after the freeze is the removed word.
    const { freeze } = MySqlLedger.prototype;
    MySqlLedger.prototype.freeze = async function (...parts) {
      const isFrozen = await freeze.apply(this, parts);
      void proxy.cutAfterNextReplyDropped();
      return isFrozen;
    };
    try {
      await expect(sequences.drain(g1)).rejects.toMatchObject({ code: 'counter_unavailable' });
    } finally {
      MySqlLedger.prototype.freeze = freeze;
    }
    expect(await wordsIn(redis)).toBe(0);
    await expectOneGap();
  });

  it('kill -9', async () => {
    await open().nextMany(g1, 3);
    const toRedis = await started.proxyTo(redis.port);
    const args = ['drain', g1.key, '--redis', urlOf(toRedis), '--ledger', mysql];
    // Slow enough to see that it is frozen before the word is removed.
    toRedis.delayMs = 100;
    const running = startCommand(args);
    await waitUntil('the conversation is frozen', async () => {
      const [row] = await sql(
        mysql,
        "SELECT frozen_until_ms FROM tidemark_ledger WHERE conversation = 'group:g1'",
      );
      return Number(row!['frozen_until_ms']) > 0;
    });
    // The answer that the word is removed takes so long that the process is dead by then.
    toRedis.delayMs = 1_500;
    await waitUntil('the word is gone', async () => (await wordsIn(redis)) === 0);
    running.child.kill('SIGKILL');
    expect((await running.result).status).toBeUndefined();
    await expectOneGap();
  });
});

describe('the command', () => {
  let flags: string[];

  beforeEach(() => {
    flags = ['--redis', redis.url, '--ledger', mysql];
  });

  async function drain(...args: string[]): Promise<CommandResult> {
    return runCommand(['drain', ...args, ...flags]);
  }

  it('drains one conversation, a type, or all', async () => {
    const sequences = open();
    await Promise.all([
      sequences.nextMany(g1, 5),
      sequences.generatePrivateChatSequence('a', 'b'),
      sequences.generateSequence('channel', 'x'),
      sequences.generateSequence('channel', 'y'),
    ]);
    const stdout = 'drained 1 conversation, 59 numbers handed back\n';
    expect(await drain('group:g1')).toEqual({ status: 0, stdout, stderr: '' });
    expect(await drain('--type', 'channel')).toMatchObject({
      stdout: 'drained 2 conversations, 126 numbers handed back\n',
    });
    const { stdout: json } = await drain('--all', '--json');
    expect(JSON.parse(json)).toEqual({ conversations: 1, numbers: 63, busy: 0 });
    expect(await wordsIn(redis)).toBe(0);
    expect(await sequences.next(g1)).toBe(6);
  });

  it.each([
    { args: [], stderr: 'give one of: a conversation, --type, --all' },
    { args: ['group:g1', '--all'], stderr: 'give one of' },
    { args: ['--type', 'group', '--all'], stderr: 'give one of' },
    { args: ['g1'], stderr: 'invalid_conversation' },
    { args: ['--type', 'a:b'], stderr: 'invalid_conversation' },
  ])('refuses $args', async ({ args, stderr }) => {
    const result = await drain(...args);
    expect(result).toMatchObject({ status: 2, stdout: '', stderr: expect.stringContaining(stderr) });
  });

  it('on the embedded store there is nothing to drain', async () => {
    const result = await runCommand(['drain', '--all', '--data', 'd']);
    expect(result).toMatchObject({ status: 2, stderr: expect.stringContaining('nothing to drain') });
    expect(existsSync('d')).toBe(false);
  });

  it('drains blocks that were reserved and never granted, too', async () => {
    await nextOfEach(open(), chats(25));
    await sql(mysql, "UPDATE tidemark_ledger SET ceiling = ceiling + 64 WHERE conversation <> 'group:c7'");
    expect(await drain('--all')).toMatchObject({
      status: 0,
      stdout: 'drained 25 conversations, 3111 numbers handed back\n',
    });
  });

  it('says which conversations are busy: somebody else is just draining them', async () => {
    await nextOfEach(open(), chats(25));
    const freezeAll =
      'UPDATE tidemark_ledger SET frozen_until_ms = CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED) + 900 ' +
      "WHERE conversation <> 'group:c7'";
    await sql(mysql, freezeAll);
    const freezing = setInterval(() => void sql(mysql, freezeAll), 50);
    const result = await drain('--all').finally(() => clearInterval(freezing));
    const { status, stdout, stderr } = result;
    expect({ status, stdout }).toEqual({
      status: 3,
      stdout: 'drained 1 conversation, 63 numbers handed back; 24 could not be drained now: run this again\n',
    });
    expect(stderr.split('\n').slice(0, 2)).toEqual([
      'tidemark: group:c0 is busy',
      'tidemark: group:c1 is busy',
    ]);
    expect(stderr.trimEnd().split('\n')).toHaveLength(20);
    expect(stderr).toContain('tidemark: group:c3 is busy');
  });

  it('without Redis it ends with what is wrong', async () => {
    await open().next(g1);
    await redis.kill();
    const result = await drain('--all', '--timeout', '500');
    expect(result).toMatchObject({ status: 3, stderr: expect.stringContaining('counter_unavailable') });
  });

  it('stopped by a signal: what was removed is handed back', async () => {
    const sequences = open();
    const of = chats(3_000);
    await nextOfEach(sequences, of);
    const running = startCommand(['drain', '--all', ...flags]);
    await waitUntil('some are drained', async () => Number(await redis.command('DBSIZE')) < 2_500);
    running.child.kill('SIGINT');
    expect((await running.result).status).toBe(130);
    expect(await nextOfEach(sequences, of)).toEqual(of.map(() => 2));
    expect(await recordedGaps(of)).toEqual([]);
  });

  it.skipIf(!existsSync('/usr/bin/script'))('shows how far it is on a terminal', async () => {
    await nextOfEach(open(), chats(1_000));
    const command = [process.execPath, commandFile, 'drain', '--all', ...flags].map((word) => `'${word}'`);
    const { stdout, status } = spawnSync('script', ['-qec', command.join(' '), '/dev/null'], {
      encoding: 'utf8',
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/\d+ conversations, \d+ conversations\/s/);
    expect(stdout).toContain('drained 1000 conversations, 63000 numbers handed back');
  });
});
