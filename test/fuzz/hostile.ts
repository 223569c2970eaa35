/** Hostile values, and what every parser has to make of them: a clear error of the closed set, or nothing at all. */

import fc from 'fast-check';
import { expect } from 'vitest';
import { errorCodes, TidemarkError } from '../../src/errors.js';
import { runs, seed } from '../support/runs.js';

/** What no message may hold. Its parts are no words of any message. */
export const secret = 's3crethunter2';
/** Longest message that is still one for people, in characters. */
const maxMessageLength = 2_000;

/** Parameters for `fc.assert`: `part` of the usual number of runs, for work that takes longer than a function call. */
export function fuzzed(part = 1): { numRuns: number; seed: number } {
  return { numRuns: Math.max(1, Math.ceil(runs * part)), seed };
}

/** How long a test may take, in milliseconds: as many runs as were asked for, `eachMs` for each. */
export function timeoutMs(eachMs: number, part = 1): number {
  return 60_000 + fuzzed(part).numRuns * eachMs;
}

/** Text of any kind: controls, lone surrogates, separators, braces, what looks like a number, and very long. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  {
    weight: 4,
    arbitrary: fc
      .array(
        fc.constantFrom(
          ...':%{}[]*?\\^/@#&;=,."\' \t\r\n',
          ...['\0', '\u0007', '\u001b[31m', '\u007f', '\u009b', '\u0085', '\u2028', '\u202e', '\ufeff'],
          ...['\ud800', '\udfff', '😀', 'é', 'e\u0301', 'a', '0', '7', '%3A', '%25', '%7D', '%'],
          ...['__proto__', 'constructor', 'group', 'private', 'toString', 'NaN', '-1', '1e9', 'null'],
        ),
        { maxLength: 12 },
      )
      .map((parts) => parts.join('')),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('x', ':', '%3A', '\0', '😀', '{'), fc.constantFrom(80, 255, 256, 5_000))
      .map(([part, times]) => part.repeat(times)),
  },
);

/** Numbers that trouble code that expects small whole ones. */
export const anyNumber: fc.Arbitrary<number> = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.constantFrom(0, -0, 1, -1, 0.5, 1e12, 1e12 - 1, 9e15, 1e21, 1e308, -1e308, 5e-324),
  fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 2 ** 53 + 2, 2 ** 63, -(2 ** 63)),
);

const failing = (): never => {
  throw new Error('a trap');
};

/** What throws when it is turned into text. */
const textless: fc.Arbitrary<unknown> = fc
  .constantFrom<(() => unknown)[]>(
    () => ({ toString: failing, valueOf: failing }),
    () => ({ [Symbol.toPrimitive]: failing }),
    () => Object.create(null) as unknown,
    () => {
      const circle: Record<string, unknown> = {};
      circle['self'] = circle;
      return circle;
    },
    // biome-ignore lint/complexity/useArrowFunction: it has to be a function that can be called with new.
    () => function () {},
  )
  .map((make) => make());

/** What throws when it is read. */
export const unreadable: fc.Arbitrary<unknown> = fc
  .constantFrom<(() => unknown)[]>(
    // fast-check itself looks for symbols in whatever it makes.
    () =>
      new Proxy(
        {},
        { get: (_, name) => (typeof name === 'symbol' ? undefined : failing()), ownKeys: failing },
      ),
    () => Object.defineProperty({}, 'kind', { get: failing, enumerable: true }),
  )
  .map((make) => make());

/** Anything that JavaScript can hand in and that can be read. */
export const anyValue: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 4, arbitrary: anyText },
  { weight: 4, arbitrary: anyNumber },
  { weight: 2, arbitrary: fc.constantFrom<unknown[]>(undefined, null, true, false, [], {}, [[]], [1], '') },
  { weight: 2, arbitrary: fc.bigInt() },
  { weight: 1, arbitrary: fc.constant(Symbol('hostile')) },
  { weight: 2, arbitrary: textless },
  { weight: 2, arbitrary: fc.anything({ withBigInt: true, withNullPrototype: true, withSparseArray: true }) },
  { weight: 1, arbitrary: fc.constantFrom('x', '9').map((part) => part.repeat(100_000)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(new Date(Number.NaN), /x/, new Map(), Promise.resolve(1), () => 1),
  },
);

/** The error of `work`; undefined when there is none. Anything but a clear TidemarkError fails the test. */
export function errorOf(work: () => unknown): TidemarkError | undefined {
  try {
    work();
  } catch (error) {
    return clear(error);
  }
  return undefined;
}

/** The same for work that takes its time. It must not throw before it has returned its promise. */
export async function rejectionOf(work: () => Promise<unknown>): Promise<TidemarkError | undefined> {
  const promise = work();
  try {
    await promise;
  } catch (error) {
    return clear(error);
  }
  return undefined;
}

/** One of ours, with a code of the closed set, and a message that is for people and holds no secret. */
export function clear(error: unknown): TidemarkError {
  if (!(error instanceof TidemarkError)) throw new Error('not a TidemarkError', { cause: error });
  expect(Object.hasOwn(errorCodes, error.code), error.code).toBe(true);
  expect(error.code, error.message.slice(0, 500)).not.toBe('internal');
  expect(error.message.startsWith(`${error.code}: `), error.message.slice(0, 500)).toBe(true);
  expect(error.message.length).toBeGreaterThan(error.code.length + 12);
  expect(error.message.length).toBeLessThan(maxMessageLength);
  expect(error.message).not.toContain(secret);
  return error;
}

/** Fails when something has written into what all objects share. */
export function expectNoPollution(): void {
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  expect(([] as unknown as Record<string, unknown>)['polluted']).toBeUndefined();
}
