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
 * Times are in microseconds of one clock that all processes of the machine share. What has no time happened at that of the
 * line before. A line that is cut off at the end belongs to a process that was killed, and is ignored.
 */

import { closeSync, openSync, readSync } from 'node:fs';

const chunkBytes = 1 << 20;
const [newline, space] = [10, 32];
/** Which field of each kind of line is its time, the kind itself not counted. */
const timeField: Readonly<Record<string, number>> = { S: 3, E: 3, F: 2, P: 1, A: 1, D: 2, C: 2, X: 0 };

export class HistoryFile {
  /** Of the line that was read last. */
  kind = '';
  at = 0;
  private readonly file: number;
  private buffer = Buffer.alloc(0);
  private lineStart = 0;
  private lineEnd = -1;
  /** Where the fields of the line begin, and one beyond its end. */
  private readonly begins: number[] = [];
  private fields = 0;

  constructor(path: string) {
    this.file = openSync(path, 'r');
  }

  /** Goes to the next line; false when there is none. */
  next(): boolean {
    this.lineStart = this.lineEnd + 1;
    let end = this.buffer.indexOf(newline, this.lineStart);
    while (end < 0) {
      if (!this.readMore()) return false;
      end = this.buffer.indexOf(newline, this.lineStart);
    }
    this.lineEnd = end;
    this.split();
    this.kind = String.fromCharCode(this.buffer[this.lineStart]!);
    const field = timeField[this.kind];
    if (field !== undefined) this.at = this.number(field);
    return true;
  }

  /** How many fields follow the kind. */
  get count(): number {
    return this.fields;
  }

  number(field: number): number {
    const end = this.begins[field + 1]! - 1;
    let value = 0;
    for (let index = this.begins[field]!; index < end; index += 1)
      value = value * 10 + this.buffer[index]! - 48;
    return value;
  }

  text(field: number): string {
    return this.buffer.toString('latin1', this.begins[field], this.begins[field + 1]! - 1);
  }

  get line(): string {
    return this.buffer.toString('latin1', this.lineStart, this.lineEnd);
  }

  close(): void {
    closeSync(this.file);
  }

  private split(): void {
    let count = 0;
    const { buffer, lineEnd, begins } = this;
    for (let index = this.lineStart + 1; index < lineEnd; index += 1) {
      if (buffer[index] !== space) continue;
      begins[count] = index + 1;
      count += 1;
    }
    begins[count] = lineEnd + 1;
    this.fields = count;
  }

  private readMore(): boolean {
    const rest = this.buffer.subarray(this.lineStart);
    const next = Buffer.allocUnsafe(rest.length + chunkBytes);
    rest.copy(next);
    const length = readSync(this.file, next, rest.length, chunkBytes, null);
    this.buffer = next.subarray(0, rest.length + length);
    this.lineStart = 0;
    return length > 0;
  }
}

/** Several histories as one, in order of time; at the same moment calls start before others end. */
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
  return one.at < other.at || (one.at === other.at && one.kind === 'S' && other.kind !== 'S');
}
