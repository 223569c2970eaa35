import type { NewestGeneration, RegisterOptions } from '../core/ledger.js';
import { TidemarkError } from '../errors.js';

/** The highest generation that there can be. One for every failover, so that nobody comes near it. */
const maxGeneration = 999_999_999_999;

/** True for what can be a generation. */
export function isGeneration(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= maxGeneration;
}

/** What a ledger knows when a history is registered, each list rising. */
export interface KnownGenerations {
  /** The history's own. */
  readonly own: readonly number[];
  /** Those of the history that is its earlier name; none where it has no such name. */
  readonly earlierName: readonly number[];
  /** The highest of all; 0 when there is none. */
  readonly newest: number;
}

/**
 * Decides the generation of a history. Every ledger calls it inside its transaction.
 *
 * @returns the generation, and what the history has to get beside its own, rising
 * @throws TidemarkError `ledger_corrupt` where there is none left
 */
export function decideGeneration(
  { own, earlierName, newest }: KnownGenerations,
  { atLeast = 0, onlyIfNewest = false }: RegisterOptions,
): { readonly generation: number; readonly added: readonly number[] } {
  // I13: where somebody went on elsewhere, the same data set under a new name is an old one.
  const isRename = own.length === 0 && (!onlyIfNewest || earlierName.at(-1) === newest);
  const inherited = isRename ? earlierName : [];
  const fitting = [...own, ...inherited].find((generation) => generation >= atLeast);
  if (fitting !== undefined) return { generation: fitting, added: inherited };
  // A generation that is met and not known was forgotten. Whoever has it still lives, so it is not given again.
  const next = Math.max(newest, atLeast) + 1;
  if (!isGeneration(next)) {
    const text = `the ledger has the generation ${next - 1}, behind which there is none, so it was not written by Tidemark; find out who wrote it, then repair the ledger`;
    throw new TidemarkError('ledger_corrupt', text);
  }
  return { generation: next, added: [...inherited, next] };
}

/** The newest generation in which somebody was seen, of a ledger that remembers when in memory. */
export function newestSeen(seenAtMs: ReadonlyMap<number, number>, nowMs: number): NewestGeneration {
  const newest = Math.max(0, ...seenAtMs.keys());
  return { newest, newestIdleMs: newest === 0 ? 0 : Math.max(0, nowMs - seenAtMs.get(newest)!) };
}
