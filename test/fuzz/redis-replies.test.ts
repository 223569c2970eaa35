/** Replies of the scripts that are anything that Redis can say: a result that makes sense, or none; never a wrong number. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Claim, ClaimResult, TakeRequest, TakeResult } from '../../src/core/counter-store.js';
import { type CounterWord, maxRemaining, maxSequenceNumber } from '../../src/core/counter-word.js';
import {
  decodeDrain,
  decodeGrant,
  decodeOpen,
  decodeRead,
  decodeRenew,
  decodeRestore,
  decodeSettle,
  decodeTake,
  decodeTrack,
  infoField,
} from '../../src/counters/redis/reply.js';
import { planTake } from '../../src/counters/redis/take-command.js';
import { seed } from '../support/runs.js';
import { anyText, errorOf, fuzzed } from './hostile.js';

const unit = 1e12;
/** Integers as RESP has them, up to 2^63, and longer ones that a parser may make of digits. */
const integer = fc.oneof(
  fc.integer({ min: -5, max: 5 }),
  fc.constantFrom(
    unit,
    unit - 1,
    -unit,
    9_000 * unit,
    9_001 * unit - 1,
    9_001 * unit,
    2 ** 53,
    2 ** 63,
    -(2 ** 63),
    1e30,
  ),
  fc
    .tuple(
      fc.integer({ min: -9_002, max: 9_002 }),
      fc.integer({ min: -3, max: 3 }),
      fc.constantFrom(0, unit - 9_000, 500),
    )
    .map(([a, b, c]) => a * unit + b + c),
  fc.maxSafeInteger(),
  fc.constant(-0),
);
const word = fc.constantFrom(
  'STALE',
  'MOVED',
  'FENCED',
  'DONE',
  'NOT_RUN',
  'LOST',
  'SUPERSEDED',
  'UNTRACKED',
  'OK',
  '',
);
const member = fc
  .tuple(fc.constantFrom('', 'hold ', 'x'), integer, integer, integer)
  .map(([start, a, b, c]) => `${start}${a} ${b} ${c}`);
const scalar = fc.oneof(integer, word, member, anyText, integer.map(String), fc.constant(null));
const { any: resp } = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof({ depthSize: 'small' }, scalar, fc.array(tie('any'), { maxLength: 4 })),
}));

const claim: fc.Arbitrary<Omit<Claim, 'offset'>> = fc.oneof(
  fc.constant({ count: 1, messageId: 'm', tracked: false }),
  fc.constant({ count: 1, messageId: 'm', tracked: true }),
  fc.integer({ min: 1, max: 4 }).map((count) => ({ count, messageId: undefined, tracked: true })),
);
const requests: fc.Arbitrary<readonly TakeRequest[]> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.array(claim, { maxLength: 3 }), fc.boolean()), {
    minLength: 1,
    maxLength: 4,
  })
  .map((given) =>
    given.map(([more, claims, hasPlain], index): TakeRequest => {
      let offset = 0;
      const calls = claims.map((one) => {
        offset += one.count;
        return { ...one, offset: offset - one.count };
      });
      const count = calls.length === 0 || hasPlain ? offset + more : offset;
      return {
        conversation: `group:${index}`,
        count,
        ...(calls.length > 0 && { claims: { receiptTtlMs: 9, leaseMs: 9, calls } }),
      };
    }),
  );

describe(`replies of scripts, hostile, seed ${seed}`, () => {
  it('of a take: for each request a result that can be acted on, or nobody knows; it never throws', () => {
    const seen: Record<string, number> = {};
    // Mostly of the right length, so that more than the length is looked at.
    const shaped = requests.chain((asked) => {
      const { claims } = planTake(asked);
      const length = asked.length + claims;
      const fields = fc.array(fc.oneof({ weight: 3, arbitrary: integer }, { weight: 1, arbitrary: resp }), {
        minLength: length,
        maxLength: length,
      });
      return fc.tuple(
        fc.constant(asked),
        fc.oneof(
          {
            weight: 5,
            arbitrary: fc.tuple(fc.oneof(fc.nat(), resp), fields).map(([time, of]) => ['DONE', time, ...of]),
          },
          { weight: 1, arbitrary: resp },
        ),
      );
    });
    fc.assert(
      fc.property(shaped, ([asked, reply]) => {
        const answer = decodeTake(reply, planTake(asked));
        seen[answer.status] = (seen[answer.status] ?? 0) + 1;
        if (answer.status === 'unknown') expect(answer.why.length).toBeLessThan(2_000);
        if (answer.status === 'stale') expect(typeof answer.history).toBe('string');
        if (answer.status !== 'done') return;
        expect(Number.isSafeInteger(answer.storeTimeMs)).toBe(true);
        expect(answer.results).toHaveLength(asked.length);
        for (const [index, result] of answer.results.entries()) {
          seen[result.status] = (seen[result.status] ?? 0) + 1;
          checkTaken(asked[index]!, result);
        }
      }),
      fuzzed(5),
    );
    for (const status of ['done', 'unknown', 'taken', 'short', 'corrupt', 'repeated', 'missing', 'moved'])
      expect(seen[status], status).toBeGreaterThan(0);
  });

  it('of everything else: results that can be acted on, or counter_unsupported', () => {
    const count = fc.nat(3);
    const reply = fc.oneof(
      resp,
      count.chain((length) =>
        fc
          .tuple(word, fc.array(resp, { minLength: length, maxLength: length + 1 }))
          .map(([status, of]) => [status, ...of]),
      ),
      fc
        .array(fc.oneof(resp, fc.tuple(integer.map(String), integer, member)), { maxLength: 4 })
        .map((of) => ['DONE', ...of]),
    );
    fc.assert(
      fc.property(reply, count, (given, length) => {
        const names = Array.from({ length }, (_, index) => `group:${index}`);
        decoded(() => {
          const read = decodeRead(given, length);
          if (read.status !== 'done') return;
          expect(Number.isSafeInteger(read.storeTimeMs)).toBe(true);
          for (const result of read.results) {
            if (result.status === 'present') checkWord(result.word);
            if (result.status === 'corrupt') expect(result.found.length).toBeLessThanOrEqual(65);
          }
        });
        decoded(() => {
          const drained = decodeDrain(given, length);
          if (drained.status === 'done') for (const of of drained.words) if (of !== undefined) checkWord(of);
        });
        decoded(() => {
          const restored = decodeRestore(given, length);
          if (restored.status === 'done')
            for (const of of restored.numbers) if (of !== undefined) checkNumber(of);
        });
        decoded(() => {
          const open = decodeOpen(given, names);
          if (open.status !== 'done') return;
          for (const result of open.results) {
            if (result.status !== 'tracked') continue;
            checkWord(result.word);
            if (result.firstOpen !== undefined) checkNumber(result.firstOpen);
            for (const { first, last } of result.expired) {
              checkNumber(first);
              checkNumber(last);
              expect(first).toBeLessThanOrEqual(last);
            }
          }
        });
        for (const decode of [decodeGrant, decodeTrack, decodeRenew, decodeSettle]) {
          decoded(() => {
            const { status } = decode(given, length);
            expect(['done', 'stale', ...(decode === decodeGrant ? ['fenced'] : [])]).toContain(status);
          });
        }
      }),
      fuzzed(3),
    );
  });

  it('an array that is deeper than the stack is a reply like any other', () => {
    let deep: unknown = 'x';
    for (let depth = 0; depth < 200_000; depth += 1) deep = [deep];
    for (const reply of [deep, ['DONE', deep], ['DONE', 0, deep], ['STALE', deep], ['DONE', [deep, deep]]]) {
      expect(decodeTake(reply, planTake([{ conversation: 'group:a', count: 1 }])).status).not.toBe('taken');
      decoded(() => decodeRead(reply, 1));
      decoded(() => decodeOpen(reply, ['group:a']));
      decoded(() => decodeTrack(reply, 1));
      decoded(() => decodeRestore(reply, 1));
    }
  });

  it('a field of INFO is found in any text, in a time that its length allows', () => {
    fc.assert(
      fc.property(anyText, anyText, (before, after) => {
        expect(infoField(`${before}\nrun_id:abc\r\n${after}`, 'run_id')).toBe(
          // A field of the same name may stand before.
          /^run_id:(.*?)\r?$/m.exec(`${before}\nrun_id:abc`)?.[1],
        );
      }),
      fuzzed(0.3),
    );
    for (const part of ['\r', '\r\n', 'role:', 'x']) {
      const startedAtMs = performance.now();
      infoField(`role:${part.repeat(1_000_000)}`, 'role');
      expect(performance.now() - startedAtMs, JSON.stringify(part)).toBeLessThan(2_000);
    }
  });
});

function decoded(decode: () => unknown): void {
  const error = errorOf(decode);
  if (error !== undefined) expect(error.code).toBe('counter_unsupported');
}

function checkNumber(number: number): void {
  expect(Number.isInteger(number) && number >= 1 && number <= maxSequenceNumber, String(number)).toBe(true);
}

function checkWord({ last, remaining }: CounterWord): void {
  expect(Number.isInteger(last) && last >= 0 && last <= maxSequenceNumber, `last ${last}`).toBe(true);
  expect(
    Number.isInteger(remaining) && remaining >= 0 && remaining <= maxRemaining,
    `left ${remaining}`,
  ).toBe(true);
  expect(last + remaining).toBeLessThanOrEqual(maxSequenceNumber);
}

function checkTaken({ count, claims }: TakeRequest, result: TakeResult): void {
  if (result.status === 'corrupt') expect(result.found.length).toBeLessThanOrEqual(65);
  if (result.status === 'short' || result.status === 'taken') checkWord(result.word);
  const known: readonly ClaimResult[] = ('claims' in result && result.claims) || [];
  // Every call of a take that has ended finds what became of it.
  if (claims !== undefined && (result.status === 'taken' || result.status === 'repeated'))
    expect(known).toHaveLength(claims.calls.length);
  for (const of of known) if (of.status === 'repeated') checkNumber(of.number);
  const repeated = known.filter(({ status }) => status !== 'fresh').length;
  if (result.status === 'repeated') expect(repeated).toBe(count);
  // All numbers that are handed out are such.
  if (result.status === 'taken') expect(result.word.last).toBeGreaterThanOrEqual(count - repeated);
}
