/**
 * Durable transactions, many callers to a commit.
 *
 * Works that arrive while a commit is being flushed to disk wait and share the next one. There is one commit at a time,
 * so a work sees everything that was acknowledged before it, and nothing that may still fail.
 *
 *     idle ──a work arrives──▶ committing ──flushed or failed──▶ committing (if works wait) or idle
 */

import type { RootDatabase } from 'lmdb';
import { TidemarkError } from '../../errors.js';
import { checkSpace, storageError } from './storage-errors.js';

/** The storage engine as it is used here: bytes to bytes. */
export type Store = RootDatabase<Buffer, Buffer>;

/** Most works of one commit. */
const maxWorksPerCommit = 1_000;
/** Most works that wait. The generator bounds its own queue far below. */
const maxWaiting = 20_000;

/**
 * Reads and writes of one caller, in the transaction. It may throw a TidemarkError before its first write; the other
 * works of the commit go on then.
 */
export type Work<T> = () => T;

interface Waiting {
  readonly work: Work<unknown>;
  readonly resolve: (value: never) => void;
  readonly reject: (error: TidemarkError) => void;
}

/** Runs works in durable transactions; see above. */
export class GroupCommit {
  readonly #store: Store;
  readonly #folder: string;
  readonly #before: () => void;
  readonly #onResult: (failure: TidemarkError | undefined) => void;
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;

  constructor(parts: {
    store: Store;
    folder: string;
    /** Runs first in every transaction; what it throws fails the commit. */
    before: () => void;
    /** Told after every commit. */
    onResult: (failure: TidemarkError | undefined) => void;
  }) {
    this.#store = parts.store;
    this.#folder = parts.folder;
    this.#before = parts.before;
    this.#onResult = parts.onResult;
  }

  /**
   * Runs a work in the next transaction; resolves with its result when that is flushed to disk (I1).
   *
   * @throws TidemarkError what the work threw; `ledger_full`, `ledger_unavailable` when the commit failed and nothing
   * of it was written; `overloaded`
   */
  run<T>(work: Work<T>): Promise<T> {
    if (this.#waiting.length >= maxWaiting) {
      const text = `${maxWaiting} calls wait for the ledger in ${this.#folder}; slow down and retry`;
      return Promise.reject(new TidemarkError('overloaded', text));
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ work, resolve, reject });
      this.#running ??= this.#commitAll();
    });
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #commitAll(): Promise<void> {
    // The first work of a turn waits for the others of the same turn.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#commit(this.#waiting.splice(0, maxWorksPerCommit));
    this.#running = undefined;
  }

  async #commit(works: readonly Waiting[]): Promise<void> {
    let answers: (() => void)[];
    try {
      checkSpace(this.#folder);
      // A child transaction, because only that is undone as a whole when a write in the middle fails.
      answers = await this.#store.childTransaction(() => {
        this.#before();
        return works.map(answerOf);
      });
    } catch (error) {
      const failure = storageError(await causeOf(error), 'write to', this.#folder);
      for (const { reject } of works) reject(failure);
      this.#onResult(failure);
      return;
    }
    for (const answer of answers) answer();
    this.#onResult(undefined);
  }
}

function answerOf({ work, resolve, reject }: Waiting): () => void {
  try {
    const value = work() as never;
    return () => resolve(value);
  } catch (error) {
    // Anything else comes from the storage engine, and the transaction must not be kept.
    if (error instanceof TidemarkError) return () => reject(error);
    throw error;
  }
}

/** The engine rejects a failed commit with an error whose cause is told by a second promise. */
async function causeOf(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  try {
    await error.commitError;
  } catch (cause) {
    return cause;
  }
  return error;
}
