/** What `tidemark doctor` looks at in the folder of the embedded store. It makes no folder and writes nothing lasting. */

import { access, constants, mkdtemp, rm, stat, statfs } from 'node:fs/promises';
import path from 'node:path';
import { TidemarkError } from '../../errors.js';
import { LmdbLedger } from '../../ledgers/lmdb/lmdb-ledger.js';
import { type Check, reasonOf } from './doctor.js';

/** Free space below which a warning is due, in bytes. */
const lowSpaceBytes = 256 * 1_048_576;

/** Everything about one folder. Faults become checks; nothing is thrown. */
export async function examineFolder(folder: string): Promise<Check[]> {
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error && found.code === 'ENOENT') return absentFolder(folder);
  if (found instanceof Error || !found.isDirectory()) {
    const reason = found instanceof Error ? reasonOf(found) : `${folder} is not a folder`;
    return [{ check: 'data.folder', status: 'failure', found: reason, advice: 'give a folder with --data' }];
  }
  const checks = [await writableCheck(folder), await spaceCheck(folder)];
  if (checks[0]!.status === 'ok') checks.push(await ledgerCheck(folder));
  return checks;
}

async function absentFolder(folder: string): Promise<Check[]> {
  let parent = path.dirname(folder);
  while (parent !== path.dirname(parent) && !(await exists(parent))) parent = path.dirname(parent);
  const isWritable = await access(parent, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  if (!isWritable) {
    const advice = 'choose another folder, or allow writing there';
    return [
      { check: 'data.folder', status: 'failure', found: `${folder} is missing and cannot be made`, advice },
    ];
  }
  const first: Check = {
    check: 'data.folder',
    status: 'ok',
    found: `${folder} is missing; the first number makes it`,
  };
  return [first, await spaceCheck(parent)];
}

async function writableCheck(folder: string): Promise<Check> {
  const check = 'data.folder';
  try {
    // Permissions alone do not tell: the file system may be read-only or full.
    await rm(await mkdtemp(path.join(folder, '.doctor-')), { recursive: true });
    return { check, status: 'ok', found: `${folder} is writable` };
  } catch (error) {
    return {
      check,
      status: 'failure',
      found: reasonOf(error),
      advice: 'allow this user to write there, or choose another folder',
    };
  }
}

async function spaceCheck(folder: string): Promise<Check> {
  const check = 'data.space';
  try {
    const { bavail, bsize } = await statfs(folder);
    const freeBytes = bavail * bsize;
    const found = `${Math.floor(freeBytes / 1_048_576)} MiB free`;
    if (freeBytes >= lowSpaceBytes) return { check, status: 'ok', found };
    return {
      check,
      status: 'warning',
      found,
      advice: 'make room; when the disk is full, no numbers are issued',
    };
  } catch (error) {
    return { check, status: 'warning', found: reasonOf(error), advice: 'check the free space yourself' };
  }
}

/** Opens the ledger, if there is one, and closes it again. */
async function ledgerCheck(folder: string): Promise<Check> {
  const check = 'data.ledger';
  if (!(await exists(path.join(folder, 'data.mdb')))) {
    return { check, status: 'ok', found: 'no ledger yet; the first number makes it' };
  }
  try {
    const ledger = await LmdbLedger.open({ folder });
    await ledger.close();
    return { check, status: 'ok', found: 'opens, nobody else uses it, and its schema is known' };
  } catch (error) {
    const found = reasonOf(error);
    if (error instanceof TidemarkError && error.code === 'ledger_in_use') {
      return {
        check,
        status: 'warning',
        found,
        advice: 'one process at a time; this is fine while that one runs',
      };
    }
    return {
      check,
      status: 'failure',
      found,
      advice: 'see the message; restore the folder from a copy if it is damaged',
    };
  }
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
