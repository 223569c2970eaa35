import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Conversation, groupChat } from '../../src/core/conversation.js';
import type { GeneratorOptions, MessageIdOptions } from '../../src/core/options.js';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { seed } from '../support/runs.js';
import {
  anyNumber,
  anyText,
  anyValue,
  errorOf,
  fuzzed,
  rejectionOf,
  timeoutMs,
  unreadable,
} from './hostile.js';

const optionNames = [
  ...['timeoutMs', 'reservation', 'reservationByType', 'reservationFor', 'ledgerOutage', 'ledgerPatienceMs'],
  ...['maxCalls', 'maxBatch', 'maxTakes', 'maxRemembered', 'messageIdWindowMs', 'messageIdWindowMsByType'],
  ...['maxRememberedReceipts', 'leaseMs', 'fenceCheckMs', 'idleAfterMs', 'onEvent', '__proto__', 'toString'],
] as const;

const policy = fc.oneof(
  anyValue,
  unreadable,
  fc.record({ kind: fc.constantFrom<unknown>('fixed', 'adaptive', 'toString', 1), size: anyNumber }),
  fc.record({
    kind: fc.constant('adaptive'),
    initial: fc.oneof(fc.constantFrom(1, 64), anyNumber),
    max: fc.oneof(fc.constantFrom(64, 4_500), anyNumber),
    growBelowMs: fc.oneof(fc.nat(1_000), anyNumber),
    shrinkAboveMs: fc.oneof(fc.constantFrom(1_000, 100_000), anyNumber),
  }),
);
const byType = fc.oneof(anyValue, fc.dictionary(fc.constantFrom('group', '__proto__', 'x'), policy));
const arbitraryOf = (name: string): fc.Arbitrary<unknown> => {
  if (name === 'reservation') return policy;
  if (name === 'reservationByType') return byType;
  if (name === 'reservationFor')
    return fc.oneof(
      anyValue,
      policy.map((given) => () => given),
    );
  return fc.oneof(anyNumber, anyValue, unreadable);
};
const anyOptions = fc
  .uniqueArray(fc.constantFrom(...optionNames), { minLength: 1, maxLength: 3 })
  .chain((names) =>
    fc.tuple(...names.map((name) => arbitraryOf(name).map((value) => [name, value] as const))),
  );

function open(options: unknown): SequenceGenerator {
  const stores = { counters: new MemoryCounterStore(), ledger: new MemoryLedger() };
  return new SequenceGenerator({ ...stores, ...(options as object) });
}

describe(`options and arguments of a generator, hostile, seed ${seed}`, () => {
  it(
    'options: a generator that numbers 1, 2, 3, or a clear error, for any values',
    async () => {
      await fc.assert(
        fc.asyncProperty(anyOptions, async (entries) => {
          let generator: SequenceGenerator | undefined;
          const error = errorOf(() => {
            generator = open(Object.fromEntries(entries));
          });
          if (error !== undefined) {
            expect(error.code).toBe('invalid_argument');
            return;
          }
          await expectToWork(generator!);
        }),
        fuzzed(),
      );
    },
    timeoutMs(5),
  );

  it('what is no object of options, and stores that are none: a clear error', () => {
    fc.assert(
      fc.property(anyValue, anyValue, (counters, ledger) => {
        for (const make of [
          () => new SequenceGenerator(counters as GeneratorOptions),
          () =>
            new SequenceGenerator({ counters, ledger: new MemoryLedger() } as unknown as GeneratorOptions),
          () =>
            new SequenceGenerator({
              counters: new MemoryCounterStore(),
              ledger,
            } as unknown as GeneratorOptions),
        ]) {
          expect(errorOf(make)?.code).toBe('invalid_argument');
        }
      }),
      fuzzed(0.3),
    );
  });

  it(
    'arguments of every call: a clear error or an answer, no number is lost, and the generator works on',
    async () => {
      const generator = open({ timeoutMs: 200, maxCalls: 3 });
      const g1 = groupChat('g1');
      let expected = 0;
      await fc.assert(
        fc.asyncProperty(fc.nat(callsOf(generator).length - 1), anyValue, anyValue, async (index, a, b) => {
          const [, call] = callsOf(generator)[index]!;
          await rejectionOf(() => call(g1, a, b));
          // What was refused has taken nothing, and holds no place: three calls at once still fit.
          const before = await generator.current(g1);
          const three = [generator.next(g1), generator.next(g1), generator.next(g1)];
          expect(await Promise.all(three)).toEqual([before + 1, before + 2, before + 3]);
          expected = before + 3;
        }),
        fuzzed(0.5),
      );
      expect(await generator.current(g1)).toBe(expected);
      const gaps = await generator.gaps(g1);
      // Numbers that were taken by calls which gave up are gaps; nothing else is.
      expect(gaps.every(({ reason }) => reason === 'abandoned' || reason === 'unclaimed')).toBe(true);
      await generator.close();
    },
    timeoutMs(20),
  );

  it(
    'message ids and counts: taken exactly when they are what the documentation says',
    async () => {
      const generator = open({});
      const g2 = groupChat('g2');
      await fc.assert(
        fc.asyncProperty(fc.oneof(anyText, anyValue), fc.oneof(anyNumber, anyValue), async (id, count) => {
          const before = await generator.current(g2);
          const fits =
            typeof id === 'string' && id !== '' && id.isWellFormed() && Buffer.byteLength(id) <= 255;
          const one = await rejectionOf(() => generator.next(g2, { messageId: id } as MessageIdOptions));
          expect(one === undefined, String(one)).toBe(fits || id === undefined);
          const isCount = Number.isInteger(count) && (count as number) >= 1 && (count as number) <= 1_000;
          const middle = await generator.current(g2);
          const many = await rejectionOf(() => generator.nextMany(g2, count as number));
          expect(many === undefined, String(many)).toBe(isCount);
          expect(middle - before).toBeLessThanOrEqual(one === undefined ? 1 : 0);
          expect((await generator.current(g2)) - middle).toBe(isCount ? count : 0);
        }),
        fuzzed(0.5),
      );
      await generator.close();
    },
    timeoutMs(10),
  );
});

async function expectToWork(generator: SequenceGenerator): Promise<void> {
  const group = groupChat('g');
  const numbers: number[] = [];
  for (let call = 0; call < 3; call += 1) {
    // A policy that makes no sense may show only now.
    const error = await rejectionOf(async () =>
      numbers.push(await generator.next(group, { timeoutMs: 1_000 })),
    );
    if (error !== undefined) expect(['invalid_argument', 'deadline_exceeded']).toContain(error.code);
  }
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  await Promise.race([
    generator.close(),
    sleep(5_000).then(() => Promise.reject(new Error('it does not close'))),
  ]);
}

type Call = (g1: Conversation, a: never, b: never) => Promise<unknown>;

function callsOf(
  generator: SequenceGenerator,
): readonly (readonly [string, (g1: Conversation, a: unknown, b: unknown) => Promise<unknown>])[] {
  const calls: Record<string, Call> = {
    of: (_, a) => generator.next(a),
    options: (g1, a) => generator.next(g1, a),
    timeout: (g1, a) => generator.next(g1, { timeoutMs: a }),
    count: (g1, a, b) => generator.nextMany(g1, a, b),
    id: (g1, a, b) => generator.next(g1, { messageId: a, timeoutMs: b }),
    take: async (g1, a, b) => (await generator.take(g1, a, b)).settle(),
    takeId: async (g1, a, b) => (await generator.take(g1, 1, { messageId: a, timeoutMs: b })).settle(),
    settle: (g1, a, b) => generator.settle(g1, a, b),
    settleRange: (g1, a, b) => generator.settle(g1, { first: a, last: b }),
    abandon: (g1, a, b) => generator.abandon(g1, { first: a, last: b }),
    renew: (g1, a, b) => generator.renew(g1, { first: a, last: b }),
    current: (_, a, b) => generator.current(a, b),
    completeUpTo: (g1, a) => generator.completeUpTo(g1, a),
    gaps: (g1, a, b) => generator.gaps(g1, { from: a, to: b }),
    gapsLimit: (g1, a) => generator.gaps(g1, { limit: a }),
    explain: (g1, a, b) => generator.explain(g1, a, b),
    inspect: (_, a, b) => generator.inspect(a, b),
    recover: (_, a, b) => generator.recover(a, b),
    entry: (_, a, b) => generator.ledgerEntry(a, b),
    entries: (_, a, b) => generator.ledgerEntries(a, { limit: b }),
    drain: (_, a, b) => generator.drain(a, b),
    drainType: (_, a, b) => generator.drainAll({ type: a, timeoutMs: b }),
    byType: (_, a, b) => generator.generateSequence(a, b),
    byPair: (_, a, b) => generator.generatePrivateChatSequence(a, b),
    byGroup: (_, a, b) => generator.generateGroupChatSequence(a, b),
    currentByType: (_, a, b) => generator.getCurrentSequence(a, b),
  };
  return Object.entries(calls) as never;
}
