import { it } from 'vitest';
import { maxSequenceNumber } from '../../src/core/counter-word.js';
import type { Ledger, LedgerEntry, NewGap, ReserveOutcome, ReserveRequest } from '../../src/core/ledger.js';

/** A ledger under test, with a database of its own. */
export interface LedgerFixture {
  readonly ledger: Ledger;
  /** Moves the ledger's clock; without it the suite waits for real. */
  advanceClock?(ms: number): Promise<void> | void;
  /** Closes the ledger and opens what it stored again, as `ledger`. */
  reopen?(): Promise<void>;
  /** Closes the ledger and removes what it stored. */
  stop(): Promise<void>;
}

export interface LedgerSuite {
  readonly name: string;
  create(): Promise<LedgerFixture>;
  /** Tests that this adapter cannot pass, each with the reason. A name that no test has fails the suite. */
  readonly skip?: readonly { readonly test: string; readonly reason: string }[];
}

/** Every gap of a conversation. */
export const everything = { from: 1, to: maxSequenceNumber, limit: 1_000 };

export function ask(
  conversation: string,
  generation: number,
  saw?: readonly [last: number, remaining: number],
  size = 10,
  need = 1,
): ReserveRequest {
  return {
    conversation,
    generation,
    saw: saw && { last: saw[0], remaining: saw[1] },
    need,
    policy: { kind: 'fixed', size },
  };
}

export function gap(conversation: string, first: number, last: number, more: Partial<NewGap> = {}): NewGap {
  return { conversation, first, last, reason: 'reply_lost', generation: 1, ...more };
}

/** The expected outcome of a reservation of the size that {@link ask} wants by default. */
export function reserved(kind: string, start: number, end: number, more: object = {}) {
  const mode = kind === 'new' || kind === 'takeover' ? 'install' : 'extend';
  return { status: 'reserved', kind, block: { start, end }, mode, blockSize: 10, gap: undefined, ...more };
}

/** What an outcome is called for short. */
export function kindOf(outcome: ReserveOutcome): string {
  return outcome.status === 'reserved' ? outcome.kind : outcome.status;
}

/** One adapter's run of the suite: its ledger, and short ways to ask it. */
export class LedgerRun {
  readonly #suite: LedgerSuite;
  readonly #defined = new Set<string>();
  #fixture: LedgerFixture | undefined;
  #names = 0;

  constructor(suite: LedgerSuite) {
    this.#suite = suite;
  }

  get ledger(): Ledger {
    return this.#fixture!.ledger;
  }

  async start(): Promise<void> {
    this.#fixture = await this.#suite.create();
  }

  async reopen(): Promise<void> {
    await this.#fixture!.reopen!();
  }

  async stop(): Promise<void> {
    await this.#fixture?.stop();
  }

  /** A second ledger, for tests that close it or need one that is new, and how time passes there. */
  async another<T>(use: (ledger: Ledger, pass: (ms: number) => Promise<void>) => Promise<T>): Promise<T> {
    const fixture = await this.#suite.create();
    try {
      return await use(fixture.ledger, (ms) => pass(fixture, ms));
    } finally {
      await fixture.stop();
    }
  }

  test(name: string, body: () => Promise<void>): void {
    this.#defined.add(name);
    const skipped = this.#suite.skip?.find((entry) => entry.test === name);
    if (skipped) it.skip(`${name} (skipped: ${skipped.reason})`, body);
    else it(name, body, 60_000);
  }

  unknownSkips(): string[] {
    return (this.#suite.skip ?? []).map((entry) => entry.test).filter((test) => !this.#defined.has(test));
  }

  /** A conversation that no other test uses. */
  fresh(hint = 'c', type = 'group'): string {
    this.#names += 1;
    return `${type}:${hint}-${this.#names}`;
  }

  async pass(ms: number): Promise<void> {
    await pass(this.#fixture!, ms);
  }

  async one(request: ReserveRequest): Promise<ReserveOutcome> {
    return (await this.ledger.reserve([request]))[0]!;
  }

  async entry(conversation: string): Promise<LedgerEntry | undefined> {
    return (await this.ledger.load([conversation]))[0];
  }

  async marks(
    conversation: string,
  ): Promise<[ceiling: number, floor: number, generation: number] | undefined> {
    const entry = await this.entry(conversation);
    return entry && [entry.ceiling, entry.floor, entry.generation];
  }

  async gapsOf(
    conversation: string,
    range: Partial<typeof everything> = {},
  ): Promise<[number, number, string][]> {
    const gaps = await this.ledger.gaps(conversation, { ...everything, ...range });
    return gaps.map(({ first, last, reason }) => [first, last, reason]);
  }
}

async function pass(fixture: LedgerFixture, ms: number): Promise<void> {
  if (fixture.advanceClock) await fixture.advanceClock(ms);
  else await new Promise((resolve) => setTimeout(resolve, ms));
}
