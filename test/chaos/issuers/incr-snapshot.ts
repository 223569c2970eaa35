/**
 * INCR, with a snapshot in MySQL every 10,000 numbers of a conversation, and recovery from it.
 *
 * Where this is found in use, the value of the snapshot itself is put back, and up to 10,000 numbers repeat; or nothing at all is
 * put back until somebody does it by hand. This is the kinder reading:
 *
 * - what is put back is the snapshot and one whole interval, so that nothing repeats that was issued before the next snapshot
 *   was due;
 * - it is put back at once, by whoever finds the counter missing or below the snapshot, in one step with the number that is
 *   taken, so that two who recover do not undo each other;
 * - the new position is a snapshot of its own before its first number is used;
 * - a call that passes a multiple of the interval waits for its snapshot, though not for long.
 *
 * Two things remain as they are. A counter without a snapshot is a new one and begins at 1: nobody can tell it from one that is
 * lost. And a counter that is older than it was, but not below its snapshot, is believed.
 */

import type { RowDataPacket } from 'mysql2/promise';
import type { SequenceRange } from '../../../src/core/call.js';
import type { Conversation } from '../../../src/core/conversation.js';
import type { CallOptions } from '../../../src/core/options.js';
import type { ClientOptions } from '../client-process.js';
import type { Issuer, IssuerNotices } from './issuer.js';
import { inTime, retried } from './patience.js';
import { PeerMySql } from './peer-mysql.js';
import { counterKey, PeerRedis } from './peer-redis.js';
import { tableOf } from './tables.js';

const table = tableOf['incr-snapshot']!;
const intervalByDefault = 10_000;
const connections = 4;
/** A snapshot that takes longer is given up; the message goes out all the same. */
const saveMs = 1_000;

/**
 * KEYS[1] the counter; ARGV: how many numbers, the snapshot or 0, what is put on top of it, 1 if the snapshot was just read.
 * Replies with the last number and 1 if the counter was put back, or with nothing where the snapshot must be read first.
 */
const takeScript = `
local value = redis.call('GET', KEYS[1])
local snapshot = tonumber(ARGV[2])
if not value and ARGV[4] == '0' then return false end
local behind = snapshot > 0 and (not value or tonumber(value) < snapshot)
if behind then redis.call('SET', KEYS[1], string.format('%d', snapshot + tonumber(ARGV[3]))) end
return { redis.call('INCRBY', KEYS[1], ARGV[1]), behind and 1 or 0 }
`;

const readSql = `SELECT seq FROM ${table} WHERE conversation = ?`;
const saveSql = `INSERT INTO ${table} (conversation, seq) VALUES (?, ?) ON DUPLICATE KEY UPDATE seq = GREATEST(seq, VALUES(seq))`;

interface Known {
  snapshot: number;
  /** Which connection to Redis was in use when it was read. */
  readonly connect: number;
}

class Snapshots implements Issuer {
  readonly #redis: PeerRedis;
  readonly #mysql: PeerMySql;
  readonly #interval: number;
  readonly #known = new Map<string, Known>();

  constructor({ stores, workload }: ClientOptions, { replyTimeoutMs }: IssuerNotices) {
    this.#redis = new PeerRedis(stores.redis!, replyTimeoutMs);
    this.#mysql = new PeerMySql(stores.mysql!, replyTimeoutMs, connections);
    this.#interval = workload.snapshotEvery ?? intervalByDefault;
  }

  createTable(): Promise<void> {
    return this.#mysql.createTable(table);
  }

  nextMany({ key }: Conversation, count: number, options: CallOptions): Promise<SequenceRange> {
    return retried(options, async () => {
      const { last, isRecovered } = await this.#take(key, count);
      const first = last - count + 1;
      const passed = Math.floor(last / this.#interval) > Math.floor((first - 1) / this.#interval);
      if (passed || isRecovered) await this.#save(key, last);
      return { first, last };
    });
  }

  async close(): Promise<void> {
    this.#redis.close();
    await this.#mysql.close();
  }

  async #take(key: string, count: number): Promise<{ last: number; isRecovered: boolean }> {
    const known = this.#known.get(key);
    const isUsable = known !== undefined && known.connect === this.#redis.connects;
    const taken = isUsable ? await this.#ask(key, count, known.snapshot, false) : undefined;
    return taken ?? (await this.#ask(key, count, await this.#read(key), true))!;
  }

  async #ask(key: string, count: number, snapshot: number, isFresh: boolean) {
    const values = [count, snapshot, this.#interval, isFresh ? 1 : 0].map(String);
    const reply = await this.#redis.ask((client) =>
      client.eval(takeScript, { keys: [counterKey(key)], arguments: values }),
    );
    if (reply === null) return undefined;
    const [last, recovered] = reply as [number, number];
    return { last, isRecovered: recovered === 1 };
  }

  async #read(key: string): Promise<number> {
    const connect = this.#redis.connects;
    const [row] = await this.#mysql.run<RowDataPacket[]>(readSql, [key]);
    const snapshot = Number(row?.['seq'] ?? 0);
    this.#known.set(key, { snapshot, connect });
    return snapshot;
  }

  /** One that fails is let go, so that the message goes out. */
  async #save(key: string, value: number): Promise<void> {
    try {
      await inTime(this.#mysql.run(saveSql, [key, value]), saveMs);
    } catch {
      return;
    }
    const known = this.#known.get(key);
    if (known !== undefined && known.snapshot < value) known.snapshot = value;
  }
}

export async function openIncrSnapshotIssuer(
  options: ClientOptions,
  notices: IssuerNotices,
): Promise<Issuer> {
  const snapshots = new Snapshots(options, notices);
  await snapshots.createTable();
  return snapshots;
}
