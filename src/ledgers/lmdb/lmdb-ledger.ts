import path from 'node:path';
import { open as openStore } from 'lmdb';
import type {
  CompleteMark,
  Gap,
  Ledger,
  LedgerEntry,
  LedgerNotice,
  NewestGeneration,
  NewGap,
  RegisterOptions,
  RemovableWord,
  ReserveOutcome,
  ReserveRequest,
} from '../../core/ledger.js';
import { decideFreeze, decideHandBack, decideReservation } from '../../core/recovery.js';
import { TidemarkError } from '../../errors.js';
import { checkCompleteMarks } from '../complete-marks.js';
import { newestSeen } from '../generations.js';
import { flushNames, prepareFiles } from './files.js';
import { FolderOwnership } from './folder-ownership.js';
import { assignGeneration, findGenerations, newestGeneration } from './generations.js';
import { GroupCommit, type Store } from './group-commit.js';
import {
  type CorruptRow,
  conversationOfEntryKey,
  corruptRow,
  decodeEntry,
  decodeGap,
  decodeMark,
  encodeEntry,
  encodeGap,
  encodeMark,
  entryKey,
  entryRange,
  gapKey,
  gapRange,
  isCorrupt,
  isGapKey,
  markKey,
} from './rows.js';
import { readSchema, writeSchema } from './schema.js';
import { storageError } from './storage-errors.js';

/** Options of {@link LmdbLedger.open}. */
export interface LmdbLedgerOptions {
  /** The folder; made if it is missing. One process has it at a time. On a local disk, not on a network share. */
  readonly folder: string;
  /** The ledger's clock, milliseconds since 1970; the system's by default. */
  readonly nowMs?: () => number;
}

/**
 * The embedded ledger: a folder on a local disk, one process at a time. What it acknowledges is flushed to disk.
 *
 * Files: `data.mdb` holds everything (copy it only while no process has the folder), `lock.mdb` and `owner-….sock` mean
 * nothing when no process runs.
 *
 * @example
 * ```ts
 * import { groupChat, LmdbLedger, MemoryCounterStore, SequenceGenerator } from 'tidemark';
 * const ledger = await LmdbLedger.open({ folder: './tidemark-data' });
 * const sequences = new SequenceGenerator({ counters: new MemoryCounterStore(), ledger });
 * console.log(await sequences.next(groupChat('g1'))); // 1
 * await sequences.close();
 * ```
 */
export class LmdbLedger implements Ledger {
  readonly #store: Store;
  readonly #folder: string;
  readonly #ownership: FolderOwnership;
  readonly #commits: GroupCommit;
  readonly #nowMs: () => number;
  /** When this process said that it lives in a generation. Nobody else has the folder, so nobody else can be seen. */
  readonly #seenAtMs = new Map<number, number>();
  #listener: ((notice: LedgerNotice) => void) | undefined;
  #isDown = false;
  #closing: Promise<void> | undefined;

  private constructor(
    store: Store,
    ownership: FolderOwnership,
    options: { folder: string; nowMs: () => number },
  ) {
    this.#store = store;
    this.#folder = options.folder;
    this.#ownership = ownership;
    this.#nowMs = options.nowMs;
    this.#commits = new GroupCommit({
      store,
      folder: options.folder,
      before: () => ownership.check(),
      onResult: (failure) => this.#tell(failure),
    });
  }

  /**
   * Opens the ledger in a folder, and makes folder and ledger if they are missing.
   *
   * @param options - the folder, and a clock for tests
   * @returns the ledger; close it to free the folder (a process that ends frees it, too)
   * @throws TidemarkError `ledger_in_use` while another process has the folder; `invalid_argument` when the path is no
   * folder; `ledger_unavailable` when it cannot be written; `ledger_full`; `schema_too_new`; `ledger_corrupt`
   * @example
   * ```ts
   * import { LmdbLedger } from 'tidemark';
   * const ledger = await LmdbLedger.open({ folder: './tidemark-data' });
   * console.log(await ledger.list('group', { after: undefined, limit: 10 }));
   * await ledger.close();
   * ```
   */
  static async open({ folder, nowMs = Date.now }: LmdbLedgerOptions): Promise<LmdbLedger> {
    if (typeof folder !== 'string' || folder === '' || folder.includes('\0')) {
      throw new TidemarkError('invalid_argument', 'give the path of a folder for the ledger');
    }
    const absolute = path.resolve(folder);
    let store: Store | undefined;
    let ownership: FolderOwnership | undefined;
    try {
      await prepareFiles(absolute);
      store = openStore<Buffer, Buffer>({
        path: absolute,
        noSubdir: false,
        encoding: 'binary',
        keyEncoding: 'binary',
        // A promise then means flushed to disk, not only visible.
        overlappingSync: false,
        // With it, a failed commit also rejects a promise inside the library, which nobody can catch.
        eventTurnBatching: false,
      });
      readSchema(store, absolute);
      ownership = await FolderOwnership.take(store, absolute);
      if (writeSchema(store, absolute)) await flushNames(absolute);
      return new LmdbLedger(store, ownership, { folder: absolute, nowMs });
    } catch (error) {
      await ownership?.release();
      await store?.close();
      throw storageError(error, 'open', absolute);
    }
  }

  async registerHistory(history: string, options: RegisterOptions = {}): Promise<number> {
    this.#check();
    const { atLeast = 0 } = options;
    const known = this.#read(() => findGenerations(this.#store, history));
    const fitting = known.find((generation) => generation >= atLeast);
    if (fitting !== undefined) return fitting;
    return this.#commits.run(() => {
      return assignGeneration(this.#store, history, options);
    });
  }

  async generationsOf(history: string): Promise<readonly number[]> {
    this.#check();
    return this.#read(() => findGenerations(this.#store, history));
  }

  async keepAlive(generation: number | undefined): Promise<NewestGeneration> {
    this.#check();
    const nowMs = this.#nowMs();
    const last = this.#read(() => newestGeneration(this.#store));
    // One that the ledger does not know may be given later.
    if (generation !== undefined && generation <= last) this.#seenAtMs.set(generation, nowMs);
    return newestSeen(this.#seenAtMs, nowMs);
  }

  async reserve(requests: readonly ReserveRequest[]): Promise<readonly ReserveOutcome[]> {
    this.#check();
    if (requests.length === 0) return [];
    const keys = requests.map((request) => entryKey(request.conversation));
    return this.#commits.run(() => {
      const nowMs = this.#nowMs();
      return requests.map((request, index) => this.#reserveOne(keys[index]!, request, nowMs));
    });
  }

  async recordGaps(gaps: readonly NewGap[]): Promise<void> {
    this.#check();
    if (gaps.length === 0) return;
    const keyed = gaps.map((gap) => ({ gap, key: gapKey(gap) }));
    await this.#commits.run(() => {
      for (const { key, gap } of keyed) this.#putGap(key, gap, this.#nowMs());
    });
  }

  async freeze(generation: number, words: readonly RemovableWord[]): Promise<readonly boolean[]> {
    return this.#change(words, (entry, word) => decideFreeze(entry, generation, word, this.#nowMs()));
  }

  async handBack(generation: number, words: readonly RemovableWord[]): Promise<readonly boolean[]> {
    return this.#change(words, (entry, word) => decideHandBack(entry, generation, word, this.#nowMs()));
  }

  async load(conversations: readonly string[]): Promise<readonly (LedgerEntry | undefined)[]> {
    this.#check();
    return this.#read(() =>
      conversations.map((conversation) => {
        const entry = this.#entry(entryKey(conversation), conversation);
        return entry && sound(entry, conversation);
      }),
    );
  }

  async list(
    type: string | undefined,
    page: { readonly after: string | undefined; readonly limit: number },
  ): Promise<readonly LedgerEntry[]> {
    this.#check();
    const range = { ...entryRange(type, page.after), limit: page.limit };
    return this.#read(() =>
      Array.from(this.#store.getRange(range), ({ key, value }) => {
        const conversation = conversationOfEntryKey(key);
        return sound(decodeEntry(key, conversation, value), conversation);
      }),
    );
  }

  async gaps(
    conversation: string,
    range: { readonly from: number; readonly to: number; readonly limit: number },
  ): Promise<readonly Gap[]> {
    this.#check();
    return this.#read(() => {
      const found: Gap[] = [];
      for (const { key, value } of this.#store.getRange(gapRange(conversation, range.to))) {
        if (found.length >= range.limit) break;
        if (!isGapKey(conversation, key)) continue;
        const gap = decodeGap(key, conversation, value);
        if (isCorrupt(gap)) throw corruptRow(`a gap of ${conversation}`, gap, conversation);
        if (gap.last >= range.from) found.push(gap);
      }
      return found;
    });
  }

  async completeMarks(conversations: readonly string[]): Promise<readonly (number | undefined)[]> {
    this.#check();
    return this.#read(() =>
      conversations.map((conversation) => this.#mark(markKey(conversation), conversation)),
    );
  }

  async raiseCompleteMarks(marks: readonly CompleteMark[]): Promise<void> {
    this.#check();
    if (marks.length === 0) return;
    checkCompleteMarks(marks);
    const keyed = marks.map((mark) => ({ ...mark, key: markKey(mark.conversation) }));
    // Lowest first: should a conversation be there twice after all, its higher mark stays.
    keyed.sort((a, b) => a.completeUpTo - b.completeUpTo);
    await this.#commits.run(() => {
      // A row that makes no sense fails this call, so all of them are looked at before the first write.
      const isHigher = ({ key, conversation, completeUpTo }: (typeof keyed)[number]) => {
        const known = this.#mark(key, conversation);
        return known === undefined || completeUpTo > known;
      };
      for (const { key, completeUpTo } of keyed.filter(isHigher)) {
        this.#store.putSync(key, encodeMark(key, completeUpTo));
      }
    });
  }

  /** Tells when a commit fails for want of space or of a disk, and when one succeeds again. */
  onNotice(listener: (notice: LedgerNotice) => void): void {
    this.#listener = listener;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await this.#commits.settled();
    try {
      await this.#store.close();
    } finally {
      await this.#ownership.release();
    }
  }

  #reserveOne(key: Buffer, request: ReserveRequest, nowMs: number): ReserveOutcome {
    const found = this.#entry(key, request.conversation);
    if (found !== undefined && isCorrupt(found)) return { status: 'corrupt', found: found.found };
    const { outcome, entry } = decideReservation(found, request, nowMs);
    // I7: the gap is in the transaction that reserves behind it.
    if (outcome.status === 'reserved' && outcome.gap !== undefined) {
      this.#putGap(gapKey(outcome.gap), outcome.gap, nowMs);
    }
    if (entry !== undefined) this.#putEntry(key, entry);
    return outcome;
  }

  /** Changes entries of words that are removed; true for each that was changed. */
  async #change(
    words: readonly RemovableWord[],
    decide: (entry: LedgerEntry | undefined, word: RemovableWord) => LedgerEntry | undefined,
  ): Promise<readonly boolean[]> {
    this.#check();
    if (words.length === 0) return [];
    const keyed = words.map((word) => ({ word, key: entryKey(word.conversation) }));
    return this.#commits.run(() =>
      keyed.map(({ word, key }) => {
        const entry = this.#entry(key, word.conversation);
        // An entry that makes no sense stays as it is; whoever reserves next is told.
        if (entry !== undefined && isCorrupt(entry)) return false;
        const changed = decide(entry, word);
        if (changed !== undefined) this.#putEntry(key, changed);
        return changed !== undefined;
      }),
    );
  }

  #entry(key: Buffer, conversation: string): LedgerEntry | CorruptRow | undefined {
    const row = this.#store.get(key);
    return row && decodeEntry(key, conversation, row);
  }

  #putEntry(key: Buffer, entry: LedgerEntry): void {
    this.#store.putSync(key, encodeEntry(key, entry));
  }

  #putGap(key: Buffer, gap: NewGap, nowMs: number): void {
    if (this.#store.doesExist(key)) return;
    this.#store.putSync(key, encodeGap(key, { ...gap, recordedAtMs: nowMs }));
  }

  #mark(key: Buffer, conversation: string): number | undefined {
    const row = this.#store.get(key);
    if (row === undefined) return undefined;
    const mark = decodeMark(key, conversation, row);
    if (isCorrupt(mark)) throw corruptRow(`the complete mark of ${conversation}`, mark, conversation);
    return mark.completeUpTo;
  }

  #read<T>(look: () => T): T {
    try {
      return look();
    } catch (error) {
      throw storageError(error, 'read', this.#folder);
    }
  }

  #tell(failure: TidemarkError | undefined): void {
    if (this.#isDown === (failure !== undefined)) return;
    this.#isDown = failure !== undefined;
    this.#listener?.(failure === undefined ? { status: 'up' } : { status: 'down', cause: failure });
  }

  #check(): void {
    if (this.#closing === undefined) return;
    throw new TidemarkError('closed', `the ledger in ${this.#folder} is closed; open it again`);
  }
}

function sound(entry: LedgerEntry | CorruptRow, conversation: string): LedgerEntry {
  if (isCorrupt(entry)) throw corruptRow(`the entry of ${conversation}`, entry, conversation);
  return entry;
}
