import type { NewestGeneration, RegisterOptions } from '../../core/ledger.js';
import { TidemarkError } from '../../errors.js';
import { decideGeneration, isGeneration } from '../generations.js';
import type { Session } from './connections.js';
import { clockMs } from './rows.js';

/** The generations of a history that is registered already, rising. */
export async function findGenerations(session: Session, history: string): Promise<readonly number[]> {
  const rows = await session.query(
    'SELECT generation FROM tidemark_generations WHERE history = ? ORDER BY generation',
    [history],
  );
  return rows.map(([generation]) => soundGeneration(generation));
}

/**
 * Gives a history a generation that fits, inside a transaction. Generations rise in the order of registration and have no
 * holes, neither of which AUTO_INCREMENT promises. The row of the first schema version serves as a mutex: the keys refuse
 * nothing here, because a history may have several generations, and a generation several histories.
 */
export async function assignGeneration(
  session: Session,
  history: string,
  options: RegisterOptions,
): Promise<number> {
  const mutex = await session.query('SELECT version FROM tidemark_schema WHERE version = 1 FOR UPDATE');
  // Without it two histories could get the same generation at the same time, and neither would fence the other (I6).
  if (mutex.length === 0) {
    const text =
      'tidemark_schema has no version 1; nothing was changed. Put it back: INSERT INTO tidemark_schema VALUES (1, 0)';
    throw new TidemarkError('ledger_corrupt', text);
  }
  const { renamedFrom } = options;
  const own = await findGenerations(session, history);
  const earlierName = renamedFrom === undefined ? [] : await findGenerations(session, renamedFrom);
  const [row] = await session.query('SELECT COALESCE(MAX(generation), 0) FROM tidemark_generations');
  const known = { own, earlierName, newest: row![0] === 0 ? 0 : soundGeneration(row![0]) };
  const { generation, added } = decideGeneration(known, options);
  for (const one of added) {
    // Under another name it was seen before, perhaps.
    const [seen] = await session.query(
      'SELECT COALESCE(MAX(seen_at_ms), 0) FROM tidemark_generations WHERE generation = ?',
      [one],
    );
    await session.query(
      `INSERT INTO tidemark_generations (generation, history, registered_at_ms, seen_at_ms) VALUES (?, ?, ${clockMs}, ?)`,
      [one, history, Number(seen![0])],
    );
  }
  return generation;
}

/** Notes that somebody lives in a generation, and looks who lives in the newest one. */
export async function noteAlive(session: Session, generation: number | undefined): Promise<NewestGeneration> {
  if (generation !== undefined) {
    await session.query(`UPDATE tidemark_generations SET seen_at_ms = ${clockMs} WHERE generation = ?`, [
      generation,
    ]);
  }
  const [row] = await session.query(
    // All names of a generation are seen at once.
    `SELECT generation, ${clockMs} - seen_at_ms FROM tidemark_generations WHERE seen_at_ms > 0 ` +
      'ORDER BY generation DESC LIMIT 1',
  );
  if (row === undefined) return { newest: 0, newestIdleMs: 0 };
  return { newest: soundGeneration(row[0]), newestIdleMs: Math.max(0, Number(row[1])) };
}

function soundGeneration(value: unknown): number {
  if (isGeneration(value)) return value;
  const text = `tidemark_generations has the generation ${String(value)}, which makes no sense; nothing was changed. Find out who wrote it, then delete the row`;
  throw new TidemarkError('ledger_corrupt', text);
}
