import type { CompleteMark } from '../../core/ledger.js';
import type { Session } from './connections.js';
import { markColumns, soundMarkOf } from './rows.js';
import { slices } from './write.js';

/** The complete marks of those conversations that have one. */
export async function findMarks(
  session: Session,
  conversations: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const marks = new Map<string, number>();
  for (const keys of slices(conversations)) {
    const rows = await session.query(
      `SELECT ${markColumns} FROM tidemark_complete_marks WHERE conversation IN (?)`,
      [keys],
    );
    for (const { conversation, completeUpTo } of rows.map(soundMarkOf)) marks.set(conversation, completeUpTo);
  }
  return marks;
}

/**
 * Raises complete marks, inside a transaction. They come in key order, so that two batches wait for each other but never
 * in a circle. A row that makes no sense fails all of them, because the greater of it and a mark means nothing.
 *
 * Raises are counted for the reason that adoptions are: who finds a mark that is high enough may have read a commit that a
 * crash still undoes, and only a transaction that writes waits for the disk.
 */
export async function raiseMarks(session: Session, ordered: readonly CompleteMark[]): Promise<void> {
  for (const marks of slices(ordered)) {
    const known = await session.query(
      `SELECT ${markColumns} FROM tidemark_complete_marks FORCE INDEX (PRIMARY) WHERE conversation IN (?) ORDER BY conversation FOR UPDATE`,
      [marks.map(({ conversation }) => conversation)],
    );
    known.forEach(soundMarkOf);
    await session.query(
      `INSERT INTO tidemark_complete_marks (${markColumns}) VALUES ? ON DUPLICATE KEY UPDATE ` +
        'complete_up_to = GREATEST(complete_up_to, VALUES(complete_up_to)), raises = raises + 1',
      [marks.map(({ conversation, completeUpTo }) => [conversation, completeUpTo])],
    );
  }
}
