/** The reservations of one batch: read under lock, decided by the core, ready to be written. */

import type { LedgerEntry, NewGap, ReserveOutcome, ReserveRequest } from '../../core/ledger.js';
import { decideReservation } from '../../core/recovery.js';
import type { Session } from './connections.js';
import { type CorruptRow, clockMs, entryColumns, entryOf, isCorrupt } from './rows.js';

/**
 * Most keys of one IN list. From 1,000 on MariaDB turns the list into a temporary table and may lock in another order.
 */
export const maxKeysPerStatement = 500;

/** What the transaction sees of some conversations, all of them locked until it ends. */
export interface LockedEntries {
  readonly entries: Map<string, LedgerEntry | CorruptRow>;
  /** The ledger's clock after the last lock was granted. */
  readonly nowMs: number;
}

/** What a transaction has to write, each list in key order. */
export interface Changes {
  readonly created: readonly LedgerEntry[];
  readonly changed: readonly LedgerEntry[];
  readonly gaps: readonly NewGap[];
  /** Conversations whose block another process had reserved. */
  readonly adopted: readonly string[];
  readonly nowMs: number;
}

/** Locks and reads the rows of conversations, in key order, so that two batches wait for each other but never in a circle. */
export async function lockEntries(session: Session, conversations: Iterable<string>): Promise<LockedEntries> {
  // The order of UTF-16 units differs from the server's for a few characters. Everybody uses it alike, and what could
  // still go wrong is a deadlock, which is retried.
  const keys = [...new Set(conversations)].sort();
  const entries = new Map<string, LedgerEntry | CorruptRow>();
  let nowMs = 0;
  for (let from = 0; from < keys.length; from += maxKeysPerStatement) {
    // Without the forced index a small table would be scanned as a whole, waiting for rows of other batches.
    const rows = await session.query(
      `SELECT ${entryColumns}, ${clockMs} FROM tidemark_ledger FORCE INDEX (PRIMARY) WHERE conversation IN (?) ORDER BY conversation FOR UPDATE`,
      [keys.slice(from, from + maxKeysPerStatement)],
    );
    for (const row of rows) {
      const entry = entryOf(row);
      entries.set(entry.conversation, entry);
      nowMs = Math.max(nowMs, Number(row.at(-1)));
    }
  }
  if (nowMs === 0) nowMs = await readClock(session);
  return { entries, nowMs };
}

/** The ledger's clock, in milliseconds since 1970. */
export async function readClock(session: Session): Promise<number> {
  const [row] = await session.query(`SELECT ${clockMs}`);
  return Number(row![0]);
}

/** Decides every request, in order; a corrupt row spoils only its own conversation. */
export function decideAll(
  requests: readonly ReserveRequest[],
  { entries, nowMs }: LockedEntries,
): { readonly outcomes: readonly ReserveOutcome[]; readonly changes: Changes } {
  const current = new Map(entries);
  const written = new Map<string, LedgerEntry>();
  const gaps: NewGap[] = [];
  const adopted: string[] = [];
  const outcomes = requests.map((request): ReserveOutcome => {
    const { conversation } = request;
    const known = current.get(conversation);
    if (known !== undefined && isCorrupt(known)) return { status: 'corrupt', found: known.found };
    const { outcome, entry } = decideReservation(known, request, nowMs);
    if (entry !== undefined) {
      current.set(conversation, entry);
      written.set(conversation, entry);
    }
    if (outcome.status === 'reserved' && outcome.gap !== undefined) gaps.push(outcome.gap);
    if (outcome.status === 'reserved' && outcome.kind === 'adopted') adopted.push(conversation);
    return outcome;
  });
  const ordered = [...written.values()].sort((a, b) => (a.conversation < b.conversation ? -1 : 1));
  const created = ordered.filter((entry) => !entries.has(entry.conversation));
  const changed = ordered.filter((entry) => entries.has(entry.conversation));
  return { outcomes, changes: { created, changed, gaps, adopted, nowMs } };
}
