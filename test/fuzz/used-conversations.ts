/** Conversations that are used by every call there is, and what each of them has got: the judge of tests that poison stores. */

import { expect } from 'vitest';
import { type Conversation, groupChat } from '../../src/core/conversation.js';
import type { TrackedTake } from '../../src/core/tracked-take.js';
import type { SequenceGenerator } from '../../src/sequence-generator.js';
import { waitUntil } from '../support/wait.js';
import { clear } from './hostile.js';

/** A conversation, and every number that calls were given in it. */
export class Used {
  readonly of: Conversation;
  readonly key: string;
  readonly numbers: number[] = [];
  readonly takes: TrackedTake[] = [];

  constructor(name: string) {
    this.of = groupChat(name);
    this.key = `group:${name}`;
  }

  issued(first: number, last = first): void {
    for (let number = first; number <= last; number += 1) this.numbers.push(number);
  }
}

type Call = (sequences: SequenceGenerator, used: Used, messageId: string) => Promise<unknown>;

const calls = {
  next: async (sequences, used) => used.issued(await sequences.next(used.of)),
  nextMany: async (sequences, used) => {
    const { first, last } = await sequences.nextMany(used.of, 7);
    used.issued(first, last);
  },
  message: async (sequences, used, messageId) => {
    const { number, repeated } = await sequences.next(used.of, { messageId });
    if (!repeated) used.issued(number);
  },
  take: async (sequences, used) => {
    const take = await sequences.take(used.of, 2);
    used.issued(take.first, take.last);
    used.takes.push(take);
  },
  takeMessage: async (sequences, used, messageId) => {
    const take = await sequences.take(used.of, 1, { messageId });
    if (!take.repeated) used.issued(take.first);
    used.takes.push(take);
  },
  settle: async (_, used) => used.takes.pop()?.settle(),
  abandon: async (_, used) => used.takes.pop()?.abandon(),
  renew: async (_, used) => used.takes.at(-1)?.renew(),
  current: (sequences, used) => sequences.current(used.of),
  inspect: (sequences, used) => sequences.inspect(used.of),
  recover: (sequences, used) => sequences.recover(used.of),
  completeUpTo: async (sequences, used) => {
    const completeUpTo = await sequences.completeUpTo(used.of);
    // Nobody reads beyond what was issued.
    expect(completeUpTo, used.key).toBeLessThanOrEqual(await sequences.current(used.of));
  },
  explain: (sequences, used) => sequences.explain(used.of, 1),
  gaps: (sequences, used) => sequences.gaps(used.of),
  ledgerEntry: (sequences, used) => sequences.ledgerEntry(used.of),
  drain: (sequences, used) => sequences.drain(used.of),
} satisfies Record<string, Call>;

export type CallName = keyof typeof calls;
export const callNames = Object.keys(calls) as readonly CallName[];
/** Calls that may find that another one has ended their take. */
export const endingCalls: readonly CallName[] = ['settle', 'abandon', 'renew'];

/** Makes a call. @returns the error that it ends with, a clear one; undefined when it succeeds */
export async function callOf(sequences: SequenceGenerator, name: CallName, used: Used, messageId: string) {
  try {
    await calls[name](sequences, used, messageId);
    return undefined;
  } catch (thrown) {
    return clear(thrown);
  }
}

/** Takes numbers in every way. All of it succeeds. */
export async function use(sequences: SequenceGenerator, used: Used): Promise<void> {
  for (const name of ['take', 'message', 'next', 'nextMany', 'takeMessage'] as const)
    await calls[name](sequences, used, `own-${name}`);
}

/** The same; and what it takes is above everything that was issued before. */
export async function useAbove(sequences: SequenceGenerator, used: Used): Promise<void> {
  const before = used.numbers.length;
  const last = Math.max(0, ...used.numbers);
  await use(sequences, used);
  const taken = used.numbers.slice(before);
  expect(taken.length, used.key).toBeGreaterThan(0);
  expect(Math.min(...taken), used.key).toBeGreaterThan(last);
}

/** Nobody else's business: each call of a sound conversation succeeds, or says the same as without a poison. */
export async function expectSound(sequences: SequenceGenerator, used: Used): Promise<void> {
  await Promise.all(
    callNames.map(async (name) => {
      const error = await callOf(sequences, name, used, `m-${name}`);
      if (error === undefined) return;
      // A take that another of these calls has ended meanwhile.
      expect(endingCalls, `${name}: ${error.message}`).toContain(name);
      expect(['invalid_argument', 'lease_expired'], error.message).toContain(error.code);
    }),
  );
}

/** Numbers came once, and what is missing between them is in a recorded gap. */
export async function expectExplained(
  sequences: SequenceGenerator,
  { of, key, numbers }: Used,
): Promise<void> {
  expect(numbers.length, `${key}: ${numbers.join()}`).toBe(new Set(numbers).size);
  const last = Math.max(0, ...numbers);
  expect(last, key).toBeLessThan(100_000);
  const issued = new Set(numbers);
  await waitUntil(`holes of ${key} are explained`, async () => {
    const gaps = await sequences.gaps(of);
    for (let number = 1; number <= last; number += 1) {
      const isExplained = issued.has(number) || gaps.some((gap) => gap.first <= number && number <= gap.last);
      if (!isExplained) return false;
    }
    return true;
  });
}
