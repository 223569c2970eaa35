/** What a reader is made of, and the checks of what callers hand in. */

/** Largest sequence number of a conversation. */
export const largestNumber = 999_999_999_999;

/**
 * The numbers `from … to`, both included.
 */
export interface ReaderRange {
  readonly from: number;
  readonly to: number;
}

/**
 * A recorded gap, as the server's `gaps(conversation, { from, to })` returns it. More fields do no harm.
 */
export interface ReaderGap {
  readonly first: number;
  readonly last: number;
  /** True: none of the numbers was ever issued. False: some may be in use. */
  readonly certain: boolean;
  /** How long ago it was recorded, told by the server when it answers. Better than `recordedAtMs`: no two clocks to compare. */
  readonly ageMs?: number;
  /** When it was recorded, by a clock that agrees with `nowMs`. Without either, it counts as recorded when the reader hears of it. */
  readonly recordedAtMs?: number;
}

/**
 * Options of a {@link Reader}.
 */
export interface ReaderOptions {
  /** The last number that the user has already; 0 by default. */
  readonly after?: number;
  /**
   * The recorded gaps that touch a range: what the server's `gaps(conversation, { from, to })` returns. They may be
   * clipped or not, and may be only the first ones. It must settle: give it a time limit. When it rejects, the step
   * says so and the reader asks again later.
   */
  readonly gaps: (range: ReaderRange) => Promise<readonly ReaderGap[]>;
  /** How long after an uncertain gap was recorded its numbers are still waited for; 10,000 by default. */
  readonly graceMs?: number;
  /** How long numbers that are missing and in no gap are waited for, since the reader first missed them; 60,000 by default. */
  readonly patienceMs?: number;
  /** Most messages that are held because an earlier one is missing; 1,000 by default. The highest are dropped. */
  readonly maxHeld?: number;
  /** Most numbers in one fetch; 200 by default. */
  readonly maxFetch?: number;
  /** The time in milliseconds; `Date.now` by default. */
  readonly nowMs?: () => number;
}

export type CheckedOptions = Required<ReaderOptions>;

const defaults = {
  after: 0,
  graceMs: 10_000,
  patienceMs: 60_000,
  maxHeld: 1_000,
  maxFetch: 200,
  nowMs: () => Date.now(),
};
/** Most that `maxHeld` and `maxFetch` can be. */
const largestBound = 1_000_000;

export function checkOptions(options: ReaderOptions): CheckedOptions {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`a reader is made from options; give { gaps }, got ${describe(options)}`);
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const checked = { ...defaults, ...given } as CheckedOptions;
  if (typeof checked.gaps !== 'function') {
    throw new TypeError(
      `gaps must be a function that returns the recorded gaps of a range; ask your server in it, got ${describe(checked.gaps)}`,
    );
  }
  if (typeof checked.nowMs !== 'function') {
    throw new TypeError(
      `nowMs must be a function such as Date.now; leave it out otherwise, got ${describe(checked.nowMs)}`,
    );
  }
  checkInteger('after', checked.after, 0, largestNumber);
  checkInteger('maxHeld', checked.maxHeld, 1, largestBound);
  checkInteger('maxFetch', checked.maxFetch, 1, largestBound);
  checkWait('graceMs', checked.graceMs);
  checkWait('patienceMs', checked.patienceMs);
  return checked;
}

export function checkInteger(name: string, value: unknown, min: number, max: number): void {
  if (typeof value !== 'number')
    throw new TypeError(`${name} must be a number; give an integer, got ${describe(value)}`);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new RangeError(`${name} must be an integer; give one from ${min} to ${max}, got ${value}`);
}

function checkWait(name: string, value: unknown): void {
  if (typeof value !== 'number')
    throw new TypeError(`${name} must be a number; give milliseconds or Infinity, got ${describe(value)}`);
  if (!(value >= 0))
    throw new RangeError(`${name} must not be below 0; give milliseconds or Infinity, got ${value}`);
}

function describe(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
