/** Rows of the tables, read with suspicion: whatever cannot have been written by Tidemark is corrupt. */

import { isUtf8 } from 'node:buffer';
import { maxRemaining, maxSequenceNumber } from '../../core/counter-word.js';
import type { CompleteMark, Gap, GapReason, LedgerEntry } from '../../core/ledger.js';
import { gapReasons } from '../../core/ledger.js';
import { printable } from '../../core/quote.js';
import { TidemarkError } from '../../errors.js';
import { isCompleteUpTo } from '../complete-marks.js';
import { isGeneration } from '../generations.js';
import type { Row } from './connections.js';

/** The columns of an entry, in the order that {@link entryOf} reads them. */
export const entryColumns =
  'conversation, `ceiling`, `floor`, generation, block_size, reserved_at_ms, frozen_until_ms';
/** The columns of a gap, in the order that {@link gapOf} reads them. */
export const gapColumns = 'first_number, last_number, reason, generation, recorded_at_ms';
/** The columns of a complete mark, in the order that {@link soundMarkOf} reads them. */
export const markColumns = 'conversation, complete_up_to';
/** The server's clock when it looks, in milliseconds since 1970. SYSDATE is read after a lock wait, NOW before it. */
export const clockMs = 'CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)';

/** A row that cannot be used. */
export interface CorruptRow {
  readonly conversation: string;
  /** The values as they were found. */
  readonly found: string;
}

/** The entry of a row, or what is wrong with it. */
export function entryOf(row: Row): LedgerEntry | CorruptRow {
  const [key, ceiling, floor, generation, blockSize, reservedAtMs, frozenUntilMs] = row;
  const conversation = String(key);
  const sound =
    isCount(ceiling) &&
    isCount(floor) &&
    isGeneration(generation) &&
    isCount(blockSize) &&
    blockSize <= maxRemaining &&
    isCount(reservedAtMs) &&
    isCount(frozenUntilMs) &&
    ceiling <= maxSequenceNumber &&
    floor <= ceiling;
  if (sound) return { conversation, ceiling, floor, generation, blockSize, reservedAtMs, frozenUntilMs };
  const names = ['ceiling', 'floor', 'generation', 'block_size', 'reserved_at_ms', 'frozen_until_ms'];
  return { conversation, found: names.map((name, index) => `${name} ${String(row[index + 1])}`).join(', ') };
}

/** True for what {@link entryOf} returns for a row that cannot be used. */
export function isCorrupt(entry: LedgerEntry | CorruptRow): entry is CorruptRow {
  return 'found' in entry;
}

/** The entry of a row. Throws `ledger_corrupt` for one that cannot be used. */
export function soundEntryOf(row: Row): LedgerEntry {
  const entry = entryOf(row);
  if (!isCorrupt(entry)) return entry;
  throw corrupt(entry.conversation, `its row in tidemark_ledger has ${entry.found}`);
}

/**
 * The entry of a row that was not asked for by its key. A key that is no text must not become another one: whoever lists on
 * from there would begin at the wrong place, or at the same one for ever.
 */
export function listedEntryOf(row: Row): LedgerEntry {
  const [key] = row;
  if (!(key instanceof Uint8Array) || isUtf8(key)) return soundEntryOf(row);
  const text = `a row of tidemark_ledger has a key that is no text (X'${Buffer.from(key).toString('hex')}'); nothing was changed. Find out who wrote it, then delete the row`;
  throw new TidemarkError('ledger_corrupt', text);
}

/** The gap of a row. Throws `ledger_corrupt` for one that cannot be used. */
export function gapOf(conversation: string, row: Row): Gap {
  const [first, last, reasonText, generation, recordedAtMs] = row;
  const reason = String(reasonText);
  if (
    isCount(first) &&
    isCount(last) &&
    first >= 1 &&
    first <= last &&
    last <= maxSequenceNumber &&
    isGeneration(generation) &&
    isCount(recordedAtMs) &&
    isReason(reason)
  ) {
    return {
      conversation,
      first,
      last,
      reason,
      generation,
      certain: gapReasons[reason].certain,
      recordedAtMs,
    };
  }
  throw corrupt(conversation, `a row of it in tidemark_gaps has ${printable(row.map(String).join(', '))}`);
}

/** The complete mark of a row. Throws `ledger_corrupt` for one that cannot be used. */
export function soundMarkOf(row: Row): CompleteMark {
  const [key, completeUpTo] = row;
  const conversation = String(key);
  if (isCompleteUpTo(completeUpTo)) return { conversation, completeUpTo };
  const text = `its row in tidemark_complete_marks has complete_up_to ${String(completeUpTo)}`;
  throw corrupt(conversation, text);
}

function corrupt(conversation: string, what: string): TidemarkError {
  const text = `${conversation}: ${what}; nothing was changed. Find out who wrote it, then repair or delete the row`;
  return new TidemarkError('ledger_corrupt', text, { conversation });
}

function isReason(text: string): text is GapReason {
  return Object.hasOwn(gapReasons, text);
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
