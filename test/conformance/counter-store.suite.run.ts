import { expect } from 'vitest';
import type {
  Claim,
  ClaimResult,
  CounterStore,
  Epoch,
  Grant,
  OpenResult,
  ReadResult,
  Receipt,
  SettleResult,
  TakeReply,
  TakeRequest,
  TakeResult,
} from '../../src/core/counter-store.js';

/** A store under test. */
export interface CounterStoreFixture {
  readonly store: CounterStore;
  /** How the names of conversations begin, where they must share a slot. */
  readonly namePrefix?: string;
  /** The store's clock, milliseconds. */
  nowMs(): number | Promise<number>;
  /** Loses all words and the history, as a server does that restarts empty. */
  lose(): Promise<void> | void;
  /** Writes text where a conversation's word is; undefined where only the store itself can write. */
  readonly write?: (conversation: string, generation: number, text: string) => Promise<void>;
  /** Makes something that is no string where a conversation's word is. */
  readonly writeList?: (conversation: string, generation: number) => Promise<void>;
  /** Writes text where the receipt of a message id is; undefined makes something that is no string. */
  readonly writeReceipt?: (conversation: string, messageId: string, text?: string) => Promise<void>;
  /** Writes text where a conversation's open takes are. */
  readonly writeOpen?: (conversation: string, text: string) => Promise<void>;
  /** What is at a place that was written so, as text; 'none' when nothing is. */
  readonly kindOf?: (conversation: string, what: 'open' | { readonly messageId: string }) => Promise<string>;
  /** Makes words unreachable for generations to come, where the generation is no part of a word's name. */
  readonly endGeneration?: () => Promise<void>;
  /** Lets earlier generations take numbers again, where the store notes which one took some last. */
  readonly forgetGenerations?: () => Promise<void>;
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

/** A lease, or the life of a receipt, that does not end during a test; and one that has ended soon. */
export const longMs = 600_000;
export const shortMs = 200;

/** One call in a take; a plain one when it has neither a message id nor is tracked. */
export interface CallSpec {
  readonly id?: string;
  readonly tracked?: boolean;
  readonly count?: number;
}

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
    return `${this.fixture.namePrefix ?? 'group:suite-'}${this.#names}`;
  }

  /** The epoch of a conversation that may have another slot than those of {@link name}. */
  async epochOf(conversation: string): Promise<Epoch> {
    const { id } = await this.store.history(this.store.slotOf(conversation));
    return { history: id, generation };
  }

  async refreshEpoch(): Promise<void> {
    this.epoch = await this.epochOf(this.name());
  }

  /** Runs in a later generation of the same history, as after a takeover: no word is there, and all claims are. */
  async inGeneration(later: number, body: () => Promise<void>): Promise<void> {
    const before = this.epoch;
    await this.fixture.endGeneration?.();
    this.epoch = { ...before, generation: later };
    try {
      await body();
    } finally {
      this.epoch = before;
      await this.fixture.forgetGenerations?.();
    }
  }

  async take(...requests: [conversation: string, count: number][]): Promise<readonly TakeResult[]> {
    return done(await this.store.take(this.epoch, asRequests(requests))).results;
  }

  async takeOne(conversation: string, count = 1): Promise<TakeResult> {
    return (await this.take([conversation, count]))[0]!;
  }

  /** Takes for these calls, in their order, with the claims that they make. */
  async claim(conversation: string, calls: readonly CallSpec[], kept: Kept = {}): Promise<TakeResult> {
    return done(await this.store.take(this.epoch, [asClaims(conversation, calls, kept)])).results[0]!;
  }

  async restore(...receipts: Receipt[]): Promise<readonly (number | undefined)[]> {
    const reply = await this.store.restoreReceipts(this.epoch, receipts);
    if (reply.status !== 'done') throw new Error(`restore: ${reply.status}`);
    return reply.numbers;
  }

  /** A conversation of its own that is tracked: everything up to `last` is complete unless said otherwise. */
  async tracked(last: number, remaining: number): Promise<string> {
    const conversation = await this.word(last, remaining);
    await this.track(conversation, last);
    return conversation;
  }

  async track(conversation: string, completeUpTo: number, leaseMs = longMs): Promise<void> {
    expect(await this.store.track(this.epoch, [{ conversation, completeUpTo }], leaseMs)).toEqual({
      status: 'done',
      results: [{ status: 'tracked' }],
    });
  }

  async readOpen(conversation: string): Promise<OpenResult> {
    const reply = await this.store.readOpen(this.epoch, [conversation]);
    if (reply.status !== 'done') throw new Error(`readOpen: ${reply.status}`);
    return reply.results[0]!;
  }

  /** Where the lowest open take begins. */
  async firstOpen(conversation: string): Promise<number | undefined> {
    const open = await this.readOpen(conversation);
    if (open.status !== 'tracked') throw new Error(`readOpen: ${open.status}`);
    return open.firstOpen;
  }

  async renew(conversation: string, first: number, last = first, leaseMs = longMs) {
    const reply = await this.store.renew(this.epoch, [{ conversation, first, last, leaseMs }]);
    if (reply.status !== 'done') throw new Error(`renew: ${reply.status}`);
    return reply.results[0]!;
  }

  async settle(conversation: string, ...firsts: number[]): Promise<readonly SettleResult[]> {
    const takes = firsts.map((first) => ({ conversation, first }));
    const reply = await this.store.settle(this.epoch, takes);
    if (reply.status !== 'done') throw new Error(`settle: ${reply.status}`);
    return reply.results;
  }

  /** Removes what a reading found expired. */
  async expire(open: OpenResult): Promise<readonly SettleResult[]> {
    if (open.status !== 'tracked') throw new Error(`readOpen: ${open.status}`);
    const reply = await this.store.expire(this.epoch, open.expired);
    if (reply.status !== 'done') throw new Error(`expire: ${reply.status}`);
    return reply.results;
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

/** How long a take's claims are kept; long unless said otherwise. */
export interface Kept {
  readonly receiptTtlMs?: number;
  readonly leaseMs?: number;
}

/** A request for these calls, in their order, with the claims that they make. */
export function asClaims(
  conversation: string,
  calls: readonly CallSpec[],
  { receiptTtlMs = longMs, leaseMs = longMs }: Kept = {},
): TakeRequest {
  const claims: Claim[] = [];
  let offset = 0;
  for (const { id, tracked = false, count = 1 } of calls) {
    if (id !== undefined || tracked) claims.push({ offset, count, messageId: id, tracked });
    offset += count;
  }
  if (claims.length === 0) return { conversation, count: offset };
  return { conversation, count: offset, claims: { receiptTtlMs, leaseMs, calls: claims } };
}

export const fresh: ClaimResult = { status: 'fresh' };

/** `open` is said of a tracked one, if anything was taken. */
export function repeated(number: number, open?: boolean): ClaimResult {
  return { status: 'repeated', number, ...(open !== undefined && { open }) };
}

export function done(reply: TakeReply): Extract<TakeReply, { status: 'done' }> {
  if (reply.status !== 'done') throw new Error(`take: ${reply.status}`);
  return reply;
}

export function taken(last: number, remaining: number, ...claims: ClaimResult[]): TakeResult {
  return { status: 'taken', word: { last, remaining }, ...(claims.length > 0 && { claims }) };
}

export function short(last: number, remaining: number, ...claims: ClaimResult[]): TakeResult {
  return { status: 'short', word: { last, remaining }, ...(claims.length > 0 && { claims }) };
}

export function present(last: number, remaining: number): ReadResult {
  return { status: 'present', word: { last, remaining } };
}
