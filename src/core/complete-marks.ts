import { TidemarkError } from '../errors.js';
import type { CompleteMark, Ledger } from './ledger.js';
import { RecentMap } from './recent-map.js';

/** How far a conversation has to be complete beyond its mark before that is raised: marks may lag. */
const raiseEvery = 1_000;
const marksPerWrite = 250;
/** Most conversations whose marks wait to be raised; more wait until they are seen again. */
const maxWaiting = 10_000;

/**
 * Raises the complete marks in the ledger now and then: from there tracking begins again when the counter store has lost
 * what it knew. A mark that could not be written is written when the conversation is seen complete again.
 */
export class CompleteMarks {
  readonly #ledger: Ledger;
  /** What this process has written. */
  readonly #written: RecentMap<number>;
  readonly #waiting = new Map<string, number>();
  #writing: Promise<void> | undefined;

  constructor(parts: { ledger: Ledger; options: { readonly maxRemembered: number } }) {
    this.#ledger = parts.ledger;
    this.#written = new RecentMap(parts.options.maxRemembered);
  }

  /** The conversation is complete up to here. */
  saw(conversation: string, completeUpTo: number): void {
    const written = this.#written.get(conversation);
    if (written !== undefined && completeUpTo < written + raiseEvery) return;
    if (this.#waiting.size >= maxWaiting) return;
    this.#waiting.set(conversation, completeUpTo);
    this.#writing ??= this.#writeAll();
  }

  /** Writes marks now. @throws TidemarkError as the ledger does */
  async write(marks: readonly CompleteMark[]): Promise<void> {
    if (marks.length === 0) return;
    await this.#ledger.raiseCompleteMarks(marks);
    for (const { conversation, completeUpTo } of marks) this.#written.set(conversation, completeUpTo);
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    // Those of the same turn share a write.
    await Promise.resolve();
    while (this.#waiting.size > 0) {
      const marks: CompleteMark[] = [];
      for (const [conversation, completeUpTo] of this.#waiting) {
        if (marks.length === marksPerWrite) break;
        marks.push({ conversation, completeUpTo });
      }
      for (const { conversation } of marks) this.#waiting.delete(conversation);
      await this.#tryToWrite(marks);
    }
    this.#writing = undefined;
  }

  /** A mark in the ledger that makes no sense must not keep those of other conversations from being raised. */
  async #tryToWrite(marks: readonly CompleteMark[]): Promise<void> {
    try {
      await this.write(marks);
    } catch (error) {
      const others = marks.filter(({ conversation }) => conversation !== conversationOf(error));
      if (others.length < marks.length && others.length > 0) await this.#tryToWrite(others);
    }
  }
}

/** The conversation that an error is about. */
function conversationOf(error: unknown): string | undefined {
  return error instanceof TidemarkError ? error.conversation : undefined;
}
