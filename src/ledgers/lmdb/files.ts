/**
 * The files of the ledger, looked at before the storage engine opens them.
 *
 * The engine (lmdb 3.5.6) ends the process with a segmentation fault when it cannot open its files, and with a bus error
 * when the data file is shorter than it says itself. So whatever may make it fail is found out here first.
 */

import { constants } from 'node:fs';
import { access, type FileHandle, mkdir, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { TidemarkError } from '../../errors.js';
import { checkSpace } from './storage-errors.js';

/** Offsets in a meta page of the engine's data format 2, on 64-bit little-endian machines. */
const meta = {
  bytes: 168,
  flags: 18,
  magic: 24,
  version: 28,
  mapSize: 40,
  pageSize: 48,
  lastPage: 144,
  transaction: 152,
};
const isMetaPage = 0x08;
const magic = 0xbeefc0de;
const dataVersion = 2;
const smallestPage = 256;
const largestPage = 65_536;
/** The largest map that the engine is let try, in bytes: 64 TiB. */
const maxMapBytes = 2n ** 46n;
/** By how much a sound file may be shorter than its last page says: pages at its end may be free and never written. */
const maxMissingPages = 64n;

/**
 * Makes the folder, and makes sure that the engine can open its files.
 *
 * @throws what the file system says; TidemarkError `ledger_full`, `ledger_corrupt`
 */
export async function prepareFiles(folder: string): Promise<void> {
  await makeFolder(folder);
  checkSpace(folder);
  await makeUsable(path.join(folder, 'lock.mdb'));
  const dataFile = path.join(folder, 'data.mdb');
  await makeUsable(dataFile);
  const handle = await open(dataFile);
  try {
    await checkData(handle, dataFile);
  } finally {
    await handle.close();
  }
}

/** Flushes the names of a new file and of its folder: a flushed file without a name is lost with the power, too. */
export async function flushNames(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  for (const place of [folder, path.dirname(folder)]) {
    const handle = await open(place);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** Makes a folder and those above it. Node's own way to do that never ends in `/proc`, and hides a read-only disk. */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if ((await stat(folder).catch(() => undefined))?.isDirectory()) return;
    if (code !== 'ENOENT' || path.dirname(folder) === folder) throw error;
    await makeFolder(path.dirname(folder));
    await mkdir(folder).catch((again: NodeJS.ErrnoException) => {
      if (again.code !== 'EEXIST') throw again;
    });
  }
}

/**
 * Makes a missing file, and checks that another may be written. An existing one is not opened for it: closing
 * `lock.mdb` would free the locks that this very process may have on it.
 */
async function makeUsable(file: string): Promise<void> {
  try {
    await (await open(file, 'wx', 0o664)).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    await access(file, constants.R_OK | constants.W_OK);
  }
}

async function checkData(handle: FileHandle, file: string): Promise<void> {
  const isKnownLayout = /64/.test(process.arch) && new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
  const stats = await handle.stat();
  if (!stats.isFile()) throw corrupt(file, 'it is not a file');
  if (stats.size === 0 || !isKnownLayout) return;
  const first = await readMeta(handle, 0, file);
  const second = await readMeta(handle, first.pageSize, file);
  const latest = first.transaction > second.transaction ? first : second;
  // The size is read after the meta pages, so that a file which is growing under a live owner is not too short.
  const { size } = await handle.stat({ bigint: true });
  const missing = latest.lastPage + 1n - size / BigInt(first.pageSize);
  if (missing > maxMissingPages) throw corrupt(file, `its last ${missing} pages are missing`);
}

async function readMeta(handle: FileHandle, position: number, file: string) {
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(meta.bytes), 0, meta.bytes, position);
  const pageSize = buffer.readUInt32LE(meta.pageSize);
  const isSound =
    bytesRead === meta.bytes &&
    (buffer.readUInt16LE(meta.flags) & isMetaPage) !== 0 &&
    buffer.readUInt32LE(meta.magic) === magic &&
    (buffer.readUInt32LE(meta.version) & 0xffff) === dataVersion &&
    pageSize >= smallestPage &&
    pageSize <= largestPage &&
    buffer.readBigUInt64LE(meta.mapSize) <= maxMapBytes;
  if (!isSound) throw corrupt(file, 'it does not begin like a ledger');
  return {
    pageSize,
    lastPage: buffer.readBigUInt64LE(meta.lastPage),
    transaction: buffer.readBigUInt64LE(meta.transaction),
  };
}

function corrupt(file: string, what: string): TidemarkError {
  const text = `${file} is damaged or not a ledger: ${what}. Restore it from a backup, or give another folder`;
  return new TidemarkError('ledger_corrupt', text);
}
