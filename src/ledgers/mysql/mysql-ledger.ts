import type { CounterWord } from '../../core/counter-word.js';
import { ceilingOf, maxSequenceNumber } from '../../core/counter-word.js';
import type {
  CompleteMark,
  Gap,
  Ledger,
  LedgerEntry,
  LedgerNotice,
  NewGap,
  ReserveOutcome,
  ReserveRequest,
} from '../../core/ledger.js';
import { TidemarkError } from '../../errors.js';
import { checkCompleteMarks } from '../complete-marks.js';
import { findMarks, raiseMarks } from './complete-marks.js';
import { Connections, type Session } from './connections.js';
import { assignGeneration, findGeneration } from './generations.js';
import { Health } from './health.js';
import { ensureSchema } from './migrate.js';
import { type MySqlLedgerOptions, type MySqlSettings, mySqlSettings } from './options.js';
import { decideAll, lockEntries, maxKeysPerStatement, readClock } from './reserve.js';
import { entryColumns, gapColumns, gapOf, isCorrupt, soundEntryOf } from './rows.js';
import { failureOf } from './server-errors.js';
import { inTransaction } from './transaction.js';
import { insertGaps, updateEntries, writeChanges } from './write.js';

export type { MySqlLedgerOptions };

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

  registerHistory(history: string): Promise<number> {
    return this.#call('write', async () => {
      checkBytes(history, maxHistoryBytes, 'the id of a history');
      const known = await this.#connections.use((session) => findGeneration(session, history));
      return known ?? inTransaction(this.#connections, (session) => assignGeneration(session, history));
    });
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

  handBack(generation: number, words: readonly { conversation: string; word: CounterWord }[]): Promise<void> {
    return this.#call('write', async () => {
      for (const { conversation } of words) checkKey(conversation);
      for (let from = 0; from < words.length; from += maxKeysPerStatement) {
        const some = words.slice(from, from + maxKeysPerStatement);
        await inTransaction(this.#connections, (session) => handBackLocked(session, generation, some));
      }
    });
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
    type: string,
    page: { readonly after: string | undefined; readonly limit: number },
  ): Promise<readonly LedgerEntry[]> {
    return this.#call('read', async () => {
      checkLimit(page.limit);
      const rows = await this.#connections.use((session) =>
        session.query(
          // `;` is the character after `:`, so this is one range of the primary key.
          `SELECT ${entryColumns} FROM tidemark_ledger WHERE conversation >= ? AND conversation < ? AND conversation > ? ` +
            'ORDER BY conversation LIMIT ?',
          [`${type}:`, `${type};`, page.after ?? '', page.limit],
        ),
      );
      return rows.map(soundEntryOf);
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

/** I2: only a word that was removed from its store, and whose ceiling is still the ledger's, may lower the ceiling. */
async function handBackLocked(
  session: Session,
  generation: number,
  words: readonly { conversation: string; word: CounterWord }[],
): Promise<void> {
  const { entries } = await lockEntries(session, keysOf(words));
  const lowered: LedgerEntry[] = [];
  for (const { conversation, word } of words) {
    const entry = entries.get(conversation);
    if (entry === undefined || isCorrupt(entry)) continue;
    if (entry.generation !== generation || entry.ceiling !== ceilingOf(word)) continue;
    const after = { ...entry, ceiling: word.last, floor: word.last };
    entries.set(conversation, after);
    lowered.push(after);
  }
  await updateEntries(session, lowered);
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
