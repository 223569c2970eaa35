/**
 * What the gaps source has answered about the numbers behind the position. It is not trusted: entries that are no gaps
 * are left out, all are clipped to the range that was asked for, and where two overlap the uncertain one holds.
 */

import { largestNumber, type ReaderGap, type ReaderRange } from './reader-options.js';

/** Most gaps kept; the rest is asked for when its turn comes. */
const maxGaps = 1_000;
/** Most entries of one answer that are looked at. */
const maxEntries = 10_000;

export interface KnownGap {
  readonly first: number;
  readonly last: number;
  readonly certain: boolean;
  /** When its numbers need not be waited for any more. */
  readonly endsAtMs: number;
}

export class KnownGaps {
  /** In order, and none overlaps another. */
  #gaps: KnownGap[] = [];
  #answeredTo = 0;

  /** What is above it was not asked for, or not answered: an answer may hold only the first gaps of its range. */
  get answeredTo(): number {
    return this.#answeredTo;
  }

  /** What was known stays as it was, so that a grace has one end however often the source is asked. */
  learn(answer: unknown, asked: ReaderRange, endsAtMs: (gap: ReaderGap) => number): void {
    const entries = readEntries(answer, asked, endsAtMs);
    const uncertain = uncovered(
      this.#gaps,
      entries.filter((gap) => !gap.certain),
    );
    const known = inOrder([...this.#gaps, ...uncertain]);
    const certain = uncovered(
      known,
      entries.filter((gap) => gap.certain),
    );
    const gaps = inOrder([...known, ...certain]);
    this.#gaps = gaps.slice(0, maxGaps);
    const last = Math.max(0, ...entries.map((gap) => gap.last));
    const answeredTo = Math.max(this.#answeredTo, last === 0 ? asked.to : last);
    this.#answeredTo = gaps.length > maxGaps ? Math.min(answeredTo, this.#gaps.at(-1)!.last) : answeredTo;
  }

  at(number: number): KnownGap | undefined {
    return this.#gaps.find((gap) => gap.last >= number && gap.first <= number);
  }

  /** The first number of the next gap above a number; Infinity if there is none. */
  nextAbove(number: number): number {
    return this.#gaps.find((gap) => gap.first > number)?.first ?? Number.POSITIVE_INFINITY;
  }

  forget(upTo: number): void {
    const kept = this.#gaps.findIndex((gap) => gap.last > upTo);
    this.#gaps.splice(0, kept < 0 ? this.#gaps.length : kept);
  }
}

function readEntries(answer: unknown, asked: ReaderRange, endsAtMs: (gap: ReaderGap) => number): KnownGap[] {
  if (!Array.isArray(answer)) {
    throw new TypeError(
      `gaps must answer with an array; return [] when there are none, got ${typeof answer}`,
    );
  }
  const entries: KnownGap[] = [];
  for (const entry of answer.slice(0, maxEntries) as unknown[]) {
    if (!isGap(entry)) continue;
    const first = Math.max(entry.first, asked.from);
    const last = Math.min(entry.last, asked.to);
    if (first > last) continue;
    const certain = entry.certain === true;
    entries.push({ first, last, certain, endsAtMs: certain ? 0 : endsAtMs(entry) });
  }
  return inOrder(entries);
}

function isGap(entry: unknown): entry is ReaderGap {
  if (typeof entry !== 'object' || entry === null) return false;
  const { first, last } = entry as Partial<ReaderGap>;
  return isNumber(first) && isNumber(last) && first <= last;
}

function isNumber(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= largestNumber;
}

function inOrder(gaps: KnownGap[]): KnownGap[] {
  return gaps.sort((a, b) => a.first - b.first);
}

/** The parts of `gaps` that neither `known` nor an earlier one of them covers. Both are in order of their first numbers. */
function uncovered(known: readonly KnownGap[], gaps: readonly KnownGap[]): KnownGap[] {
  const parts: KnownGap[] = [];
  let index = 0;
  let free = 0;
  for (const gap of gaps) {
    free = Math.max(free, gap.first);
    while (free <= gap.last) {
      while (index < known.length && known[index]!.last < free) index += 1;
      const next = known[index];
      const end = next === undefined ? gap.last : Math.min(gap.last, next.first - 1);
      if (free <= end) parts.push({ ...gap, first: free, last: end });
      free = next !== undefined && next.first <= gap.last ? next.last + 1 : end + 1;
    }
  }
  return parts;
}
