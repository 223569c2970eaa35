/** The version of what a folder holds. */

import { TidemarkError } from '../../errors.js';
import type { Store } from './group-commit.js';
import { corruptRow, schemaKey, schemaVersion } from './rows.js';

/** The version that a ledger has; undefined for a new one. Refuses that of a newer program. */
export function readSchema(store: Store, folder: string): number | undefined {
  const found = store.get(schemaKey)?.toString();
  if (found === undefined) return undefined;
  if (!/^[1-9][0-9]{0,8}$/.test(found)) {
    throw corruptRow('the version of the ledger', { found: JSON.stringify(found.slice(0, 60)) });
  }
  if (Number(found) <= schemaVersion) return Number(found);
  const text = `the ledger in ${folder} has version ${found}, and this program knows ${schemaVersion}; use a newer Tidemark`;
  throw new TidemarkError('schema_too_new', text);
}

/**
 * Writes the version of a ledger that is new or of an older program, durably. True when it was new. The rows of older
 * versions stay as they are; with the new version their programs refuse the folder, and so cannot misread later ones.
 */
export function writeSchema(store: Store, folder: string): boolean {
  return store.transactionSync(() => {
    const found = readSchema(store, folder);
    if (found !== schemaVersion) store.putSync(schemaKey, Buffer.from(String(schemaVersion)));
    return found === undefined;
  });
}
