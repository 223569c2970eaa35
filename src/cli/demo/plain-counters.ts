/** What Tidemark is compared with: plain INCR, and a snapshot of every conversation once in a while. */

/** A snapshot is taken when a conversation reaches a multiple of this number. */
export const snapshotEvery = 10_000;

/** Counters that are incremented, and the snapshots that are left when they are lost. */
export class PlainCounters {
  readonly #counters = new Map<string, number>();
  readonly #snapshots = new Map<string, number>();

  /** INCR, and a snapshot when one is due. */
  async next(conversation: string): Promise<number> {
    const number = (this.#counters.get(conversation) ?? 0) + 1;
    this.#counters.set(conversation, number);
    if (number % snapshotEvery === 0) this.#snapshots.set(conversation, number);
    return number;
  }

  /** Loses the counters and recovers them from the snapshots. */
  loseAndRecover(): void {
    this.#counters.clear();
    for (const [conversation, number] of this.#snapshots) this.#counters.set(conversation, number);
  }
}
