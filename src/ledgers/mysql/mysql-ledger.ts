import { maxSequenceNumber } from '../../core/counter-word.js';
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
import { decideFreeze, decideHandBack } from '../../core/recovery.js';
import { TidemarkError } from '../../errors.js';
import { checkCompleteMarks } from '../complete-marks.js';
import { findMarks, raiseMarks } from './complete-marks.js';
import { Connections, type Session } from './connections.js';
import { assignGeneration, findGenerations, noteAlive } from './generations.js';
import { Health } from './health.js';
import { ensureSchema } from './migrate.js';
import { type MySqlLedgerOptions, type MySqlSettings, mySqlSettings } from './options.js';
import { decideAll, lockEntries, maxKeysPerStatement, readClock } from './reserve.js';
import { entryColumns, gapColumns, gapOf, isCorrupt, listedEntryOf, soundEntryOf } from './rows.js';
import { failureOf } from './server-errors.js';
import { inTransaction } from './transaction.js';
import { insertGaps, slices, updateEntries, writeChanges } from './write.js';

export type { MySqlLedgerOptions };

/** What becomes of an entry whose word is removed; undefined when it stays as it is. */
type DecideChange = (
  entry: LedgerEntry | undefined,
  word: RemovableWord,
  nowMs: number,
) => LedgerEntry | undefined;

/** Longest key of a conversation in UTF-8 bytes: the width of the column. */
const maxKeyBytes = 600;
/** Longest id of a history in UTF-8 bytes: the width of the column. */
const maxHistoryBytes = 255;
/** How long `close` waits for calls that are under way. */
const closeGraceMs = 5_000;

/**
 * The ledger in MySQL 8 or MariaDB 10.6 and later. It connects at the first call, and creates its tables then.
 * A connection keeps the process alive until {@link MySqlLedger.close}.
 *
 * Every reservation is one transaction over the rows of its conversations only, and is answered after the server has
 * acknowledged the commit. Deadlocks and lock waits are retried.
 *
 * @example
 * ```ts
 * import { MySqlLedger } from 'tidemark';
 * const ledger = new MySqlLedger(process.env.MYSQL_URL!);
 * console.log(await ledger.list('group', { after: undefined, limit: 10 }));
 * await ledger.close();
 * ```
 */
export class MySqlLedger implements Ledger {
  readonly #settings: MySqlSettings;
  readonly #health = new Health();
  readonly #connections: Connections;
  readonly #underWay = new Set<Promise<unknown>>();
  #schema: Promise<unknown> | undefined;
  #closing: Promise<void> | undefined;

  /**
   * @param target - `mysql://user:password@host:3306/database`, or options with the URL in `url`
   * @throws TidemarkError `invalid_argument`
   */
  constructor(target: string | MySqlLedgerOptions) {
    this.#settings = mySqlSettings(target);
    this.#connections = new Connections(this.#settings, this.#health);
  }

  registerHistory(history: string, options: RegisterOptions = {}): Promise<number> {
    return this.#call('write', async () => {
      checkHistory(history);
      const { atLeast = 0 } = options;
      const known = await this.#connections.use((session) => findGenerations(session, history));
      const fitting = known.find((generation) => generation >= atLeast);
      if (fitting !== undefined) return fitting;
      return inTransaction(this.#connections, (session) => assignGeneration(session, history, options));
    });
  }

  generationsOf(history: string): Promise<readonly number[]> {
    return this.#call('read', () => {
      checkHistory(history);
      return this.#connections.use((session) => findGenerations(session, history));
    });
  }

  keepAlive(generation: number | undefined): Promise<NewestGeneration> {
    return this.#call('write', () => this.#connections.use((session) => noteAlive(session, generation)));
  }

  reserve(requests: readonly ReserveRequest[]): Promise<readonly ReserveOutcome[]> {
    return this.#call('write', async () => {
      if (requests.length === 0) return [];
      for (const { conversation } of requests) checkKey(conversation);
      return inTransaction(this.#connections, async (session) => {
        const locked = await lockEntries(session, keysOf(requests));
        const { outcomes, changes } = decideAll(requests, locked);
        await writeChanges(session, changes);
        return outcomes;
      });
    });
  }

  recordGaps(gaps: readonly NewGap[]): Promise<void> {
    return this.#call('write', async () => {
      if (gaps.length === 0) return;
      for (const { conversation } of gaps) checkKey(conversation);
      const ordered = [...gaps].sort(byConversationThenFirst);
      await inTransaction(this.#connections, async (session) =>
        insertGaps(session, ordered, await readClock(session)),
      );
    });
  }

  freeze(generation: number, words: readonly RemovableWord[]): Promise<readonly boolean[]> {
    return this.#change(words, (entry, word, nowMs) => decideFreeze(entry, generation, word, nowMs));
  }

  handBack(generation: number, words: readonly RemovableWord[]): Promise<readonly boolean[]> {
    return this.#change(words, (entry, word, nowMs) => decideHandBack(entry, generation, word, nowMs));
  }

  load(conversations: readonly string[]): Promise<readonly (LedgerEntry | undefined)[]> {
    return this.#call('read', async () => {
      for (const conversation of conversations) checkKey(conversation);
      const entries = new Map<string, LedgerEntry>();
      await this.#connections.use(async (session) => {
        for (let from = 0; from < conversations.length; from += maxKeysPerStatement) {
          const rows = await session.query(
            `SELECT ${entryColumns} FROM tidemark_ledger WHERE conversation IN (?)`,
            [conversations.slice(from, from + maxKeysPerStatement)],
          );
          for (const entry of rows.map(soundEntryOf)) entries.set(entry.conversation, entry);
        }
      });
      return conversations.map((conversation) => entries.get(conversation));
    });
  }

  list(
    type: string | undefined,
    page: { readonly after: string | undefined; readonly limit: number },
  ): Promise<readonly LedgerEntry[]> {
    return this.#call('read', async () => {
      checkLimit(page.limit);
      // `;` is the character after `:`, so this is one range of the primary key.
      const ofType = type === undefined ? '' : 'conversation >= ? AND conversation < ? AND ';
      const range = type === undefined ? [] : [`${type}:`, `${type};`];
      const rows = await this.#connections.use((session) =>
        session.query(
          `SELECT ${entryColumns} FROM tidemark_ledger WHERE ${ofType}conversation > ? ORDER BY conversation LIMIT ?`,
          [...range, page.after ?? '', page.limit],
        ),
      );
      return rows.map(listedEntryOf);
    });
  }

  gaps(
    conversation: string,
    range: { readonly from: number; readonly to: number; readonly limit: number },
  ): Promise<readonly Gap[]> {
    return this.#call('read', async () => {
      checkKey(conversation);
      checkLimit(range.limit);
      const from = Math.max(0, range.from);
      const to = Math.min(maxSequenceNumber, range.to);
      const rows = await this.#connections.use((session) =>
        session.query(
          `SELECT ${gapColumns} FROM tidemark_gaps WHERE conversation = ? AND last_number >= ? AND first_number <= ? ` +
            'ORDER BY first_number, last_number LIMIT ?',
          [conversation, from, to, range.limit],
        ),
      );
      return rows.map((row) => gapOf(conversation, row));
    });
  }

  completeMarks(conversations: readonly string[]): Promise<readonly (number | undefined)[]> {
    return this.#call('read', async () => {
      for (const conversation of conversations) checkKey(conversation);
      const marks = await this.#connections.use((session) => findMarks(session, conversations));
      return conversations.map((conversation) => marks.get(conversation));
    });
  }

  raiseCompleteMarks(marks: readonly CompleteMark[]): Promise<void> {
    return this.#call('write', async () => {
      if (marks.length === 0) return;
      for (const { conversation } of marks) checkKey(conversation);
      checkCompleteMarks(marks);
      const ordered = [...marks].sort(byConversation);
      await inTransaction(this.#connections, (session) => raiseMarks(session, ordered));
    });
  }

  /** Changes entries of words that are removed; true for each that was changed. */
  #change(words: readonly RemovableWord[], decide: DecideChange): Promise<readonly boolean[]> {
    return this.#call('write', async () => {
      for (const { conversation } of words) checkKey(conversation);
      const changed: boolean[] = [];
      for (const some of slices(words)) {
        const work = (session: Session) => changeLocked(session, some, decide);
        changed.push(...(await inTransaction(this.#connections, work)));
      }
      return changed;
    });
  }

  onNotice(listener: (notice: LedgerNotice) => void): void {
    this.#health.listen(listener);
  }

  /** Waits for the calls under way, at most five seconds, and ends the connections. Later calls fail with `closed`. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  async #end(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const grace = new Promise((resolve) => {
      timer = setTimeout(resolve, closeGraceMs);
    });
    await Promise.race([Promise.allSettled(this.#underWay), grace]);
    clearTimeout(timer);
    await this.#connections.end();
  }

  /** Every call goes through here: closed or not, the schema first, errors translated, up and down told. */
  async #call<T>(kind: 'read' | 'write', work: () => Promise<T>): Promise<T> {
    if (this.#closing !== undefined)
      throw new TidemarkError('closed', 'the ledger is closed; open a new one');
    const running = this.#ready().then(work);
    this.#underWay.add(running);
    try {
      const result = await running;
      this.#health.succeeded(kind);
      return result;
    } catch (thrown) {
      const { error, reach } = failureOf(thrown, this.#settings.server);
      this.#health.failed(error, reach);
      throw error;
    } finally {
      this.#underWay.delete(running);
    }
  }

  /** Checks or creates the tables once. A failure is forgotten, so the next call tries again. */
  #ready(): Promise<unknown> {
    this.#schema ??= ensureSchema(this.#connections, this.#settings.migrate).catch((error: unknown) => {
      this.#schema = undefined;
      throw error;
    });
    return this.#schema;
  }
}

async function changeLocked(
  session: Session,
  words: readonly RemovableWord[],
  decide: DecideChange,
): Promise<readonly boolean[]> {
  const { entries, nowMs } = await lockEntries(session, keysOf(words));
  const written = new Map<string, LedgerEntry>();
  const changed = words.map((word) => {
    const entry = entries.get(word.conversation);
    // A row that makes no sense stays as it is; whoever reserves next is told.
    if (entry !== undefined && isCorrupt(entry)) return false;
    const after = decide(entry, word, nowMs);
    if (after === undefined) return false;
    entries.set(word.conversation, after);
    written.set(word.conversation, after);
    return true;
  });
  await updateEntries(session, [...written.values()]);
  return changed;
}

function* keysOf(items: readonly { readonly conversation: string }[]): Generator<string> {
  for (const { conversation } of items) yield conversation;
}

function byConversationThenFirst(a: NewGap, b: NewGap): number {
  return byConversation(a, b) || a.first - b.first || a.last - b.last;
}

function byConversation(a: { readonly conversation: string }, b: { readonly conversation: string }): number {
  if (a.conversation === b.conversation) return 0;
  return a.conversation < b.conversation ? -1 : 1;
}

function checkHistory(history: string): void {
  checkBytes(history, maxHistoryBytes, 'the id of a history');
}

function checkKey(conversation: string): void {
  checkBytes(conversation, maxKeyBytes, 'the key of a conversation');
}

function checkBytes(text: string, most: number, what: string): void {
  // A UTF-16 unit takes at most three bytes, so short texts need no count.
  if (text !== '' && (text.length * 3 <= most || Buffer.byteLength(text) <= most)) return;
  throw new TidemarkError('invalid_argument', `MySQL ledger: ${what} must have 1 to ${most} bytes of UTF-8`);
}

function checkLimit(limit: number): void {
  if (Number.isSafeInteger(limit) && limit >= 0) return;
  throw new TidemarkError(
    'invalid_argument',
    `MySQL ledger: limit must be a whole number of 0 or more, got ${limit}`,
  );
}
