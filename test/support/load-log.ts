/** Reads what load processes write; the format is described where they are. */

import { closeSync, openSync, readSync } from 'node:fs';
import type { CallRecord } from './judge.js';

const chunkBytes = 1 << 20;

/** Now, in microseconds of one clock that all processes of the machine share. */
export function nowUs(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}

/** Counts the lines of a file that grows, reading nothing twice. */
export class LogWatch {
  private readonly counts = new Map<string, number>();
  private readonly buffer = Buffer.alloc(chunkBytes);
  private offset = 0;
  /** The beginning of a line whose end is not written yet. */
  private rest = '';

  constructor(private readonly file: string) {}

  /** Lines of a kind so far: `E`, or `V` with the type of an event, as in `V takeover`. */
  count(kind: string): number {
    this.read();
    return this.counts.get(kind) ?? 0;
  }

  private read(): void {
    let file: number;
    try {
      file = openSync(this.file, 'r');
    } catch {
      // The process has not started to write.
      return;
    }
    try {
      for (;;) {
        const length = readSync(file, this.buffer, 0, chunkBytes, this.offset);
        if (length === 0) return;
        this.offset += length;
        // Only ASCII is written, so that no character can be cut.
        const lines = (this.rest + this.buffer.toString('latin1', 0, length)).split('\n');
        this.rest = lines.pop()!;
        for (const line of lines) this.add(line.startsWith('V ') ? line : line.slice(0, 1));
      }
    } finally {
      closeSync(file);
    }
  }

  private add(kind: string): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
  }
}

export interface Log {
  readonly calls: CallRecord[];
  readonly failures: string[];
  readonly events: string[];
}

/** Everything in a file that is complete. */
export function readLog(text: string): Log {
  const open = new Map<string, CallRecord>();
  const calls: CallRecord[] = [];
  const failures: string[] = [];
  const events: string[] = [];
  // One string for all lines of a conversation, because there are millions of lines.
  const names = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [kind, id = '', a = '', b = '', c = ''] = line.split(' ');
    const started = open.get(id);
    if (kind === 'S') {
      if (!names.has(a)) names.set(a, a);
      const conversation = names.get(a)!;
      open.set(id, {
        conversation,
        count: Number(b),
        start: Number(c),
        end: undefined,
        numbers: undefined,
      });
    } else if (kind === 'V') events.push(id);
    else if (started !== undefined && kind === 'E') {
      calls.push({ ...started, end: Number(c), numbers: { first: Number(a), last: Number(b) } });
      open.delete(id);
    } else if (started !== undefined && kind === 'F') {
      failures.push(a);
      calls.push({ ...started, end: Number(b) });
      open.delete(id);
    }
  }
  // What never ended, ended with its process.
  for (const call of open.values()) calls.push({ ...call, callerDied: true });
  return { calls, failures, events };
}

/** Which part of the calls a pause is looked for in. */
export interface Pauses {
  readonly fromUs?: number;
  readonly toUs?: number;
  readonly of?: (conversation: string) => boolean;
}

/** The longest time without a reply, in milliseconds, if times are in microseconds. */
export function longestPauseMs(calls: readonly CallRecord[], { fromUs, toUs, of }: Pauses = {}): number {
  const replied = calls.filter(
    ({ conversation, numbers }) => numbers !== undefined && (of === undefined || of(conversation)),
  );
  const times = Float64Array.from(replied, ({ end }) => end!).sort();
  const first = fromUs ?? times[0] ?? 0;
  const last = toUs ?? times.at(-1) ?? first;
  let longestUs = 0;
  let before = first;
  for (const time of times) {
    if (time < first) continue;
    if (time > last) break;
    longestUs = Math.max(longestUs, time - before);
    before = time;
  }
  return Math.max(longestUs, last - before) / 1_000;
}
