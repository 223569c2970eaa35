/**
 * What a reader can use of recorded gaps.
 *
 * Records of the ledger overlap: a lost reply may lie in the block of a lost word. Ranges are disjoint. Of the records that
 * cover a number, a certain one says more than an uncertain one; among equals the first that was recorded counts.
 */

import { type Gap, type GapReason, gapReasons, type Ledger } from './ledger.js';

/** Records that are read at once. */
const pageSize = 1_000;
/** How far below a number its range is looked for at first; doubles until the range begins above that. */
const firstReach = 1_000;

const reasons = Object.keys(gapReasons) as GapReason[];

/** What to read from, and whether anybody still waits for it. */
export interface GapSource {
  readonly ledger: Pick<Ledger, 'gaps'>;
  readonly conversation: string;
  /** True when the caller has given up; what is read then is not all. */
  readonly isOver: () => boolean;
  /** Records that are read at once; 1,000 by default. */
  readonly pageSize?: number;
}

/**
 * The recorded gaps of `from … to` as disjoint ranges, in order, clipped to it: at most `limit`. Each ends where its reason
 * or generation does, so the next call goes on behind the last one.
 */
export async function gapRanges(
  source: GapSource,
  range: { readonly from: number; readonly to: number; readonly limit: number },
): Promise<readonly Gap[]> {
  const ranges: Gap[] = [];
  for await (const gap of rangesFrom(source, range.from, range.to)) {
    if (ranges.push(gap) >= range.limit) break;
  }
  return ranges;
}

/** The whole range that a number lies in; undefined when it is in no gap. */
export async function gapAround(source: GapSource, number: number, to: number): Promise<Gap | undefined> {
  for (let reach = firstReach; ; reach *= 2) {
    const from = Math.max(1, number - reach);
    const gap = await rangeWith(source, number, from, to);
    // One that begins where the reading began may begin below.
    if (gap === undefined || gap.first > from || from === 1 || source.isOver()) return gap;
  }
}

async function rangeWith(
  source: GapSource,
  number: number,
  from: number,
  to: number,
): Promise<Gap | undefined> {
  for await (const gap of rangesFrom(source, from, to)) {
    if (gap.last >= number) return gap.first <= number ? gap : undefined;
  }
  return undefined;
}

/** Reads page by page. A range is given out once it is known where it ends. */
async function* rangesFrom(source: GapSource, from: number, to: number): AsyncGenerator<Gap> {
  const { ledger, conversation, isOver } = source;
  let limit = source.pageSize ?? pageSize;
  let growing: Gap | undefined;
  for (let start = from; start <= to && !isOver(); ) {
    const records = await ledger.gaps(conversation, { from: start, to, limit });
    // Records that begin where a full page ends may be missing in it.
    const end = records.length < limit ? to : records.at(-1)!.first - 1;
    if (end < start) {
      limit *= 2;
      continue;
    }
    for (const part of partsOf(records, start, end)) {
      const grown: Gap | undefined = growing && joined(growing, part);
      if (growing !== undefined && grown === undefined) yield growing;
      growing = grown ?? part;
    }
    if (growing !== undefined && growing.last < end) {
      yield growing;
      growing = undefined;
    }
    start = end + 1;
  }
  if (growing !== undefined) yield growing;
}

/** The two as one range; undefined when they are not of one reason and generation, side by side. */
function joined(gap: Gap, next: Gap): Gap | undefined {
  if (gap.last + 1 !== next.first || gap.reason !== next.reason || gap.generation !== next.generation)
    return undefined;
  return { ...gap, last: next.last, recordedAtMs: Math.max(gap.recordedAtMs, next.recordedAtMs) };
}

/** For each stretch of `from … to` the record that counts there, cut to it. The records are ordered by first number. */
function* partsOf(records: readonly Gap[], from: number, to: number): Generator<Gap> {
  /** Those that have begun, the one that counts last. Others may have ended already. */
  const begun: Gap[] = [];
  let next = 0;
  for (let at = from; at <= to; ) {
    for (; next < records.length && records[next]!.first <= at; next += 1) insert(begun, records[next]!);
    while (begun.length > 0 && begun.at(-1)!.last < at) begun.pop();
    const counts = begun.at(-1);
    const nextFirst = records[next]?.first ?? Number.POSITIVE_INFINITY;
    if (counts === undefined) {
      at = nextFirst;
      continue;
    }
    const last = Math.min(counts.last, nextFirst - 1, to);
    yield { ...counts, first: at, last };
    at = last + 1;
  }
}

/** Puts a record where it belongs among others that are ordered, the one that counts last. */
function insert(ordered: Gap[], record: Gap): void {
  let low = 0;
  let high = ordered.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (comparePrecedence(ordered[middle]!, record) > 0) low = middle + 1;
    else high = middle;
  }
  ordered.splice(low, 0, record);
}

/** Negative when the first one counts. */
function comparePrecedence(a: Gap, b: Gap): number {
  return (
    Number(b.certain) - Number(a.certain) ||
    a.recordedAtMs - b.recordedAtMs ||
    a.generation - b.generation ||
    reasons.indexOf(a.reason) - reasons.indexOf(b.reason)
  );
}
