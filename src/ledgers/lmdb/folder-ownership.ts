/**
 * One process has a folder at a time.
 *
 * A process that wants the folder listens on a socket of its own in it, then writes the socket's name into the ledger,
 * in a transaction that compares the name that was there before. Whoever finds another name connects to that socket:
 * answered, the folder is in use; refused or gone, its process has ended, and its name may be replaced. The operating
 * system closes the socket of a process that is killed, so nothing stale is left; and of two that start at the same
 * moment the transaction lets one win.
 */

import { randomUUID } from 'node:crypto';
import { access, type FileHandle, open, readdir, realpath, stat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import path from 'node:path';
import { TidemarkError } from '../../errors.js';
import type { Store } from './group-commit.js';
import { corruptRow, ownerKey } from './rows.js';

/** Longest socket path that every system takes, in bytes. */
const maxSocketPathBytes = 100;
/** A live owner answers at once; one that takes longer than this is taken for alive, in milliseconds. */
const answerTimeoutMs = 2_000;
/** How often the owner may change while this process tries to become it. */
const maxAttempts = 20;
/** Sockets of killed processes are removed when they are older than this, in milliseconds. */
const leftoverAgeMs = 60_000;
const socketPattern = /^owner-[0-9a-f-]{36}\.sock$/;

/** The proof that this process has the folder. */
export class FolderOwnership {
  readonly #store: Store;
  readonly #folder: string;
  readonly #name: string;
  readonly #server: Server;
  readonly #sockets: SocketFolder;

  private constructor(store: Store, folder: string, name: string, server: Server, sockets: SocketFolder) {
    this.#store = store;
    this.#folder = folder;
    this.#name = name;
    this.#server = server;
    this.#sockets = sockets;
  }

  /**
   * Makes this process the owner.
   *
   * @throws TidemarkError `ledger_in_use` when another process, or another ledger of this one, has the folder
   */
  static async take(store: Store, folder: string): Promise<FolderOwnership> {
    const name = `owner-${randomUUID()}.sock`;
    const sockets = await SocketFolder.open(folder);
    const server = createServer((socket) => socket.destroy());
    const ownership = new FolderOwnership(store, folder, name, server, sockets);
    try {
      await listen(server, sockets.pathOf(name));
      await ownership.#win();
      return ownership;
    } catch (error) {
      await ownership.release();
      throw error;
    }
  }

  /** Inside a transaction: throws `ledger_in_use` when somebody has taken the folder from this process. */
  check(): void {
    if (readOwner(this.#store) === this.#name) return;
    const text = `another process has taken over the ledger in ${this.#folder}; this one cannot write any more. Start it again when the other has ended`;
    throw new TidemarkError('ledger_in_use', text);
  }

  /** Gives the folder up. The name stays behind: a dead socket frees the folder without another write to disk. */
  async release(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
    await this.#sockets.close();
  }

  async #win(): Promise<void> {
    for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
      this.#store.resetReadTxn();
      const owner = readOwner(this.#store);
      if (owner !== undefined && (await isAlive(this.#sockets.pathOf(owner)))) break;
      if (!replaceOwner(this.#store, owner, this.#name)) continue;
      await removeLeftovers(this.#folder, this.#sockets);
      return;
    }
    const text = `the ledger in ${this.#folder} is open in another process, or twice in this one. Stop the other, or give another folder`;
    throw new TidemarkError('ledger_in_use', text);
  }
}

/**
 * Where the sockets of a folder are. Their paths may be longer than the operating system takes for a socket; on Linux
 * they are then reached through an open file descriptor of the folder.
 */
class SocketFolder {
  readonly #base: string;
  readonly #handle: FileHandle | undefined;

  private constructor(base: string, handle?: FileHandle) {
    this.#base = base;
    this.#handle = handle;
  }

  static async open(folder: string): Promise<SocketFolder> {
    if (process.platform === 'win32') return new SocketFolder('\\\\.\\pipe\\tidemark-');
    const place = await realpath(folder);
    const short = [place, path.relative(process.cwd(), place) || '.'].find(fitsSocket);
    if (short !== undefined) return new SocketFolder(`${short}/`);
    const handle = await open(place);
    const base = `/proc/self/fd/${handle.fd}/`;
    try {
      await access(base);
      return new SocketFolder(base, handle);
    } catch (error) {
      await handle.close();
      const text = `the path of the folder ${folder} is too long for this system; use a shorter one`;
      throw new TidemarkError('invalid_argument', text, { cause: error });
    }
  }

  pathOf(name: string): string {
    return this.#base + name;
  }

  async close(): Promise<void> {
    await this.#handle?.close();
  }
}

function fitsSocket(folder: string): boolean {
  return Buffer.byteLength(folder) + '/owner-'.length + 36 + '.sock'.length <= maxSocketPathBytes;
}

function readOwner(store: Store): string | undefined {
  const owner = store.get(ownerKey)?.toString();
  // The name becomes part of a path, so it must be one that was made here.
  if (owner === undefined || socketPattern.test(owner)) return owner;
  throw corruptRow('the name of the owner', { found: JSON.stringify(owner.slice(0, 60)) });
}

function replaceOwner(store: Store, previous: string | undefined, name: string): boolean {
  return store.transactionSync(() => {
    if (readOwner(store) !== previous) return false;
    store.putSync(ownerKey, Buffer.from(name));
    return true;
  });
}

/** Listens without keeping the process alive. Nobody talks over the connections; that they open is the answer. */
async function listen(server: Server, socketPath: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, () => {
      server.off('error', reject);
      // A connection that cannot be accepted has still been answered by the operating system.
      server.on('error', () => undefined);
      resolve();
    });
  });
  server.unref();
}

async function isAlive(socketPath: string): Promise<boolean> {
  return new Promise<boolean>((resolve) => {
    const socket = connect(socketPath);
    const timer = setTimeout(() => end(true), answerTimeoutMs);
    const end = (alive: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(alive);
    };
    socket.once('connect', () => end(true));
    socket.once('error', (error: NodeJS.ErrnoException) => {
      end(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

/** Removes sockets that killed processes left behind. Young ones may belong to a process that is just starting. */
async function removeLeftovers(folder: string, sockets: SocketFolder): Promise<void> {
  if (process.platform === 'win32') return;
  for (const name of await readdir(folder)) {
    if (!socketPattern.test(name)) continue;
    const file = path.join(folder, name);
    try {
      const old = Date.now() - (await stat(file)).mtimeMs > leftoverAgeMs;
      if (old && !(await isAlive(sockets.pathOf(name)))) await unlink(file);
    } catch {
      // A socket that cannot be removed does no harm.
    }
  }
}
