/** What happens in a simulation: told to the judge, and kept as lines where somebody wants to read them. */

import type { Gap } from '../../../src/core/ledger.js';
import { type Excuses, Judge, type OpenCall, type Verdict } from '../judge/judge.js';

/** Virtual milliseconds, which are fractions, as the microseconds of a history. */
function microseconds(ms: number): number {
  return Math.round(ms * 1_000);
}

export class SimulatedHistory {
  /** As in the file of a client: see judge/history-file.ts. All processes of a simulation are in one. */
  readonly lines: string[] = [];
  readonly gapLines: string[] = [];
  readonly #judge: Judge;
  readonly #numbers = new Map<OpenCall, number>();
  #calls = 0;

  constructor(
    private readonly nowMs: () => number,
    private readonly keepsLines: boolean,
    excuses: Excuses,
  ) {
    this.#judge = new Judge({ excuses });
  }

  start(conversation: string, count: number, messageId: string | undefined, tracked: boolean): OpenCall {
    const call = this.#judge.start(conversation, count, messageId, tracked);
    this.#calls += 1;
    if (this.keepsLines) {
      this.#numbers.set(call, this.#calls);
      this.#line(
        `S ${this.#calls} ${conversation} ${count} ${this.#now} ${messageId ?? '-'}${tracked ? ' t' : ''}`,
      );
    }
    return call;
  }

  numbers(
    call: OpenCall,
    { first, last, repeated = false }: { first: number; last: number; repeated?: boolean },
    openUntilMs?: number,
  ): void {
    const openUntil = openUntilMs === undefined ? undefined : microseconds(openUntilMs);
    this.#judge.numbers(call, { first, last, repeated, openUntil }, this.#now);
    const flags = `${repeated ? ' r' : ''}${openUntil === undefined ? '' : ` o${openUntil}`}`;
    this.#line(() => `E ${this.#numbers.get(call)} ${first} ${last} ${this.#now}${flags}`);
  }

  failed(call: OpenCall, code: string): void {
    this.#judge.failed(call);
    this.#line(() => `F ${this.#numbers.get(call)} ${code.replaceAll(' ', '_')} ${this.#now}`);
  }

  died(call: OpenCall): void {
    this.#judge.died(call);
  }

  stored(call: OpenCall): void {
    this.#judge.stored(call, this.#now);
    this.#line(() => `P ${this.#numbers.get(call)} ${this.#now}`);
  }

  abandoned(call: OpenCall): void {
    this.#judge.abandoned(call);
    this.#line(() => `A ${this.#numbers.get(call)} ${this.#now}`);
  }

  settled(call: OpenCall, outcome: string): void {
    this.#judge.settled(call, outcome, this.#now);
    this.#line(() => `D ${this.#numbers.get(call)} ${outcome} ${this.#now}`);
  }

  completeUpTo(conversation: string, number: number): void {
    this.#judge.completeUpTo(conversation, number);
    this.#line(() => `C ${conversation} ${number} ${this.#now}`);
  }

  receiptLost(conversation: string, messageId: string): void {
    this.#judge.receiptLost(conversation, messageId);
    this.#line(() => `L ${conversation} ${messageId}`);
  }

  event(type: string): void {
    this.#line(() => `V ${type}`);
  }

  verdict(gaps: readonly Gap[]): Verdict {
    for (const { conversation, first, last, reason } of gaps) {
      this.#judge.gap(conversation, first, last, reason);
      if (this.keepsLines) this.gapLines.push(`G ${conversation} ${first} ${last} ${reason}`);
    }
    return this.#judge.verdict();
  }

  get #now(): number {
    return microseconds(this.nowMs());
  }

  #line(line: string | (() => string)): void {
    if (this.keepsLines) this.lines.push(typeof line === 'string' ? line : line());
  }
}
