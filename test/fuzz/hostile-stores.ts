/**
 * Named poisons of the stores: what somebody else may have put where Tidemark keeps something of its own. Each is planted
 * by one call, {@link plantOnRedis}, {@link plantInMySql} or {@link plantInFolder}.
 */

import { crc32 } from 'node:zlib';
import { open as openStore } from 'lmdb';
import { createConnection } from 'mysql2/promise';
import { openKey, receiptKey, wordKey } from '../../src/counters/redis/keys.js';
import {
  encodeEntry,
  encodeGenerations,
  encodeMark,
  entryKey,
  gapKey,
  historyKey,
  lastGenerationKey,
  markKey,
  ownerKey,
  schemaKey,
} from '../../src/ledgers/lmdb/rows.js';
import type { RedisServer } from '../support/servers.js';

const garbage = 'x\u0000\u001b[31m\r\n}:9'.repeat(52_429).slice(0, 524_288);
const farAheadMs = 253_402_300_799_000;

/** What may be under any key of Redis. */
export interface HostileValue {
  readonly name: string;
  readonly type: 'string' | 'list' | 'hash' | 'set' | 'zset' | 'stream';
  /** The command that makes it, without the key behind its first word. */
  readonly command: readonly [string, ...string[]];
}

export function text(name: string, value: string): HostileValue {
  return { name, type: 'string', command: ['SET', value] };
}

function zset(name: string, ...scoresAndMembers: string[]): HostileValue {
  return { name, type: 'zset', command: ['ZADD', ...scoresAndMembers] };
}

/** What is no counter word, no receipt, no record of a lane and no note of a slot. */
export const hostileValues: readonly HostileValue[] = [
  { name: 'a list', type: 'list', command: ['RPUSH', '5000000000001', 'x'] },
  { name: 'a hash', type: 'hash', command: ['HSET', 'last', '1'] },
  { name: 'a set', type: 'set', command: ['SADD', '5000000000001'] },
  zset('a sorted set', '1', 'x'),
  { name: 'a stream', type: 'stream', command: ['XADD', '1-1', 'last', '1'] },
  text('nothing', ''),
  text('a negative number', '-1'),
  text('a large negative number', '-5000000000001'),
  text('the least integer', '-9223372036854775808'),
  text('more is left than may be', '9001000000000001'),
  text('2^53 − 1', '9007199254740991'),
  text('2^53 + 1', '9007199254740993'),
  text('the greatest integer', '9223372036854775807'),
  text('above every integer', '99999999999999999999999'),
  text('an exponent', '1e5'),
  text('hexadecimal', '0x10'),
  text('a leading zero', '05000000000001'),
  text('a plus', '+5000000000001'),
  text('a space before', ' 5000000000001'),
  text('a space behind', '5000000000001 '),
  text('a line end', '5000000000001\n'),
  text('a fraction', '5000000000001.5'),
  text('not a number', 'NaN'),
  text('infinity', 'inf'),
  text('digits of another script', '٥'),
  text('controls and braces', '\u0000\u001b]0;x\u0007}:7'),
  text('half a megabyte', garbage),
];

/** Integers that look like a counter word, and no ledger has a block that reaches so far. */
export const hostileWords: readonly HostileValue[] = [
  text('the last number is the last of all, and numbers are left', '5999999999999'),
  text('fewer numbers than are left until the last of all', '5999999999998'),
  text('all that may be left behind the last number of all', '9000999999999999'),
];

/** Sorted sets that are no open takes, or name numbers that no conversation has. */
export function hostileOpenTakes(generation: number): readonly HostileValue[] {
  const begun = ['0', String(generation)];
  return [
    zset('no generation', '1', '1 1 9999999999999'),
    zset('garbage before the generation', '-5', garbage, ...begun),
    zset('a negative generation', '0', '-1'),
    zset('an open take that is garbage', ...begun, '1', garbage),
    zset('an open take without an end of its lease', ...begun, '1', '1 1'),
    zset('an expired take of a negative number', ...begun, '1', '-1 1 5'),
    zset('an expired take from zero', ...begun, '1', '0 1 5'),
    zset('an expired take that ends before it begins', ...begun, '2', '2 1 5'),
    zset('an expired take above the last number of all', ...begun, '600', '600 1000000000000 5'),
    zset('an expired take above 2^53', ...begun, '1', '9007199254740993 9007199254740993 5'),
    zset('an open take in the place of another', ...begun, '3', '700 700 9999999999999'),
    zset('an open take far above the last number', ...begun, '700', '700 700 9999999999999'),
    zset('a hold that is garbage', ...begun, '0.5', 'hold 1'),
    zset('a lease that never ends', ...begun, '600', `600 600 ${'9'.repeat(400)}`),
  ];
}

/** Where a poison is on Redis. The name of a message is that of the receipt. */
export interface RedisPlace {
  readonly conversation: string;
  readonly generation: number;
  readonly messageId?: string;
  readonly prefix?: string;
}

export interface RedisPoison extends HostileValue {
  /** What Tidemark keeps there. */
  readonly place: 'word' | 'open' | 'receipt';
}

/** Every poison of what Tidemark keeps of a conversation in Redis. */
export function redisPoisons(generation: number): readonly RedisPoison[] {
  return [
    ...[...hostileValues, ...hostileWords].map((value) => ({ ...value, place: 'word' as const })),
    ...hostileValues.map((value) => ({ ...value, place: 'receipt' as const })),
    ...[...hostileValues, ...hostileOpenTakes(generation)].map((value) => ({
      ...value,
      place: 'open' as const,
    })),
  ];
}

/** Puts a poison where it belongs. @returns the key */
export async function plantOnRedis(
  redis: RedisServer,
  { place, ...value }: RedisPoison,
  { conversation, generation, messageId = 'm', prefix = 'seq' }: RedisPlace,
): Promise<string> {
  const key = {
    word: wordKey(prefix, conversation, generation),
    open: openKey(prefix, conversation),
    receipt: receiptKey(prefix, conversation, messageId),
  }[place];
  await plantValue(redis, key, value);
  return key;
}

/** Puts a value under a key, instead of what was there. */
export async function plantValue(redis: RedisServer, key: string, { command }: HostileValue): Promise<void> {
  const [name, ...rest] = command;
  await redis.command('DEL', key);
  await redis.command(name, key, ...rest);
}

/** A poison of a ledger. */
export interface RowPoison {
  readonly name: string;
  readonly table: 'entry' | 'gap' | 'mark' | 'generation' | 'schema';
  /** True for what Tidemark might have written: nobody can tell. */
  readonly plausible?: boolean;
}

export interface SqlPoison extends RowPoison {
  /** Statements; `?` stands for the conversation. */
  readonly sql: readonly string[];
}

function entry(name: string, columns: string, plausible = false): SqlPoison {
  const made =
    'REPLACE INTO tidemark_ledger (conversation, `ceiling`, `floor`, generation, block_size, reserved_at_ms) VALUES (?, 64, 10, 1, 64, 1)';
  const sql = [made, `UPDATE tidemark_ledger SET ${columns} WHERE conversation = ?`];
  return { name, table: 'entry', sql, plausible };
}

function gap(name: string, first: string, last: string, reason = "'abandoned'"): SqlPoison {
  const values = `(?, ${first}, ${last}, ${reason}, 1, 1)`;
  const sql = [
    `INSERT INTO tidemark_gaps (conversation, first_number, last_number, reason, generation, recorded_at_ms) VALUES ${values}`,
  ];
  return { name, table: 'gap', sql };
}

function mark(name: string, value: string): SqlPoison {
  const sql = [`REPLACE INTO tidemark_complete_marks (conversation, complete_up_to) VALUES (?, ${value})`];
  return { name, table: 'mark', sql };
}

function whole(table: 'generation' | 'schema', name: string, ...sql: string[]): SqlPoison {
  return { name, table, sql };
}

const greatest = '9223372036854775807';
const insertGeneration =
  'INSERT INTO tidemark_generations (generation, history, registered_at_ms, seen_at_ms) VALUES';

/** Every poison of a ledger in MySQL. */
export const sqlPoisons: readonly SqlPoison[] = [
  entry('the floor is above the ceiling', '`floor` = 65'),
  entry('a negative ceiling', '`ceiling` = -1'),
  entry('a negative floor', '`floor` = -1'),
  entry('the ceiling is above the last number of all', '`ceiling` = 1000000000000'),
  entry('the greatest ceiling', `\`ceiling\` = ${greatest}`),
  entry('ceiling and floor are the greatest', `\`ceiling\` = ${greatest}, \`floor\` = ${greatest}`),
  entry('a negative generation', 'generation = -1'),
  entry('generation 0', 'generation = 0'),
  entry('the generation is 2^53 − 1', 'generation = 9007199254740991'),
  entry('the greatest generation', `generation = ${greatest}`),
  entry('a generation that was never registered', 'generation = 4711', true),
  entry('a negative block size', 'block_size = -1'),
  entry('a block size of more than a word may have left', 'block_size = 9001'),
  entry('the greatest block size', `block_size = ${greatest}`),
  entry('reserved at a negative time', 'reserved_at_ms = -1'),
  entry('reserved in the year 9999', `reserved_at_ms = ${farAheadMs}`, true),
  entry('frozen until the year 9999', `frozen_until_ms = ${farAheadMs}`, true),
  entry('frozen until the greatest time', `frozen_until_ms = ${greatest}`),
  entry('handed back above what a word has', '`ceiling` = 999999999999, `floor` = 999999999999', true),
  gap('it begins behind its end', '9', '3'),
  gap('it begins below the first number', '-5', '3'),
  gap('it begins at zero', '0', '3'),
  gap('it ends above the last number of all', '1', '1000000000000'),
  gap('it ends at the greatest integer', '1', greatest),
  gap('an unknown reason', '1', '3', "'because'"),
  gap('no reason', '1', '3', "''"),
  gap('a reason of all objects', '1', '3', "'constructor'"),
  gap('a reason with controls', '1', '3', "CONCAT('\\n', CHAR(27), '[31m')"),
  mark('a negative mark', '-1'),
  mark('a mark above the last number of all', '1000000000000'),
  mark('the greatest mark', greatest),
  mark('a mark far above the ceiling', '999999999999'),
  whole('generation', 'the greatest generation of all', `${insertGeneration} (${greatest}, 'x', 1, 1)`),
  whole('generation', 'generation 2^53 − 1', `${insertGeneration} (9007199254740991, 'x', 1, 1)`),
  whole('generation', 'a negative generation', `${insertGeneration} (-7, 'x', 1, 1)`),
  whole('generation', 'generation 0', `${insertGeneration} (0, 'x', 1, 1)`),
  whole('generation', 'a history that is garbage', `${insertGeneration} (77, UNHEX('FF00FE'), -1, -1)`),
  whole('schema', 'a newer version', 'INSERT INTO tidemark_schema VALUES (99, 1)'),
  whole('schema', 'the greatest version', 'INSERT INTO tidemark_schema VALUES (2147483647, 1)'),
  whole('schema', 'a negative version', 'INSERT INTO tidemark_schema VALUES (-3, 1)'),
  whole('schema', 'no versions', 'DELETE FROM tidemark_schema'),
  whole('schema', 'not the first version', 'DELETE FROM tidemark_schema WHERE version = 1'),
];

/** Puts a poison into the tables of a ledger, as somebody would whose session checks nothing. */
export async function plantInMySql(url: string, poison: SqlPoison, conversation: string): Promise<void> {
  const connection = await createConnection(url);
  try {
    await connection.query("SET SESSION sql_mode = ''");
    for (const sql of poison.sql) await connection.query(sql, [conversation]);
  } finally {
    connection.destroy();
  }
}

export interface FolderPoison extends RowPoison {
  readonly key: (conversation: string) => Buffer;
  /** Undefined where there is to be none. */
  readonly value: (key: Buffer) => Buffer | undefined;
}

const most = 2 ** 48 - 1;
const soundEntry = {
  ceiling: 64,
  floor: 10,
  generation: 1,
  blockSize: 64,
  reservedAtMs: 1,
  frozenUntilMs: 0,
};

/** A row with a checksum that is right. */
function sealed(key: Buffer, body: Buffer): Buffer {
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32(body, crc32(key)));
  return Buffer.concat([body, checksum]);
}

function row(
  table: RowPoison['table'],
  key: FolderPoison['key'],
): (name: string, value: FolderPoison['value'], plausible?: boolean) => FolderPoison {
  return (name, value, plausible = false) => ({ name, table, key, value, plausible });
}

/** What is no row of any kind. */
const noRows: readonly (readonly [name: string, value: FolderPoison['value']])[] = [
  ['nothing', () => Buffer.alloc(0)],
  ['one byte', () => Buffer.from([1])],
  ['zeros', () => Buffer.alloc(31)],
  ['text', () => Buffer.from('a text, not a row of any kind')],
  ['half a megabyte', () => Buffer.alloc(524_288, 0xa5)],
  ['another version', (key) => sealed(key, Buffer.alloc(27, 9))],
];

const ofEntry = row('entry', entryKey);
const entryWith = (name: string, change: Partial<typeof soundEntry>, plausible = false): FolderPoison =>
  ofEntry(name, (key) => encodeEntry(key, { conversation: '', ...soundEntry, ...change }), plausible);
const gapBody = (first: number): FolderPoison['key'] => {
  return (conversation) => gapKey({ conversation, first, last: 3, reason: 'abandoned' });
};
const ofGap = row('gap', gapBody(1));
const ofMark = row('mark', markKey);
const ofLastGeneration = row('generation', () => lastGenerationKey);
const ofSchema = row('schema', () => schemaKey);

/** Every poison of a ledger in a folder. */
export const folderPoisons: readonly FolderPoison[] = [
  ...noRows.map(([name, value]) => ofEntry(name, value)),
  ofEntry('the entry of another conversation', () =>
    encodeEntry(entryKey('group:other'), { conversation: '', ...soundEntry }),
  ),
  entryWith('the floor is above the ceiling', { floor: 65 }),
  entryWith('the ceiling is above the last number of all', { ceiling: 1e12 }),
  entryWith('the greatest ceiling and floor', { ceiling: most, floor: most }),
  entryWith('generation 0', { generation: 0 }),
  entryWith('the greatest generation', { generation: most }),
  entryWith('a generation that was never registered', { generation: 4711 }, true),
  entryWith('the greatest block size', { blockSize: 65_535 }),
  entryWith('reserved at the greatest time', { reservedAtMs: most }, true),
  entryWith('frozen until the greatest time', { frozenUntilMs: most }, true),
  ...noRows.map(([name, value]) => ofGap(name, value)),
  ofGap('an unknown reason', (key) => sealed(key, Buffer.from([1, 200, ...new Array<number>(12).fill(1)]))),
  row('gap', gapBody(9))('it begins behind its end', (key) =>
    sealed(key, Buffer.from([1, 3, ...new Array<number>(12).fill(1)])),
  ),
  row('gap', gapBody(0))('it begins at zero', (key) =>
    sealed(key, Buffer.from([1, 3, ...new Array<number>(12).fill(1)])),
  ),
  ...noRows.map(([name, value]) => ofMark(name, value)),
  ofMark('a mark above the last number of all', (key) => encodeMark(key, 1e12)),
  ofMark('the greatest mark', (key) => encodeMark(key, most)),
  ofMark('a mark far above the ceiling', (key) => encodeMark(key, 1e12 - 1)),
  ...noRows.map(([name, value]) => ofLastGeneration(`last generation: ${name}`, value)),
  ofLastGeneration('the greatest generation of all', (key) => encodeGenerations(key, [most])),
  ofLastGeneration('the last generation is 0', (key) => encodeGenerations(key, [0])),
  row('generation', () => historyKey('x'))('a history with the greatest generation', (key) =>
    encodeGenerations(key, [0, most]),
  ),
  ofSchema('a newer version', () => Buffer.from('99')),
  ofSchema('a version of nothing', () => Buffer.alloc(0)),
  ofSchema('a version of garbage', () => Buffer.from('\u001b[31m\u0000')),
  ofSchema('version 0', () => Buffer.from('0')),
  ofSchema('a fraction of a version', () => Buffer.from('1.5')),
  row('schema', () => ownerKey)('an owner that leads elsewhere', () => Buffer.from('../../owner.sock')),
];

/** Puts a poison into the folder of a ledger that nobody has open. */
export async function plantInFolder(
  folder: string,
  { key, value }: FolderPoison,
  conversation: string,
): Promise<void> {
  await inFolder(folder, (store) => {
    const at = key(conversation);
    const bytes = value(at);
    if (bytes === undefined) store.removeSync(at);
    else store.putSync(at, bytes);
  });
}

/** The rows of a folder that nobody has open, as bytes. */
export async function inFolder<T>(
  folder: string,
  use: (store: ReturnType<typeof openStore<Buffer, Buffer>>) => T,
): Promise<T> {
  const store = openStore<Buffer, Buffer>({
    path: folder,
    noSubdir: false,
    encoding: 'binary',
    keyEncoding: 'binary',
    overlappingSync: false,
  });
  try {
    return use(store);
  } finally {
    await store.close();
  }
}
