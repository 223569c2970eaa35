/** The writes of one transaction. */

import type { LedgerEntry, NewGap } from '../../core/ledger.js';
import type { Session } from './connections.js';
import { type Changes, maxKeysPerStatement } from './reserve.js';
import { entryColumns } from './rows.js';

/** Writes what was decided; the rows that exist are locked by the same transaction. */
export async function writeChanges(session: Session, changes: Changes): Promise<void> {
  // Plain INSERT: a row that somebody else created in the meantime fails the transaction, and is never overwritten (I2).
  for (const rows of slices(changes.created)) {
    await session.query(`INSERT INTO tidemark_ledger (${entryColumns}) VALUES ?`, [rows.map(valuesOf)]);
  }
  await updateEntries(session, changes.changed);
  // I7: the gaps are committed together with the blocks behind them.
  await insertGaps(session, changes.gaps, changes.nowMs);
  await confirmAdopted(session, changes.adopted);
}

/** Replaces entries that exist and are locked: one statement for all of them. */
export async function updateEntries(session: Session, entries: readonly LedgerEntry[]): Promise<void> {
  for (const rows of slices(entries)) {
    await session.query(
      `INSERT INTO tidemark_ledger (${entryColumns}) VALUES ? ON DUPLICATE KEY UPDATE \`ceiling\` = VALUES(\`ceiling\`), ` +
        '`floor` = VALUES(`floor`), generation = VALUES(generation), block_size = VALUES(block_size), ' +
        'reserved_at_ms = VALUES(reserved_at_ms), frozen_until_ms = VALUES(frozen_until_ms)',
      [rows.map(valuesOf)],
    );
  }
}

/** Records gaps; the first record of a gap stays. INSERT IGNORE would hide other errors, too. */
export async function insertGaps(session: Session, gaps: readonly NewGap[], nowMs: number): Promise<void> {
  for (const rows of slices(gaps)) {
    await session.query(
      'INSERT INTO tidemark_gaps (conversation, first_number, last_number, reason, generation, recorded_at_ms) VALUES ? ' +
        'ON DUPLICATE KEY UPDATE reason = reason',
      [rows.map((gap) => [gap.conversation, gap.first, gap.last, gap.reason, gap.generation, nowMs])],
    );
  }
}

/**
 * InnoDB lets others see a committed row before its log has reached the disk. Who adopts a block has therefore read a
 * reservation that a crash may still undo, and a transaction that writes nothing does not wait for the disk. Counting the
 * adoption is a write: its commit is acknowledged only after everything logged before it is safe, too (I1).
 */
async function confirmAdopted(session: Session, conversations: readonly string[]): Promise<void> {
  for (const keys of slices(conversations)) {
    await session.query('UPDATE tidemark_ledger SET adoptions = adoptions + 1 WHERE conversation IN (?)', [
      keys,
    ]);
  }
}

function valuesOf(entry: LedgerEntry): readonly unknown[] {
  return [
    entry.conversation,
    entry.ceiling,
    entry.floor,
    entry.generation,
    entry.blockSize,
    entry.reservedAtMs,
    entry.frozenUntilMs,
  ];
}

/** Items in the portions that one statement takes. */
export function* slices<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += maxKeysPerStatement)
    yield items.slice(from, from + maxKeysPerStatement);
}
