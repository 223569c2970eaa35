import { TidemarkError } from '../../errors.js';
import type { Session } from './connections.js';
import { clockMs } from './rows.js';

/** The generation of a history that is registered already. */
export async function findGeneration(session: Session, history: string): Promise<number | undefined> {
  const [row] = await session.query('SELECT generation FROM tidemark_generations WHERE history = ?', [
    history,
  ]);
  return row === undefined ? undefined : soundGeneration(row[0], history);
}

/**
 * Gives a history the next generation, inside a transaction. Generations rise in the order of registration and have no
 * holes, neither of which AUTO_INCREMENT promises. The keys alone would refuse a generation that is given twice; the row
 * of the first schema version serves as a mutex, so that many processes that start at once do not use up their retries.
 */
export async function assignGeneration(session: Session, history: string): Promise<number> {
  await session.query('SELECT version FROM tidemark_schema WHERE version = 1 FOR UPDATE');
  const known = await findGeneration(session, history);
  if (known !== undefined) return known;
  const [row] = await session.query('SELECT COALESCE(MAX(generation), 0) FROM tidemark_generations');
  const generation = soundGeneration(row![0], history) + 1;
  await session.query(
    `INSERT INTO tidemark_generations (generation, history, registered_at_ms) VALUES (?, ?, ${clockMs})`,
    [generation, history],
  );
  return generation;
}

function soundGeneration(value: unknown, history: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  const text = `tidemark_generations has the generation ${String(value)} where the one of history ${JSON.stringify(history)} is looked up; repair the table`;
  throw new TidemarkError('ledger_corrupt', text);
}
