/** Histories and their generations in the embedded ledger. */

import type { RegisterOptions } from '../../core/ledger.js';
import { decideGeneration } from '../generations.js';
import type { Store } from './group-commit.js';
import { decodeGenerations, encodeGenerations, historyKey, lastGenerationKey } from './rows.js';

/** The generations of a history, rising. */
export function findGenerations(store: Store, history: string): readonly number[] {
  return read(store, historyKey(history));
}

/** The highest generation of all; 0 when there is none. */
export function newestGeneration(store: Store): number {
  return read(store, lastGenerationKey).at(-1) ?? 0;
}

/** Inside a transaction: the generation of a history. */
export function assignGeneration(store: Store, history: string, options: RegisterOptions): number {
  const { renamedFrom } = options;
  const own = findGenerations(store, history);
  const earlierName = renamedFrom === undefined ? [] : findGenerations(store, renamedFrom);
  const newest = newestGeneration(store);
  const { generation, added } = decideGeneration({ own, earlierName, newest }, options);
  if (added.length > 0) write(store, historyKey(history), [...own, ...added]);
  if (generation > newest) write(store, lastGenerationKey, [generation]);
  return generation;
}

function read(store: Store, key: Buffer): readonly number[] {
  const row = store.get(key);
  return row === undefined ? [] : decodeGenerations(key, row);
}

function write(store: Store, key: Buffer, generations: readonly number[]): void {
  store.putSync(key, encodeGenerations(key, generations));
}
