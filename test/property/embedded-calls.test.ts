/** The embedded generator: takes that are answered at once and takes in batches share one series. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { Gap } from '../../src/core/ledger.js';
import { SequenceGenerator } from '../../src/core/sequence-generator.js';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { Random } from '../support/random.js';
import { runs, seed } from '../support/runs.js';
import { noFaults } from '../support/simulated-faults.js';
import { SimulatedLedger } from '../support/simulated-ledger.js';
import { VirtualClock } from '../support/virtual-clock.js';

const conversations = [groupChat('a'), groupChat('b')];

const call = fc.record({
  conversation: fc.integer({ min: 0, max: conversations.length - 1 }),
  kind: fc.constantFrom('next', 'next', 'next', 'many', 'message', 'tracked', 'drain'),
  count: fc.integer({ min: 1, max: 9 }),
  /** How long before the next call, in milliseconds; none for most. */
  pauseMs: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 30 })),
});

/** The numbers of a call, and when it began and was answered, as places in the order of events. */
interface Answer {
  readonly conversation: number;
  readonly first: number;
  readonly last: number;
  readonly began: number;
  readonly ended: number;
}

async function play(calls: readonly (typeof call extends fc.Arbitrary<infer T> ? T : never)[], size: number) {
  const clock = new VirtualClock();
  const ledger = new SimulatedLedger(clock, new Random(1), noFaults);
  const counters = new MemoryCounterStore({ nowMs: () => clock.monotonicMs() });
  const sequences = new SequenceGenerator({
    clock,
    counters,
    ledger,
    reservation: { kind: 'fixed', size },
  });
  const answers: Answer[] = [];
  const gaps: (readonly Gap[])[] = [];
  let events = 0;
  const begin = async (
    { conversation, kind, count }: (typeof calls)[number],
    index: number,
  ): Promise<void> => {
    const of = conversations[conversation]!;
    const began = events++;
    if (kind === 'drain') {
      await sequences.drain(of);
      return;
    }
    let range: { readonly first: number; readonly last: number };
    if (kind === 'many') range = await sequences.nextMany(of, count);
    else if (kind === 'tracked') range = await sequences.take(of, count);
    else {
      const issued =
        kind === 'next' ? await sequences.next(of) : await sequences.next(of, { messageId: `m${index}` });
      const number = typeof issued === 'number' ? issued : issued.number;
      range = { first: number, last: number };
    }
    answers.push({ conversation, first: range.first, last: range.last, began, ended: events++ });
  };
  await clock.run(
    (async () => {
      const underWay: Promise<void>[] = [];
      for (const [index, one] of calls.entries()) {
        underWay.push(begin(one, index));
        if (one.pauseMs > 0) await clock.sleep(one.pauseMs);
      }
      await Promise.all(underWay);
      for (const of of conversations) gaps.push(await sequences.gaps(of));
      await sequences.close();
    })(),
  );
  return { answers, gaps };
}

describe(`embedded calls (seed ${seed})`, () => {
  it('P1, P2, P3, P4: one series, in order of arrival, without a hole that is not recorded', async () => {
    const property = fc.asyncProperty(
      fc.array(call, { minLength: 1, maxLength: 60 }),
      fc.integer({ min: 1, max: 20 }),
      async (calls, size) => {
        const { answers, gaps } = await play(calls, size);
        for (const [conversation] of conversations.entries()) {
          const own = answers.filter((answer) => answer.conversation === conversation);
          const inOrder = own.toSorted((one, other) => one.first - other.first);
          let last = 0;
          for (const answer of inOrder) {
            expect(answer.first).toBeGreaterThan(last);
            // A drain that meets a refill may leave a gap, and says so.
            for (let missing = last + 1; missing < answer.first; missing += 1)
              expect(gaps[conversation]!.some((gap) => gap.first <= missing && missing <= gap.last)).toBe(
                true,
              );
            last = answer.last;
          }
          // Calls of one process are served in the order in which they were made.
          expect(inOrder.map(({ began }) => began)).toEqual(
            own.map(({ began }) => began).toSorted((a, b) => a - b),
          );
        }
      },
    );
    await fc.assert(property, { numRuns: runs / 2, seed });
  });
});
