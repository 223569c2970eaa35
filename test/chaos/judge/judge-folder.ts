/** Judges the histories of the clients of one run: `client-<n>.log`, and `gaps.log` with the gaps that the ledger has. */

import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { HistoryFile, MergedHistory } from './history-file.js';
import { Judge, type JudgeOptions, type OpenCall, type Verdict } from './judge.js';

/** What a process has yet to record when it is killed, dies with it: what its callers left so shortly before. */
const unrecordedUs = 15_000_000;

export const gapsFile = 'gaps.log';

export function clientFiles(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith('client-') && name.endsWith('.log'));
}

export function judgeFolder(folder: string, options: JudgeOptions = {}): Verdict {
  const judge = new Judge(options);
  const names = clientFiles(folder);
  // Of nothing nobody can say that it is clean.
  if (names.length === 0) throw new Error(`${folder} has no history of a client: client-<n>.log`);
  if (existsSync(path.join(folder, gapsFile))) readGaps(path.join(folder, gapsFile), judge);
  const files = names.map((name) => new HistoryFile(path.join(folder, name)));
  const clients = new Map(files.map((file) => [file, new ClientHistory(file, judge)]));
  const history = new MergedHistory(files);
  for (let file = history.head; file !== undefined; file = history.head) {
    const client = clients.get(file)!;
    client.tell();
    if (history.advance()) client.end();
  }
  for (const file of files) file.close();
  return judge.verdict();
}

function readGaps(place: string, judge: Judge): void {
  const file = new HistoryFile(place);
  while (file.next()) {
    if (file.kind !== 'G') file.fail('this is no gap');
    judge.gap(file.word(0), file.number(1), file.number(2), file.count > 3 ? file.word(3) : undefined);
  }
  file.close();
}

/** Tells the judge what one client did. */
class ClientHistory {
  private readonly open = new Map<number, OpenCall>();
  /** Calls that failed lately: what they left may not be recorded yet. */
  private failed: { readonly call: OpenCall; readonly at: number }[] = [];
  private dropFailuresAt = 10_000;
  private endedInOrder = false;

  constructor(
    private readonly file: HistoryFile,
    private readonly judge: Judge,
  ) {}

  tell(): void {
    const { file, judge } = this;
    const { kind } = file;
    if (kind === 'S') this.start();
    else if (kind === 'E') this.numbers();
    else if (kind === 'F') this.fail();
    else if (kind === 'C') judge.completeUpTo(file.word(0), file.number(1));
    else if (kind === 'L') judge.receiptLost(file.word(0), file.text(1));
    else if (kind === 'X') this.endedInOrder = true;
    else if (kind === 'P') judge.stored(this.call(), file.at);
    else if (kind === 'A') {
      judge.abandoned(this.call());
      this.open.delete(file.number(0));
    } else if (kind === 'D') {
      judge.settled(this.call(), file.text(1), file.at);
      this.open.delete(file.number(0));
    } else if (kind !== 'V') file.fail('this is no line of a client');
  }

  /** There are no more lines: what is open, and not tracked with its numbers known, died with the process. */
  end(): void {
    for (const call of this.open.values()) if (call.first === 0) this.judge.died(call);
    if (this.endedInOrder) return;
    this.dropOldFailures();
    for (const { call } of this.failed) this.judge.died(call);
  }

  private start(): void {
    const { file } = this;
    const messageId = file.count > 4 ? file.text(4) : '-';
    const call = this.judge.start(
      file.word(1),
      file.number(2),
      messageId === '-' ? undefined : messageId,
      file.count > 5,
    );
    const { size } = this.open;
    this.open.set(file.number(0), call);
    if (this.open.size === size) file.fail('a call of this number is open already');
  }

  private numbers(): void {
    const { file } = this;
    const call = this.call();
    const [first, last] = [file.number(1), file.number(2)];
    if (call.first !== 0) file.fail('the call has its numbers already');
    if (first < 1 || last - first + 1 !== call.count) file.fail(`the call asked for ${call.count} numbers`);
    let repeated = false;
    let openUntil: number | undefined;
    for (let field = 4; field < file.count; field += 1) {
      const text = file.text(field);
      if (text === 'r') repeated = true;
      else if (/^o\d+$/.test(text)) openUntil = Number(text.slice(1));
      else file.fail(`field ${field + 1} says nothing`);
    }
    this.judge.numbers(call, { first, last, repeated, openUntil }, file.at);
    if (!call.tracked) this.open.delete(file.number(0));
  }

  private fail(): void {
    const call = this.call();
    this.judge.failed(call);
    // A tracked take that has its numbers, and cannot be abandoned, has failed in another way.
    if (call.first === 0) this.failed.push({ call, at: this.file.at });
    if (this.failed.length > this.dropFailuresAt) this.dropOldFailures();
    this.open.delete(this.file.number(0));
  }

  private dropOldFailures(): void {
    this.failed = this.failed.filter(({ at }) => at >= this.file.at - unrecordedUs);
    // Each is looked at twice on average, however many fail within that time.
    this.dropFailuresAt = 2 * this.failed.length + 10_000;
  }

  private call(): OpenCall {
    const call = this.open.get(this.file.number(0));
    if (call === undefined) this.file.fail('the history does not say when this call started');
    return call;
  }
}
