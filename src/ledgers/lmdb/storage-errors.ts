/** What went wrong in the storage engine or the file system, as an error with advice. */

import { statfsSync } from 'node:fs';
import { constants } from 'node:os';
import { TidemarkError } from '../../errors.js';

const { ENOSPC, EDQUOT, EFBIG, EACCES, EPERM, EROFS, ENOTDIR, EEXIST } = constants.errno;

/** Codes of LMDB, from its header. */
const mapFull = -30_792;
const fileIsNotLmdb = [-30_797, -30_796, -30_794, -30_793];

/** The error for a failure to do something with the ledger in a folder. */
export function storageError(error: unknown, what: string, folder: string): TidemarkError {
  if (error instanceof TidemarkError) return error;
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const at = `${what} the ledger in ${folder}`;
  const details = { cause: error };
  if (isOneOf(code, ['ENOSPC', ENOSPC], ['EDQUOT', EDQUOT], ['EFBIG', EFBIG]) || code === mapFull) {
    return fullError(`cannot ${at}: no space is left (${message})`, details);
  }
  if (isOneOf(code, ['ENOTDIR', ENOTDIR], ['EEXIST', EEXIST])) {
    const advice = 'a part of the path is a file; give a folder';
    return new TidemarkError('invalid_argument', `cannot ${at}: ${advice} (${message})`, details);
  }
  if (isOneOf(code, ['EACCES', EACCES], ['EPERM', EPERM], ['EROFS', EROFS])) {
    const advice = 'make the folder writable for this user, or give another one';
    return new TidemarkError('ledger_unavailable', `cannot ${at}: ${advice} (${message})`, details);
  }
  if (fileIsNotLmdb.includes(Number(code))) {
    const advice = 'data.mdb is damaged or not a ledger; restore it from a backup';
    return new TidemarkError('ledger_corrupt', `cannot ${at}: ${advice} (${message})`, details);
  }
  return new TidemarkError('ledger_unavailable', `cannot ${at}: ${message}`, details);
}

/**
 * With less than this left on the disk nothing is written: a commit that stops half-way harms nothing, but the storage
 * engine reports it on stderr, and opening a ledger on a disk without any space kills the process. In bytes.
 */
const reserveBytes = 256 * 1024;

/** Throws `ledger_full` when the disk of a folder has no space to work with. */
export function checkSpace(folder: string): void {
  const { bavail, blocks, bsize } = statfsSync(folder);
  // Some file systems do not tell their size.
  if (blocks === 0 || bavail * bsize >= reserveBytes) return;
  throw fullError(`fewer than ${reserveBytes / 1024} KiB are left on the disk of the ledger in ${folder}`);
}

/** The error for a disk that is full: nothing was lost, and the same call succeeds once there is space. */
function fullError(text: string, details: { cause?: unknown } = {}): TidemarkError {
  return new TidemarkError('ledger_full', `${text}; nothing was lost. Make space, then go on`, details);
}

/** Node gives the name of an error; the storage engine gives its number. */
function isOneOf(code: unknown, ...pairs: readonly (readonly [name: string, number: number])[]): boolean {
  return pairs.some(([name, number]) => code === name || code === number);
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
}
