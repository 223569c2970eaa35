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
import { gapReasons } from '../../core/ledger.js';
import { decideFreeze, decideHandBack, decideReservation } from '../../core/recovery.js';
import { compareUtf8 } from '../../core/utf8.js';
import { TidemarkError } from '../../errors.js';
import { checkCompleteMarks } from '../complete-marks.js';
import { decideGeneration, newestSeen } from '../generations.js';

/**
 * A ledger in memory: the reference model that the real ones are tested against. It survives nothing; use it in tests.
 *
 * @example
 * ```ts
 * import { groupChat, MemoryCounterStore, MemoryLedger, SequenceGenerator } from 'tidemark';
 * const sequences = new SequenceGenerator({ counters: new MemoryCounterStore(), ledger: new MemoryLedger() });
 * console.log(await sequences.next(groupChat('g1'))); // 1
 * await sequences.close();
 * ```
 */
export class MemoryLedger implements Ledger {
  readonly #nowMs: () => number;
  readonly #generations = new Map<string, readonly number[]>();
  /** When somebody was last seen in each generation. */
  readonly #seenAtMs = new Map<number, number>();
  #newest = 0;
  readonly #entries = new Map<string, LedgerEntry>();
  readonly #gaps = new Map<string, Map<string, Gap>>();
  readonly #completeMarks = new Map<string, number>();
  #closed = false;

  /** @param nowMs - the ledger's clock, milliseconds since 1970; the system's by default */
  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /** Loses entries, as a real ledger does whose tables are damaged or older than they were: for tests of what follows. */
  forget(isLost: (entry: LedgerEntry) => boolean): void {
    for (const [conversation, entry] of this.#entries) if (isLost(entry)) this.#entries.delete(conversation);
  }

  async registerHistory(history: string, options: RegisterOptions = {}): Promise<number> {
    this.#check();
    const { renamedFrom } = options;
    const own = this.#generations.get(history) ?? [];
    const earlierName = renamedFrom === undefined ? [] : (this.#generations.get(renamedFrom) ?? []);
    const { generation, added } = decideGeneration({ own, earlierName, newest: this.#newest }, options);
    this.#generations.set(history, [...own, ...added]);
    this.#newest = Math.max(this.#newest, ...added);
    return generation;
  }

  async generationsOf(history: string): Promise<readonly number[]> {
    this.#check();
    return this.#generations.get(history) ?? [];
  }

  async keepAlive(generation: number | undefined): Promise<NewestGeneration> {
    this.#check();
    const nowMs = this.#nowMs();
    // One that the ledger does not know may be given later.
    if (generation !== undefined && generation <= this.#newest) this.#seenAtMs.set(generation, nowMs);
    return newestSeen(this.#seenAtMs, nowMs);
  }

  async reserve(requests: readonly ReserveRequest[]): Promise<readonly ReserveOutcome[]> {
    this.#check();
    const nowMs = this.#nowMs();
    return requests.map((request) => {
      const { outcome, entry } = decideReservation(this.#entries.get(request.conversation), request, nowMs);
      if (entry !== undefined) this.#entries.set(request.conversation, entry);
      if (outcome.status === 'reserved' && outcome.gap !== undefined) this.#addGap(outcome.gap, nowMs);
      return outcome;
    });
  }

  async recordGaps(gaps: readonly NewGap[]): Promise<void> {
    this.#check();
    for (const gap of gaps) this.#addGap(gap, this.#nowMs());
  }

  async freeze(generation: number, words: readonly RemovableWord[]): Promise<readonly boolean[]> {
    this.#check();
    return this.#change(words, (entry, word) => decideFreeze(entry, generation, word, this.#nowMs()));
  }

  async handBack(generation: number, words: readonly RemovableWord[]): Promise<readonly boolean[]> {
    this.#check();
    return this.#change(words, (entry, word) => decideHandBack(entry, generation, word, this.#nowMs()));
  }

  async load(conversations: readonly string[]): Promise<readonly (LedgerEntry | undefined)[]> {
    this.#check();
    return conversations.map((conversation) => this.#entries.get(conversation));
  }

  async list(
    type: string | undefined,
    page: { after: string | undefined; limit: number },
  ): Promise<readonly LedgerEntry[]> {
    this.#check();
    const prefix = type === undefined ? '' : `${type}:`;
    const after = page.after ?? '';
    return [...this.#entries.values()]
      .filter(({ conversation }) => conversation.startsWith(prefix) && compareUtf8(conversation, after) > 0)
      .sort((a, b) => compareUtf8(a.conversation, b.conversation))
      .slice(0, page.limit);
  }

  async gaps(
    conversation: string,
    range: { from: number; to: number; limit: number },
  ): Promise<readonly Gap[]> {
    this.#check();
    return [...(this.#gaps.get(conversation)?.values() ?? [])]
      .filter((gap) => gap.last >= range.from && gap.first <= range.to)
      .sort((a, b) => a.first - b.first || a.last - b.last)
      .slice(0, range.limit);
  }

  async completeMarks(conversations: readonly string[]): Promise<readonly (number | undefined)[]> {
    this.#check();
    return conversations.map((conversation) => this.#completeMarks.get(conversation));
  }

  async raiseCompleteMarks(marks: readonly CompleteMark[]): Promise<void> {
    this.#check();
    checkCompleteMarks(marks);
    for (const { conversation, completeUpTo } of marks) {
      const known = this.#completeMarks.get(conversation) ?? 0;
      this.#completeMarks.set(conversation, Math.max(known, completeUpTo));
    }
  }

  onNotice(_listener: (notice: LedgerNotice) => void): void {}

  async close(): Promise<void> {
    this.#closed = true;
  }

  #change(
    words: readonly RemovableWord[],
    decide: (entry: LedgerEntry | undefined, word: RemovableWord) => LedgerEntry | undefined,
  ): boolean[] {
    return words.map((word) => {
      const entry = decide(this.#entries.get(word.conversation), word);
      if (entry !== undefined) this.#entries.set(word.conversation, entry);
      return entry !== undefined;
    });
  }

  #addGap(gap: NewGap, nowMs: number): void {
    const gaps = this.#gaps.get(gap.conversation) ?? new Map<string, Gap>();
    this.#gaps.set(gap.conversation, gaps);
    const id = `${gap.first}-${gap.last}-${gap.reason}`;
    if (!gaps.has(id)) gaps.set(id, { ...gap, certain: gapReasons[gap.reason].certain, recordedAtMs: nowMs });
  }

  #check(): void {
    if (this.#closed) throw new TidemarkError('closed', 'the ledger is closed; open a new one');
  }
}
