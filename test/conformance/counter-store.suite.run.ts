import { expect } from 'vitest';
import type {
  CounterStore,
  Epoch,
  Grant,
  ReadResult,
  TakeReply,
  TakeRequest,
  TakeResult,
} from '../../src/core/counter-store.js';

/** A store under test. */
export interface CounterStoreFixture {
  readonly store: CounterStore;
  /** The store's clock, milliseconds. */
  nowMs(): number | Promise<number>;
  /** Loses all words and the history, as a server does that restarts empty. */
  lose(): Promise<void> | void;
  /** Writes text where a conversation's word is; undefined where only the store itself can write. */
  readonly write?: (conversation: string, generation: number, text: string) => Promise<void>;
  /** Makes something that is no string where a conversation's word is. */
  readonly writeList?: (conversation: string, generation: number) => Promise<void>;
  /** Closes the store and removes what it kept. */
  stop(): Promise<void>;
}

export interface CounterStoreSuite {
  readonly name: string;
  create(): Promise<CounterStoreFixture>;
  /** Tests that this adapter cannot run, each with the reason. A name that no test has fails the suite. */
  readonly skip?: readonly { readonly test: string; readonly reason: string }[];
}

export const generation = 3;
export const farFutureMs = 1e15;

/** One fixture, and short ways to ask it. */
export class Run {
  fixture!: CounterStoreFixture;
  epoch!: Epoch;
  #names = 0;

  get store(): CounterStore {
    return this.fixture.store;
  }

  name(): string {
    this.#names += 1;
    return `group:suite-${this.#names}`;
  }

  async refreshEpoch(): Promise<void> {
    this.epoch = { history: await this.store.history(), generation };
  }

  async take(...requests: [conversation: string, count: number][]): Promise<readonly TakeResult[]> {
    return done(await this.store.take(this.epoch, asRequests(requests))).results;
  }

  async takeOne(conversation: string, count = 1): Promise<TakeResult> {
    return (await this.take([conversation, count]))[0]!;
  }

  async grant(
    conversation: string,
    mode: Grant['mode'],
    start: number,
    end: number,
    expiresMs = farFutureMs,
  ) {
    const grant = { conversation, mode, block: { start, end }, expiresAtStoreTimeMs: expiresMs };
    const reply = await this.store.grant(this.epoch, [grant]);
    if (reply.status !== 'done') throw new Error(`grant: ${reply.status}`);
    return reply.results[0]!;
  }

  async read(conversation: string): Promise<ReadResult> {
    const reply = await this.store.read(this.epoch, [conversation]);
    if (reply.status !== 'done') throw new Error(`read: ${reply.status}`);
    return reply.results[0]!;
  }

  /** A conversation of its own with this word, made as the ledger would: one install of the block. */
  async word(last: number, remaining: number): Promise<string> {
    const conversation = this.name();
    expect(await this.grant(conversation, 'install', last, last + remaining)).toBe('granted');
    return conversation;
  }
}

/** Defines one test, unless the adapter skips it. */
export type Test = (name: string, body: () => Promise<void>) => void;

export function asRequests(requests: readonly [conversation: string, count: number][]): TakeRequest[] {
  return requests.map(([conversation, count]) => ({ conversation, count }));
}

export function done(reply: TakeReply): Extract<TakeReply, { status: 'done' }> {
  if (reply.status !== 'done') throw new Error(`take: ${reply.status}`);
  return reply;
}

export function taken(last: number, remaining: number): TakeResult {
  return { status: 'taken', word: { last, remaining } };
}

export function short(last: number, remaining: number): TakeResult {
  return { status: 'short', word: { last, remaining } };
}

export function present(last: number, remaining: number): ReadResult {
  return { status: 'present', word: { last, remaining } };
}
