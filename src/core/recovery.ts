/**
 * The protocol's decisions, as one pure function: what a reservation does to a ledger entry.
 *
 * Every ledger adapter calls it inside its transaction, so the table in ARCHITECTURE.md exists once.
 *
 * | the entry | the caller saw | outcome |
 * |---|---|---|
 * | newer generation | anything | fenced |
 * | same generation, frozen | anything | busy: somebody is just removing the word |
 * | handed back a moment ago, floor at or above what the caller saw issued | a word | busy: that word was removed since |
 * | none | no word | new: block (0, size] |
 * | none, or ceiling below the caller's | a word | healed: block (caller's ceiling, + size] |
 * | ceiling equal to the caller's | a word | extended: block (ceiling, + size] |
 * | older generation, ceiling above | a word or none | takeover, gap (floor, ceiling] `history_lost` |
 * | same generation, reserved a moment ago | no word | busy: somebody is just installing it |
 * | same generation, reserved a moment ago, floor at or above the caller's ceiling | a word | busy: likewise |
 * | same generation, ceiling above | a word | adopted: the block between the two ceilings, nothing new reserved |
 * | same generation | no word | takeover, gap (floor, ceiling] `word_lost` |
 */

import { ceilingOf, maxRemaining, maxSequenceNumber } from './counter-word.js';
import type {
  LedgerEntry,
  NewGap,
  RemovableWord,
  ReservationKind,
  ReserveOutcome,
  ReserveRequest,
} from './ledger.js';
import { nextBlockSize } from './reservation-policy.js';

/**
 * How long after its look at the counter store an install may still run (I8). A word that is missing longer than this
 * after its reservation was lost, not late.
 */
export const installWindowMs = 1_000;

/**
 * How long nobody reserves for a conversation whose word is being removed, in milliseconds. Whoever removes it and takes
 * longer leaves a gap.
 */
export const freezeMs = 1_000;

/** What to answer, and what to write with it in the same transaction. */
export interface Decision {
  readonly outcome: ReserveOutcome;
  /** The entry to write; undefined when it stays as it is. */
  readonly entry: LedgerEntry | undefined;
}

/**
 * Decides one reservation.
 *
 * @param entry - the entry as the transaction sees it, locked; undefined when there is none
 * @param request - what the caller saw and wants
 * @param nowMs - the ledger's own clock, milliseconds since 1970
 */
export function decideReservation(
  entry: LedgerEntry | undefined,
  request: ReserveRequest,
  nowMs: number,
): Decision {
  const { generation, saw } = request;
  // I6: the fence comes before anything else; an old primary must not heal the ledger either.
  if (entry !== undefined && entry.generation > generation) {
    return unchanged({ status: 'fenced', newerGeneration: entry.generation });
  }
  if (entry?.generation === generation && isFrozen(entry, nowMs)) return unchanged({ status: 'busy' });
  if (saw === undefined) {
    if (entry === undefined) return reserve('new', entry, request, nowMs, 0);
    if (entry.generation === generation && justReserved(entry, nowMs) && !wasHandedBack(entry))
      return unchanged({ status: 'busy' });
    return reserve('takeover', entry, request, nowMs, entry.ceiling);
  }
  const seen = ceilingOf(saw);
  // What was seen may be the word that was removed since: it would look as if the ledger had lost something.
  if (entry !== undefined && wasHandedBack(entry) && saw.last <= entry.floor && justReserved(entry, nowMs))
    return unchanged({ status: 'busy' });
  if (entry === undefined || seen > entry.ceiling) return reserve('healed', entry, request, nowMs, seen);
  if (seen === entry.ceiling) return reserve('extended', entry, request, nowMs, seen);
  if (entry.generation < generation) return reserve('takeover', entry, request, nowMs, entry.ceiling);
  // The block above may be about to be installed: adopted, used up and lost within that second, it would come again.
  if (entry.floor >= seen && justReserved(entry, nowMs)) return unchanged({ status: 'busy' });
  return adopt(entry, saw.last, seen);
}

/**
 * Decides whether nobody may reserve for a conversation for a while, because its word is about to be removed.
 *
 * @returns the entry to write; undefined when it cannot be frozen: it is another generation's, somebody has reserved what the
 * word does not have yet, or somebody else froze it
 */
export function decideFreeze(
  entry: LedgerEntry | undefined,
  generation: number,
  { word }: RemovableWord,
  nowMs: number,
): LedgerEntry | undefined {
  if (entry?.generation !== generation || entry.ceiling !== ceilingOf(word)) return undefined;
  return isFrozen(entry, nowMs) ? undefined : { ...entry, frozenUntilMs: nowMs + freezeMs };
}

/**
 * Decides whether what is left of a word that was removed goes back to the ledger.
 *
 * I2: nobody can take the numbers above the word's last one any more, and nobody has reserved behind them. The block size
 * remembers how many they are, so that the next block is as large at least (I14).
 *
 * @returns the entry to write; undefined when it stays as it is
 */
export function decideHandBack(
  entry: LedgerEntry | undefined,
  generation: number,
  { word }: RemovableWord,
  nowMs: number,
): LedgerEntry | undefined {
  if (entry?.generation !== generation || entry.ceiling !== ceilingOf(word)) return undefined;
  const blockSize = Math.max(1, entry.blockSize, word.remaining);
  const { last } = word;
  return { ...entry, ceiling: last, floor: last, blockSize, reservedAtMs: nowMs, frozenUntilMs: 0 };
}

/** Nothing is outstanding: a word was removed, and what it had left is back. */
function wasHandedBack({ ceiling, floor }: LedgerEntry): boolean {
  return ceiling === floor;
}

/** A time further ahead than a freeze lasts is of a clock that was set back. */
function isFrozen({ frozenUntilMs }: LedgerEntry, nowMs: number): boolean {
  return nowMs < frozenUntilMs && frozenUntilMs <= nowMs + freezeMs;
}

/** An install that followed on the reservation may still run (I8). */
function justReserved(entry: LedgerEntry, nowMs: number): boolean {
  return Math.abs(nowMs - entry.reservedAtMs) <= installWindowMs;
}

/** Reserves `(start, start + size]`. The ceiling only ever rises here (I2). */
function reserve(
  kind: Exclude<ReservationKind, 'adopted'>,
  entry: LedgerEntry | undefined,
  request: ReserveRequest,
  nowMs: number,
  start: number,
): Decision {
  const { conversation, generation, saw } = request;
  const previous = entry && {
    size: entry.blockSize,
    ageMs: nowMs - entry.reservedAtMs,
    usedUp: kind === 'extended',
  };
  const isBehindHandBack = entry !== undefined && wasHandedBack(entry);
  // As large as what was handed back, at least: the ceiling passes where it was, and late grants of then fit nowhere (I14).
  const smallest = isBehindHandBack ? entry.blockSize : 1;
  const blockSize = Math.max(smallest, nextBlockSize(request.policy, previous, request.need));
  // Where a block was handed back the word was removed: what the caller saw of it must not cut the block short.
  const isGone = kind === 'takeover' || saw === undefined || (kind === 'extended' && isBehindHandBack);
  const room = maxRemaining - (isGone ? 0 : saw.remaining);
  // With a full word the block is empty; the entry is written all the same, it may have something to heal.
  const end = Math.max(start, Math.min(start + Math.min(blockSize, room), maxSequenceNumber));
  const floor = floorAfter(kind, entry, request, start);
  const gap = kind === 'takeover' ? takeoverGap(entry, request) : undefined;
  const mode = kind === 'new' || kind === 'takeover' ? 'install' : 'extend';
  const isExhausted = start >= maxSequenceNumber;
  if (isExhausted && kind !== 'healed') return unchanged({ status: 'exhausted' });
  return {
    outcome: isExhausted
      ? { status: 'exhausted' }
      : { status: 'reserved', kind, block: { start, end }, mode, blockSize, gap },
    entry: {
      conversation,
      ceiling: end,
      floor,
      generation,
      blockSize,
      reservedAtMs: nowMs,
      frozenUntilMs: 0,
    },
  };
}

function floorAfter(
  kind: Exclude<ReservationKind, 'adopted'>,
  entry: LedgerEntry | undefined,
  request: ReserveRequest,
  start: number,
): number {
  // After a takeover everything up to the new block is issued or in its gap.
  if (kind === 'takeover') return start;
  return Math.max(entry?.floor ?? 0, request.saw?.last ?? 0);
}

/** I7: the gap is written in the transaction that reserves behind it. */
function takeoverGap(entry: LedgerEntry | undefined, request: ReserveRequest): NewGap | undefined {
  if (entry === undefined || entry.floor >= entry.ceiling) return undefined;
  return {
    conversation: request.conversation,
    first: entry.floor + 1,
    last: entry.ceiling,
    reason: entry.generation === request.generation ? 'word_lost' : 'history_lost',
    generation: request.generation,
  };
}

/**
 * The block above the word was reserved in this generation, and whoever did it has not granted it, or not yet. Granting
 * it in its place is safe: the word's ceiling lets only one of the two grants pass (I5), and nothing is skipped.
 */
function adopt(entry: LedgerEntry, last: number, seen: number): Decision {
  const end = Math.min(entry.ceiling, last + maxRemaining);
  const block = { start: seen, end };
  return unchanged({
    status: 'reserved',
    kind: 'adopted',
    block,
    mode: 'extend',
    blockSize: entry.blockSize,
    gap: undefined,
  });
}

function unchanged(outcome: ReserveOutcome): Decision {
  return { outcome, entry: undefined };
}
