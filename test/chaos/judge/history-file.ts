/**
 * Reads the history of one client, line by line, without ever holding more than a part of it.
 *
 *     S <call> <conversation> <count> <time> [<messageId or -> [t]]   a call starts; t: its numbers are tracked
 *     E <call> <first> <last> <time> [r] [o<until>]   it got numbers; r: those of an earlier call with its message id;
 *                                                     o: its take is certainly open until then
 *     F <call> <code> <time>                          it failed
 *     P <call> <time>                                 its message is just being stored
 *     A <call> <time>                                 its take is about to be abandoned
 *     D <call> <outcome> <time>                       settling it ended: done, told (lease_expired), or another code
 *     C <conversation> <number> <time>                a reader was told that everything up to the number is complete
 *     L <conversation> <messageId>                    the event receipt_lost
 *     V <type>                                        another event of the generator
 *     X <time>                                        the process ended in order
 *
 *     G <conversation> <first> <last> <reason>        the ledger has a gap; only in the file of the gaps
 *
 * Times are in microseconds of one clock that all processes of the machine share. What has no time happened at that of the
 * line before. A line that is cut off at the end belongs to a process that was killed, and is ignored. Any other line that is
 * not as above is an error.
 */

import { closeSync, openSync, readSync } from 'node:fs';

/** The longest line that there may be, and how much is read at once. */
const chunkBytes = 1 << 16;
const [newline, space, zero] = [10, 32, 48];
/** Longest part of a line that an error shows. */
const shownLength = 200;

/** Of each kind of line: how many fields it has at least and at most, and which of them is its time. */
const layouts: Readonly<Record<string, readonly [least: number, most: number, time?: number]>> = {
  S: [4, 6, 3],
  E: [4, 6, 3],
  F: [3, 3, 2],
  P: [2, 2, 1],
  A: [2, 2, 1],
  D: [3, 3, 2],
  C: [3, 3, 2],
  L: [2, 2],
  V: [1, 1],
  X: [1, 1, 0],
  G: [4, 4],
};
/** One more than any line may have. */
const mostEver = 7;
const [leastFields, mostFields, timeFields] = ([0, 1, 2] as const).map((index) =>
  Int8Array.from({ length: 128 }, (_, byte) => layouts[String.fromCharCode(byte)]?.[index] ?? -1),
) as [Int8Array, Int8Array, Int8Array];
const kinds = Array.from({ length: 128 }, (_, byte) => String.fromCharCode(byte));

export class HistoryFile {
  /** Of the line that was read last. */
  kind = '';
  at = 0;
  private readonly file: number;
  private readonly buffer = Buffer.allocUnsafe(2 * chunkBytes);
  /** How much of the buffer has been read. */
  private filled = 0;
  private lineNumber = 0;
  private lineStart = 0;
  private lineEnd = -1;
  /** Where the fields of the line begin, and one beyond its end; and what they are as numbers: NaN if they are none. */
  private readonly begins = new Int32Array(mostEver + 1);
  private readonly values = new Float64Array(mostEver);
  private fields = 0;
  private readonly words = new Words();

  constructor(private readonly path: string) {
    this.file = openSync(path, 'r');
  }

  /** Goes to the next line; false when there is none. */
  next(): boolean {
    this.lineStart = this.lineEnd + 1;
    while (!this.scan()) if (!this.readMore()) return false;
    this.lineNumber += 1;
    const kind = this.buffer[this.lineStart]! & 127;
    this.kind = kinds[kind]!;
    const { fields } = this;
    if (fields < leastFields[kind]! || fields > mostFields[kind]! || leastFields[kind] === -1)
      this.fail('this is no line of a history');
    const field = timeFields[kind]!;
    if (field >= 0) this.at = this.number(field);
    return true;
  }

  /** How many fields follow the kind. */
  get count(): number {
    return this.fields;
  }

  number(field: number): number {
    const value = this.values[field]!;
    if (Number.isNaN(value)) this.fail(`field ${field + 1} is no number`);
    return value;
  }

  text(field: number): string {
    return this.buffer.toString('latin1', this.begins[field], this.begins[field + 1]! - 1);
  }

  /** The same for a text that comes again and again. */
  word(field: number): string {
    return this.words.at(this.buffer, this.begins[field]!, this.begins[field + 1]! - 1);
  }

  get line(): string {
    return this.buffer.toString('latin1', this.lineStart, this.lineEnd);
  }

  /** The file and the line are named in the error. */
  fail(what: string): never {
    const line = JSON.stringify(this.line.slice(0, shownLength));
    throw new Error(`${this.path}:${this.lineNumber}: ${what}: ${line}`);
  }

  close(): void {
    closeSync(this.file);
  }

  /** Finds the fields and the end of the line; false when its end has not been read yet. */
  private scan(): boolean {
    const { buffer, filled, begins, values, lineStart } = this;
    let count = -1;
    let value = Number.NaN;
    for (let index = lineStart; index < filled; index += 1) {
      const byte = buffer[index]!;
      if (byte > space) {
        const digit = byte - zero;
        value = digit >= 0 && digit <= 9 ? value * 10 + digit : Number.NaN;
        continue;
      }
      if (byte !== space && byte !== newline) continue;
      if (count >= 0) values[count] = begins[count] === index ? Number.NaN : value;
      // What has too many fields is no line of a history; how many there are does not matter then.
      if (count < mostEver) count += 1;
      begins[count] = index + 1;
      value = 0;
      if (byte === space) continue;
      // The first field begins behind the kind, which is one letter.
      this.fields = count > 0 && begins[0] !== lineStart + 2 ? -1 : count;
      this.lineEnd = index;
      return true;
    }
    return false;
  }

  private readMore(): boolean {
    const { buffer, lineStart } = this;
    const rest = this.filled - lineStart;
    buffer.copyWithin(0, lineStart, this.filled);
    this.lineStart = 0;
    this.lineEnd = rest;
    if (rest > chunkBytes) {
      this.lineNumber += 1;
      this.fail(`a line is longer than ${chunkBytes} bytes`);
    }
    const length = readSync(this.file, buffer, rest, chunkBytes, null);
    this.filled = rest + length;
    return length > 0;
  }
}

/** Texts that were read before, so that those which come again and again are made only once. */
class Words {
  private readonly slots = new Array<string>(1 << 14).fill('');

  at(buffer: Buffer, begin: number, end: number): string {
    let hash = 0;
    for (let index = begin; index < end; index += 1) hash = (Math.imul(hash, 31) + buffer[index]!) | 0;
    const slot = (hash ^ (hash >>> 14)) & (this.slots.length - 1);
    const known = this.slots[slot]!;
    if (isAt(known, buffer, begin, end)) return known;
    const text = buffer.toString('latin1', begin, end);
    this.slots[slot] = text;
    return text;
  }
}

function isAt(text: string, buffer: Buffer, begin: number, end: number): boolean {
  if (text.length !== end - begin) return false;
  for (let index = 0; index < text.length; index += 1)
    if (text.charCodeAt(index) !== buffer[begin + index]) return false;
  return true;
}

/**
 * Several histories as one, in order of time. What happened at the same moment counts as overlapping: calls start before
 * others end, and messages are stored before readers are told.
 */
export class MergedHistory {
  /** The heads of the files, a heap: the earliest first. */
  private readonly heap: HistoryFile[];

  constructor(files: readonly HistoryFile[]) {
    this.heap = files.filter((file) => file.next());
    for (let index = this.heap.length >> 1; index >= 0; index -= 1) this.sink(index);
  }

  /** The file whose line is the next one; undefined at the end of all. */
  get head(): HistoryFile | undefined {
    return this.heap[0];
  }

  /** Goes on behind the line of the head; true when that was the last of its file. */
  advance(): boolean {
    const isMore = this.heap[0]!.next();
    if (!isMore) {
      const last = this.heap.pop()!;
      if (this.heap.length > 0) this.heap[0] = last;
    }
    this.sink(0);
    return !isMore;
  }

  private sink(from: number): void {
    const { heap } = this;
    for (let index = from; ; ) {
      const [left, right] = [2 * index + 1, 2 * index + 2];
      let least = index;
      if (left < heap.length && isBefore(heap[left]!, heap[least]!)) least = left;
      if (right < heap.length && isBefore(heap[right]!, heap[least]!)) least = right;
      if (least === index) return;
      [heap[index], heap[least]] = [heap[least]!, heap[index]!];
      index = least;
    }
  }
}

function isBefore(one: HistoryFile, other: HistoryFile): boolean {
  return one.at < other.at || (one.at === other.at && rank(one.kind) < rank(other.kind));
}

function rank(kind: string): number {
  if (kind === 'S') return 0;
  return kind === 'C' ? 2 : 1;
}
