/**
 * Writes the history of one client, line by line, before the client goes on; so nothing is forgotten when it is killed. The
 * lines are described where they are read: judge/history-file.ts.
 */

import { openSync, writeSync } from 'node:fs';
import { nowUs } from '../support/load-log.js';

export class HistoryWriter {
  private readonly file: number;

  constructor(file: string) {
    this.file = openSync(file, 'a');
  }

  start(call: number, conversation: string, count: number, messageId?: string, tracked = false): void {
    const more = tracked ? ` ${messageId ?? '-'} t` : messageId === undefined ? '' : ` ${messageId}`;
    this.write(`S ${call} ${conversation} ${count} ${nowUs()}${more}`);
  }

  numbers(call: number, first: number, last: number, repeated = false, openUntilUs?: number): void {
    const until = openUntilUs === undefined ? '' : ` o${openUntilUs}`;
    this.write(`E ${call} ${first} ${last} ${nowUs()}${repeated ? ' r' : ''}${until}`);
  }

  failed(call: number, code: string): void {
    this.write(`F ${call} ${code} ${nowUs()}`);
  }

  stored(call: number): void {
    this.write(`P ${call} ${nowUs()}`);
  }

  abandoning(call: number): void {
    this.write(`A ${call} ${nowUs()}`);
  }

  settled(call: number, outcome: string): void {
    this.write(`D ${call} ${outcome} ${nowUs()}`);
  }

  completeUpTo(conversation: string, completeUpTo: number): void {
    this.write(`C ${conversation} ${completeUpTo} ${nowUs()}`);
  }

  receiptLost(conversation: string, messageId: string): void {
    this.write(`L ${conversation} ${messageId}`);
  }

  event(type: string): void {
    this.write(`V ${type}`);
  }

  /** The process ends in order: everything that its callers left is recorded. */
  end(): void {
    this.write(`X ${nowUs()}`);
  }

  private write(line: string): void {
    writeSync(this.file, `${line}\n`);
  }
}
