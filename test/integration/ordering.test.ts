/** What docs/ordering.md says on real servers: what goes wrong without each of the three, and where each of them ends. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Connection, createConnection } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import { openEmbedded, openTidemark, type TuningOptions } from '../../src/open.js';
import type { SequenceGenerator } from '../../src/sequence-generator.js';
import {
  type MariaDbServer,
  type RedisServer,
  startMariaDb,
  startRedis,
  temporaryFolder,
} from '../support/servers.js';
import { until } from './examples-support.js';

const g1 = groupChat('g1');
const leaseMs = 1_000;

let maria: MariaDbServer;
let redis: RedisServer;
let mysql: string;
let db: Connection;
let opened: SequenceGenerator[] = [];

beforeAll(async () => {
  [maria, redis] = await Promise.all([startMariaDb(), startRedis()]);
});
afterAll(() => Promise.all([maria.stop(), redis.stop()]));
beforeEach(async () => {
  await redis.command('FLUSHALL');
  mysql = await maria.createDatabase();
  db = await createConnection(mysql);
});
afterEach(async () => {
  await Promise.all(opened.map((sequences) => sequences.close()));
  opened = [];
  await db.end();
});

function open(tuning: TuningOptions = {}, url = redis.url): SequenceGenerator {
  const sequences = openTidemark({ redis: url, mysql, leaseMs, ...tuning });
  opened.push(sequences);
  return sequences;
}

async function restartEmpty(): Promise<void> {
  await redis.kill();
  await redis.start();
}

describe('one number for each message', () => {
  it('without a message id a repeated request makes two messages', async () => {
    const sequences = open();
    await db.query('CREATE TABLE naive (number BIGINT PRIMARY KEY, text TEXT)');
    const request = async () => {
      await db.query('INSERT INTO naive VALUES (?, ?)', [await sequences.next(g1), 'hello']);
    };
    await request();
    // The answer was lost on the way to the client, so it sends the request again.
    await request();
    const [rows] = await db.query('SELECT number, text FROM naive ORDER BY number');
    expect(rows).toEqual([
      { number: 1, text: 'hello' },
      { number: 2, text: 'hello' },
    ]);
  });

  it('a unique key alone keeps the second row out, and leaves a number that nothing explains', async () => {
    const sequences = open();
    await db.query('CREATE TABLE naive (number BIGINT PRIMARY KEY, message_id VARBINARY(255) UNIQUE)');
    for (const messageId of ['m1', 'm1', 'm2'])
      await db.query('INSERT IGNORE INTO naive VALUES (?, ?)', [await sequences.next(g1), messageId]);
    const [rows] = await db.query('SELECT number FROM naive ORDER BY number');
    expect(rows).toEqual([{ number: 1 }, { number: 3 }]);
    expect(await sequences.gaps(g1)).toEqual([]);
    expect(await sequences.explain(g1, 2)).toMatchObject({ status: 'issued' });
  });

  it('with a message id it is the same number, from whichever process', async () => {
    const [one, other] = [open(), open()];
    expect(await one.next(g1, { messageId: 'm1' })).toEqual({ number: 1, repeated: false });
    expect(await other.next(g1, { messageId: 'm1' })).toEqual({ number: 1, repeated: true });
    expect(await other.next(g1, { messageId: 'm2' })).toEqual({ number: 2, repeated: false });
  });

  it('behind the window it is another number', async () => {
    const sequences = open({ messageIdWindowMsByType: { group: 1_000 } });
    expect(await sequences.next(g1, { messageId: 'm1' })).toEqual({ number: 1, repeated: false });
    await sleep(1_100);
    expect(await sequences.next(g1, { messageId: 'm1' })).toEqual({ number: 2, repeated: false });
  });

  it('a caller that gave up leaves a gap that is not certain, and a retry still gets the number', async () => {
    const sequences = open();
    await sequences.next(g1, { messageId: 'm1' });
    redis.pause();
    const givenUp = await sequences.next(g1, { messageId: 'm2', timeoutMs: 100 }).catch((error) => error);
    redis.resume();
    expect(givenUp).toMatchObject({ code: 'deadline_exceeded' });
    await until(async () => (await sequences.gaps(g1)).length > 0, 'the gap');
    expect(await sequences.gaps(g1)).toMatchObject([
      { first: 2, last: 2, reason: 'unclaimed', certain: false },
    ]);
    expect(await open().next(g1, { messageId: 'm2' })).toEqual({ number: 2, repeated: true });
  });

  it('after Redis has lost everything, a process puts the receipts of its latest messages back', async () => {
    const events: TidemarkEvent[] = [];
    const [one, other] = [open({ onEvent: (event) => events.push(event) }), open()];
    for (let index = 1; index <= 10; index += 1) await one.next(g1, { messageId: `m${index}` });
    await restartEmpty();
    await one.next(groupChat('any'));
    await until(() => events.some(({ type }) => type === 'receipts_restored'), 'the receipts');
    expect(events).toContainEqual({ type: 'receipts_restored', generation: 2, receipts: 10 });
    expect(await other.next(g1, { messageId: 'm3' })).toEqual({ number: 3, repeated: true });
  });

  it('who retries elsewhere before that gets a second number, and it is told', async () => {
    const events: TidemarkEvent[] = [];
    const [one, other] = [open({ onEvent: (event) => events.push(event) }), open()];
    await one.next(g1, { messageId: 'm1' });
    await restartEmpty();
    const { number, repeated } = await other.next(g1, { messageId: 'm1' });
    expect({ isLater: number > 1, repeated }).toEqual({ isLater: true, repeated: false });
    await one.next(groupChat('any'));
    await until(() => events.some(({ type }) => type === 'receipt_lost'), 'the event');
    const lost = {
      type: 'receipt_lost',
      conversation: 'group:g1',
      messageId: 'm1',
      number: 1,
      newNumber: number,
    };
    expect(events).toContainEqual(lost);
  });
});

describe('complete up to', () => {
  it('everything after the last message that was seen misses one that is stored later', async () => {
    const sequences = open();
    const stored = new Map<number, string>();
    const storedAfter = (number: number, upTo = Number.POSITIVE_INFINITY) =>
      [...stored].filter(([other]) => other > number && other <= upTo).map(([, text]) => text);

    const [slow, fast] = [await sequences.take(g1), await sequences.take(g1)];
    stored.set(fast.first, 'fast');
    await fast.settle();
    const naiveFirst = storedAfter(0);
    const completeFirst = storedAfter(0, await sequences.completeUpTo(g1));
    stored.set(slow.first, 'slow');
    await slow.settle();
    expect([...naiveFirst, ...storedAfter(fast.first)]).toEqual(['fast']);
    const completeThen = [...stored.keys()].sort((a, b) => a - b).map((number) => stored.get(number));
    expect([completeFirst, completeThen, await sequences.completeUpTo(g1)]).toEqual([
      [],
      ['slow', 'fast'],
      2,
    ]);
  });

  it('a lease ends: readers go on, the numbers are an uncertain gap, and the holder is told', async () => {
    const sequences = open();
    const take = await sequences.take(g1);
    await (await sequences.take(g1)).settle();
    expect(await sequences.completeUpTo(g1)).toBe(0);
    await until(async () => (await sequences.completeUpTo(g1)) === 2, 'the lease ends');
    expect(await sequences.gaps(g1)).toMatchObject([
      { first: 1, last: 1, reason: 'lease_expired', certain: false },
    ]);
    await expect(take.renew()).rejects.toMatchObject({ code: 'lease_expired' });
    await expect(take.settle()).rejects.toMatchObject({ code: 'lease_expired' });
  });

  it('a lease that is renewed does not end', async () => {
    const sequences = open();
    const take = await sequences.take(g1);
    for (let turn = 0; turn < 6; turn += 1) {
      await sleep(leaseMs / 4);
      await take.renew();
    }
    expect(await sequences.completeUpTo(g1)).toBe(0);
    await take.settle();
    expect(await sequences.completeUpTo(g1)).toBe(1);
  });

  it('an abandoned take keeps its message id, and is a certain gap', async () => {
    const sequences = open();
    const take = await sequences.take(g1, 1, { messageId: 'm1' });
    await take.abandon();
    expect(await sequences.explain(g1, 1)).toMatchObject({
      status: 'never_issued',
      gap: { reason: 'abandoned' },
    });
    const again = await sequences.take(g1, 1, { messageId: 'm1' });
    expect(again).toMatchObject({ first: 1, repeated: true, open: false });
    await expect(again.renew()).rejects.toMatchObject({ code: 'lease_expired' });
    expect(await sequences.take(g1, 1, { messageId: 'm2' })).toMatchObject({
      first: 2,
      repeated: false,
      open: true,
    });
  });

  it('after Redis has lost everything it stands still for one lease, and does not pass what is open', async () => {
    // Time enough to settle within it on a busy machine.
    const leaseMs = 2_000;
    const [holder, other] = [open({ leaseMs }), open({ leaseMs })];
    const take = await holder.take(g1);
    for (let index = 0; index < 9; index += 1) await (await other.take(g1)).settle();
    await restartEmpty();
    const later = await other.take(g1);
    await later.settle();
    const restartedAtMs = performance.now();
    const seen: number[] = [];
    await until(
      async () => {
        // Half a lease is enough to store what was open.
        if (performance.now() > restartedAtMs + leaseMs / 2) await take.settle();
        seen.push(await other.completeUpTo(g1));
        return seen.at(-1) === later.first;
      },
      `complete up to ${later.first}, it is ${seen.at(-1)}`,
    );
    console.log(
      `stood still for ${Math.round(performance.now() - restartedAtMs)} ms of a lease of ${leaseMs} ms`,
    );
    expect(performance.now() - restartedAtMs).toBeGreaterThan(leaseMs / 2);
    expect(new Set(seen)).toEqual(new Set([0, later.first]));
  });

  it('known limit: after Redis has lost everything and a lease, settling again is a false alarm', async () => {
    const sequences = open();
    const { first, last } = await sequences.take(g1);
    await sequences.settle(g1, { first, last });
    await sequences.settle(g1, { first, last });
    await restartEmpty();
    const later = await sequences.take(g1);
    await later.settle();
    await until(async () => (await sequences.completeUpTo(g1)) === later.first, 'one lease');
    await expect(sequences.settle(g1, { first, last })).rejects.toMatchObject({ code: 'lease_expired' });
  });

  it('known limit: a holder that dies after its lease, with its message stored, leaves it behind the readers', async () => {
    const sequences = open();
    const stored = new Set<number>();
    const slow = await sequences.take(g1);
    const fast = await sequences.take(g1);
    stored.add(fast.first);
    await fast.settle();
    await until(async () => (await sequences.completeUpTo(g1)) === fast.first, 'the lease ends');
    const position = fast.first;
    stored.add(slow.first);
    expect([...stored].filter((number) => number > position)).toEqual([]);
    expect(await sequences.explain(g1, slow.first)).toMatchObject({
      status: 'uncertain',
      gap: { reason: 'lease_expired' },
    });
  });

  it('known limit: without the fence check, a process on a replaced primary takes numbers that readers have passed', async () => {
    const replacement = await startRedis();
    try {
      const isolated = open({ fenceCheckMs: 0 });
      await (await isolated.take(g1)).settle();
      const current = await readUpToALaterTake(replacement.url);
      // It has not heard of the other primary, and finishes its block.
      const late = await isolated.take(g1);
      await late.settle();
      expect(late.first).toBeLessThan(await current.completeUpTo(g1));
      const [gap] = await current.gaps(g1, { from: late.first, to: late.first });
      expect(gap).toMatchObject({ reason: 'history_lost', certain: false });
    } finally {
      await Promise.all(opened.splice(0).map((sequences) => sequences.close()));
      await replacement.stop();
    }
  });

  it('with it, that process is fenced before', async () => {
    const replacement = await startRedis();
    try {
      const isolated = open();
      await (await isolated.take(g1)).settle();
      await readUpToALaterTake(replacement.url);
      await expect(isolated.take(g1, 1, { timeoutMs: 500 })).rejects.toMatchObject({ code: 'fenced' });
    } finally {
      await Promise.all(opened.splice(0).map((sequences) => sequences.close()));
      await replacement.stop();
    }
  });

  /** On another primary: readers have passed what a process on the old one could still take. */
  async function readUpToALaterTake(url: string): Promise<SequenceGenerator> {
    const current = open({}, url);
    const later = await current.take(g1);
    await later.settle();
    await until(async () => (await current.completeUpTo(g1)) === later.first, 'one lease');
    return current;
  }
});

describe('embedded', () => {
  it('a restart forgets message ids; it holds readers up for a lease only where takes were open', async () => {
    const folder = await temporaryFolder();
    try {
      const first = await openEmbedded({ folder: folder.path, leaseMs });
      const ids = groupChat('ids');
      expect(await first.next(ids, { messageId: 'm1' })).toEqual({ number: 1, repeated: false });
      expect(await first.next(ids, { messageId: 'm1' })).toEqual({ number: 1, repeated: true });
      await (await first.take(g1)).settle();
      await first.close();

      const second = await openEmbedded({ folder: folder.path, leaseMs });
      expect(await second.next(ids, { messageId: 'm1' })).toEqual({ number: 2, repeated: false });
      expect(await second.completeUpTo(g1)).toBe(1);
      await (await second.take(g1)).settle();
      expect(await second.completeUpTo(g1)).toBe(2);
      await second.take(g1);
      await second.close();

      const third = await openEmbedded({ folder: folder.path, leaseMs });
      await (await third.take(g1)).settle();
      expect(await third.completeUpTo(g1)).toBe(2);
      await until(async () => (await third.completeUpTo(g1)) === 4, 'one lease');
      await third.close();
    } finally {
      await folder.remove();
    }
  });
});
