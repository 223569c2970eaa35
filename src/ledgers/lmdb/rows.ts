/**
 * What the embedded ledger stores, as bytes.
 *
 * | key | value |
 * |---|---|
 * | `c` conversation | complete mark: format, complete up to, checksum |
 * | `e` conversation | entry: format 1, ceiling, floor, generation, block size, reserved at, checksum |
 * | `e` conversation | entry that is frozen: format 2, as format 1, frozen until, checksum |
 * | `g` conversation, 0, first, last, reason | gap: format, reason, generation, recorded at, checksum |
 * | `h` history | its generations, rising, checksum |
 * | `m:generation` | the last generation given, checksum |
 * | `m:owner` | name of the process that has the folder |
 * | `m:schema` | version of this table, as digits |
 *
 * Integers are big-endian, so keys sort as their numbers do. A checksum is the CRC-32 of the key and of the value before
 * it: a row that was damaged, or copied to another key, is never taken for a high-water mark.
 *
 * Version 1 had no rows `c`, and the first four reasons of gaps only. Version 2 had no entries that are frozen, and one
 * generation for each history. The rows of both are good as they are.
 */

import { isUtf8 } from 'node:buffer';
import { crc32 } from 'node:zlib';
import { maxRemaining, maxSequenceNumber } from '../../core/counter-word.js';
import type { CompleteMark, Gap, GapReason, LedgerEntry } from '../../core/ledger.js';
import { gapReasons } from '../../core/ledger.js';
import { TidemarkError } from '../../errors.js';
import { isCompleteUpTo } from '../complete-marks.js';
import { isGeneration } from '../generations.js';

/** The version of the table above. It rises with every change that an older program would misread. */
export const schemaVersion = 3;
/** Most bytes of a conversation or a history; LMDB allows keys of 1,978 bytes, and a gap's key has 14 more. */
export const maxNameBytes = 1_900;

export const schemaKey = Buffer.from('m:schema');
export const ownerKey = Buffer.from('m:owner');
export const lastGenerationKey = Buffer.from('m:generation');

const rowFormat = 1;
/** That of an entry that is frozen. */
const heldFormat = 2;
/** Bytes of an integer up to 2^48, and of a checksum. */
const wide = 6;
const checksumBytes = 4;
const entryBytes = 1 + 3 * wide + 2 + wide + checksumBytes;
const heldEntryBytes = entryBytes + wide;
const gapBytes = 2 + 2 * wide + checksumBytes;
const markBytes = 1 + wide + checksumBytes;

/** Numbers of the reasons on disk. They never change; new ones are added at the end. */
const reasonsByNumber: readonly GapReason[] = [
  'history_lost',
  'word_lost',
  'reply_lost',
  'abandoned',
  'unclaimed',
  'lease_expired',
];

/** What tells one record of a gap from another. */
export type GapName = Pick<Gap, 'conversation' | 'first' | 'last' | 'reason'>;

/** A row that Tidemark cannot have written. */
export interface CorruptRow {
  /** What was found, for the error message. */
  readonly found: string;
}

/** True for what a decoder returns instead of a row that makes no sense. */
export function isCorrupt(row: object): row is CorruptRow {
  return 'found' in row;
}

export function entryKey(conversation: string): Buffer {
  return nameKey('e', conversation);
}

export function markKey(conversation: string): Buffer {
  return nameKey('c', conversation);
}

export function historyKey(history: string): Buffer {
  return nameKey('h', history);
}

/** The keys of entries of a type, or of all: from `start` on, before `end`. */
export function entryRange(
  type: string | undefined,
  after: string | undefined,
): { start: Buffer; end: Buffer } {
  const first = Buffer.from(type === undefined ? 'e' : `e${type}:`);
  const end = Buffer.from(type === undefined ? 'f' : `e${type};`);
  if (after === undefined) return { start: first, end };
  // The smallest key behind another one is that key and a zero byte.
  const next = Buffer.concat([entryKey(after), Buffer.alloc(1)]);
  return { start: Buffer.compare(next, first) > 0 ? next : first, end };
}

/** A key that is no text must not become another one: whoever lists on from there would begin at the wrong place. */
export function conversationOfEntryKey(key: Uint8Array): string {
  if (!isUtf8(key)) throw corruptRow('the key of an entry', { found: hex(Buffer.from(key)) });
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('utf8', 1);
}

export function gapKey({ conversation, first, last, reason }: GapName): Buffer {
  const key = numbersKey(conversation, first, last, 1);
  key.writeUInt8(reasonsByNumber.indexOf(reason), key.length - 1);
  return key;
}

function numbersKey(conversation: string, first: number, last: number, moreBytes: number): Buffer {
  const name = gapPrefix(conversation);
  const key = Buffer.alloc(name.length + 2 * wide + moreBytes);
  name.copy(key);
  key.writeUIntBE(first, name.length, wide);
  key.writeUIntBE(last, name.length + wide, wide);
  return key;
}

/** The keys of the gaps of a conversation that begin at `to` or before. */
export function gapRange(conversation: string, to: number): { start: Buffer; end: Buffer } {
  return {
    start: numbersKey(conversation, 0, 0, 0),
    end: numbersKey(conversation, Math.min(to, maxSequenceNumber) + 1, 0, 0),
  };
}

export function encodeEntry(key: Buffer, entry: LedgerEntry): Buffer {
  const isFrozen = entry.frozenUntilMs > 0;
  const row = Buffer.allocUnsafeSlow(isFrozen ? heldEntryBytes : entryBytes);
  let at = row.writeUInt8(isFrozen ? heldFormat : rowFormat, 0);
  at = row.writeUIntBE(entry.ceiling, at, wide);
  at = row.writeUIntBE(entry.floor, at, wide);
  at = row.writeUIntBE(entry.generation, at, wide);
  at = row.writeUInt16BE(entry.blockSize, at);
  at = row.writeUIntBE(Math.trunc(entry.reservedAtMs), at, wide);
  if (isFrozen) row.writeUIntBE(Math.trunc(entry.frozenUntilMs), at, wide);
  return sealed(key, row);
}

/** The entry of a row, or what is wrong with it. */
export function decodeEntry(key: Buffer, conversation: string, row: Buffer): LedgerEntry | CorruptRow {
  const isFrozen = row[0] === heldFormat;
  const damage = isFrozen ? damageOf(key, row, heldEntryBytes, heldFormat) : damageOf(key, row, entryBytes);
  if (damage !== undefined) return damage;
  const entry = {
    conversation,
    ceiling: row.readUIntBE(1, wide),
    floor: row.readUIntBE(1 + wide, wide),
    generation: row.readUIntBE(1 + 2 * wide, wide),
    blockSize: row.readUInt16BE(1 + 3 * wide),
    reservedAtMs: row.readUIntBE(3 + 3 * wide, wide),
    frozenUntilMs: isFrozen ? row.readUIntBE(3 + 4 * wide, wide) : 0,
  };
  const { ceiling, floor, generation, blockSize } = entry;
  const isSound = ceiling <= maxSequenceNumber && floor <= ceiling && blockSize <= maxRemaining;
  if (isSound && isGeneration(generation)) return entry;
  const found = `ceiling ${ceiling}, floor ${floor}, generation ${generation}, block size ${blockSize}`;
  return { found };
}

export function encodeGap(key: Buffer, gap: Omit<Gap, 'certain'>): Buffer {
  const row = Buffer.allocUnsafeSlow(gapBytes);
  row.writeUInt8(rowFormat, 0);
  row.writeUInt8(reasonsByNumber.indexOf(gap.reason), 1);
  row.writeUIntBE(gap.generation, 2, wide);
  row.writeUIntBE(Math.trunc(gap.recordedAtMs), 2 + wide, wide);
  return sealed(key, row);
}

/** The gap of a row, or what is wrong with it. */
export function decodeGap(key: Buffer, conversation: string, row: Buffer): Gap | CorruptRow {
  const damage = damageOf(key, row, gapBytes);
  if (damage !== undefined) return damage;
  const reason = reasonsByNumber[row.readUInt8(1)];
  const numbersAt = gapPrefix(conversation).length;
  const first = key.readUIntBE(numbersAt, wide);
  const last = key.readUIntBE(numbersAt + wide, wide);
  if (reason === undefined || first < 1 || last < first || last > maxSequenceNumber) {
    return { found: `a gap ${first} to ${last} of reason ${row.readUInt8(1)}` };
  }
  return {
    conversation,
    first,
    last,
    reason,
    generation: row.readUIntBE(2, wide),
    certain: gapReasons[reason].certain,
    recordedAtMs: row.readUIntBE(2 + wide, wide),
  };
}

/** True when a key in the range of a conversation's gaps is that of one, not of a longer name. */
export function isGapKey(conversation: string, key: Buffer): boolean {
  const bytes = key.length - gapPrefix(conversation).length - 2 * wide;
  // Version 1 had no reason in the key.
  return bytes === 0 || bytes === 1;
}

export function encodeMark(key: Buffer, completeUpTo: number): Buffer {
  const row = Buffer.allocUnsafeSlow(markBytes);
  row.writeUInt8(rowFormat, 0);
  row.writeUIntBE(completeUpTo, 1, wide);
  return sealed(key, row);
}

/** The complete mark of a row, or what is wrong with it. */
export function decodeMark(key: Buffer, conversation: string, row: Buffer): CompleteMark | CorruptRow {
  const damage = damageOf(key, row, markBytes);
  if (damage !== undefined) return damage;
  const completeUpTo = row.readUIntBE(1, wide);
  return isCompleteUpTo(completeUpTo)
    ? { conversation, completeUpTo }
    : { found: `complete up to ${completeUpTo}` };
}

export function encodeGenerations(key: Buffer, generations: readonly number[]): Buffer {
  const row = Buffer.allocUnsafeSlow(generations.length * wide + checksumBytes);
  for (const [index, generation] of generations.entries()) row.writeUIntBE(generation, index * wide, wide);
  return sealed(key, row);
}

/** The generations of a row, one at least; throws `ledger_corrupt` for a row that makes no sense. */
export function decodeGenerations(key: Buffer, row: Buffer): readonly number[] {
  const count = (row.length - checksumBytes) / wide;
  const intact = Number.isInteger(count) && count > 0 && isSealed(key, row);
  if (!intact) throw corruptRow('the record of a generation', { found: hex(row) });
  const generations = Array.from({ length: count }, (_, index) => row.readUIntBE(index * wide, wide));
  const wrong = generations.find((generation) => !isGeneration(generation));
  if (wrong === undefined) return generations;
  throw corruptRow('the record of a generation', { found: String(wrong) });
}

/** The error for a row that makes no sense, where there is no outcome to say it with. */
export function corruptRow(what: string, row: CorruptRow, conversation?: string): TidemarkError {
  const text = `${what} makes no sense: ${row.found}. Nothing was changed; restore the folder from a backup`;
  return new TidemarkError('ledger_corrupt', text, conversation === undefined ? {} : { conversation });
}

function nameKey(kind: 'c' | 'e' | 'h', name: string): Buffer {
  const key = Buffer.from(kind + name);
  checkName(key.length - 1, name);
  return key;
}

function gapPrefix(conversation: string): Buffer {
  const prefix = Buffer.from(`g${conversation}\0`);
  checkName(prefix.length - 2, conversation);
  return prefix;
}

function checkName(bytes: number, name: string): void {
  if (bytes > 0 && bytes <= maxNameBytes) return;
  const shown = JSON.stringify(name.slice(0, 60));
  throw new TidemarkError('invalid_argument', `a name of ${bytes} bytes; use 1 to ${maxNameBytes}: ${shown}`);
}

function sealed(key: Buffer, row: Buffer): Buffer {
  const end = row.length - checksumBytes;
  row.writeUInt32BE(crc32(row.subarray(0, end), crc32(key)), end);
  return row;
}

function isSealed(key: Buffer, row: Buffer): boolean {
  const end = row.length - checksumBytes;
  return row.readUInt32BE(end) === crc32(row.subarray(0, end), crc32(key));
}

function damageOf(key: Buffer, row: Buffer, bytes: number, format = rowFormat): CorruptRow | undefined {
  if (row.length !== bytes) return { found: `${row.length} bytes instead of ${bytes}: ${hex(row)}` };
  if (row[0] !== format) return { found: `row format ${row[0]} instead of ${format}` };
  if (!isSealed(key, row)) return { found: `a wrong checksum: ${hex(row)}` };
  return undefined;
}

/** Bytes for an error message, shortened. */
function hex(row: Buffer): string {
  return row.length > 40 ? `${row.toString('hex', 0, 40)}…` : row.toString('hex');
}
