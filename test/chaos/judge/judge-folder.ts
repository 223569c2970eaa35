/** Judges the histories of the clients of one run: `client-<n>.log`, and `gaps.log` with the gaps that the ledger has. */

import { readdirSync } from 'node:fs';
import path from 'node:path';
import { HistoryFile, MergedHistory } from './history-file.js';
import { Judge, type JudgeOptions, type OpenCall, type Verdict } from './judge.js';

/** What a process has yet to record when it is killed, dies with it: what its callers left so shortly before. */
const unrecordedUs = 15_000_000;

/** `G <conversation> <first> <last> <reason>` is a line of it. */
export const gapsFile = 'gaps.log';

export function clientFiles(folder: string): string[] {
  return readdirSync(folder).filter((name) => name.startsWith('client-') && name.endsWith('.log'));
}

export function judgeFolder(folder: string, options: JudgeOptions = {}): Verdict {
  const judge = new Judge(options);
  const gaps = readdirSync(folder).includes(gapsFile)
    ? new HistoryFile(path.join(folder, gapsFile))
    : undefined;
  while (gaps?.next()) {
    const reason = gaps.count > 3 ? gaps.text(3) : undefined;
    judge.gap(gaps.text(0), gaps.number(1), gaps.number(2), reason);
  }
  gaps?.close();
  const files = clientFiles(folder).map((name) => new HistoryFile(path.join(folder, name)));
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

/** Tells the judge what one client did. */
class ClientHistory {
  private readonly open = new Map<number, OpenCall>();
  /** Calls that failed lately: what they left may not be recorded yet. */
  private failed: { readonly call: OpenCall; readonly at: number }[] = [];
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
    else if (kind === 'C') judge.completeUpTo(file.text(0), file.number(1));
    else if (kind === 'L') judge.receiptLost(file.text(0), file.text(1));
    else if (kind === 'X') this.endedInOrder = true;
    else if (kind === 'P') judge.stored(this.call(), file.at);
    else if (kind === 'A') {
      judge.abandoned(this.call());
      this.open.delete(file.number(0));
    } else if (kind === 'D') {
      judge.settled(this.call(), file.text(1), file.at);
      this.open.delete(file.number(0));
    } else if (kind !== 'V') throw new Error(`no line of a history: ${file.line}`);
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
      file.text(1),
      file.number(2),
      messageId === '-' ? undefined : messageId,
      file.count > 5,
    );
    this.open.set(file.number(0), call);
  }

  private numbers(): void {
    const { file } = this;
    const call = this.call();
    let repeated = false;
    let openUntil: number | undefined;
    for (let field = 4; field < file.count; field += 1) {
      const text = file.text(field);
      if (text === 'r') repeated = true;
      else openUntil = Number(text.slice(1));
    }
    this.judge.numbers(call, { first: file.number(1), last: file.number(2), repeated, openUntil }, file.at);
    if (!call.tracked) this.open.delete(file.number(0));
  }

  private fail(): void {
    const call = this.call();
    this.judge.failed(call);
    // A tracked take that has its numbers, and cannot be abandoned, has failed in another way.
    if (call.first === 0) this.failed.push({ call, at: this.file.at });
    if (this.failed.length > 10_000) this.dropOldFailures();
    this.open.delete(this.file.number(0));
  }

  private dropOldFailures(): void {
    this.failed = this.failed.filter(({ at }) => at >= this.file.at - unrecordedUs);
  }

  private call(): OpenCall {
    const call = this.open.get(this.file.number(0));
    if (call === undefined)
      throw new Error(`the history does not say when this call started: ${this.file.line}`);
    return call;
  }
}
