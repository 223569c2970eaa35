import { TidemarkError } from '../errors.js';
import { backoffMs } from './backoff.js';
import type { Clock } from './clock.js';
import type { ConversationState } from './conversation-state.js';
import { asTidemarkError } from './epochs.js';
import type { EventListener } from './events.js';
import type { Ledger } from './ledger.js';

/** Delay between two looks whether the ledger is back: doubles from the first to the second, in milliseconds. */
const firstProbeMs = 50;
const maxProbeMs = 1_000;

/**
 * Whether the ledger can be reached, and who waits for it.
 *
 * `up` → `down` at the first failure or missed deadline; then one probe at a time goes on until it succeeds: `up` again.
 * Meanwhile conversations either go on unbacked or are held, see `Reservations`.
 */
export class LedgerOutage {
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #patienceMs: number;
  readonly #emit: EventListener;
  readonly #onUp: (held: ConversationState[], unbacked: ConversationState[]) => void;
  readonly #held = new Set<ConversationState>();
  readonly #unbacked = new Set<ConversationState>();
  #trouble: TidemarkError | undefined;
  #cancelProbe: (() => void) | undefined;
  #failures = 0;
  #closed = false;

  constructor(parts: {
    ledger: Ledger;
    clock: Clock;
    patienceMs: number;
    emit: EventListener;
    /** The ledger is back: conversations that were held, and those that it has to learn about. */
    onUp: (held: ConversationState[], unbacked: ConversationState[]) => void;
  }) {
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#patienceMs = parts.patienceMs;
    this.#emit = parts.emit;
    this.#onUp = parts.onUp;
  }

  /** What is wrong with the ledger; undefined while it can be reached. */
  get trouble(): TidemarkError | undefined {
    return this.#trouble;
  }

  /** How many conversations were extended without the ledger. */
  get unbackedCount(): number {
    return this.#unbacked.size;
  }

  /**
   * Runs an operation of the ledger, for no longer than its patience.
   *
   * @throws TidemarkError as the ledger does, and `ledger_unavailable` when it does not answer. The operation may still
   * succeed later; reservations are made so that this is safe (I5).
   */
  async attempt<T>(operation: () => Promise<T>): Promise<T> {
    try {
      const result = await this.#patiently(operation);
      this.#failures = 0;
      return result;
    } catch (error) {
      const trouble = asTidemarkError(error);
      if (trouble.code === 'ledger_unavailable' || trouble.code === 'ledger_full') this.#down(trouble);
      throw trouble;
    }
  }

  async #patiently<T>(operation: () => Promise<T>): Promise<T> {
    let cancel: () => void = () => undefined;
    const impatience = new Promise<never>((_, reject) => {
      const message = `the ledger did not answer within ${this.#patienceMs} ms`;
      cancel = this.#clock.setTimer(this.#patienceMs, () =>
        reject(new TidemarkError('ledger_unavailable', message)),
      );
    });
    try {
      return await Promise.race([operation(), impatience]);
    } finally {
      cancel();
    }
  }

  /** The conversation can do nothing before the ledger is back. */
  hold(state: ConversationState): void {
    state.awaitingBlock = true;
    state.trouble = this.#trouble;
    this.#held.add(state);
  }

  /** The conversation's word reaches, or may soon reach, further than the ledger knows. */
  unbacked(state: ConversationState, ceiling: number): void {
    state.unbackedCeiling = Math.max(state.unbackedCeiling ?? 0, ceiling);
    this.#unbacked.add(state);
    this.#emit({ type: 'unbacked', conversation: state.key, ceiling });
  }

  /** The ledger knows this conversation's ceiling again. */
  backed(state: ConversationState): void {
    state.unbackedCeiling = undefined;
    this.#unbacked.delete(state);
    this.#emit({ type: 'backed', conversation: state.key });
  }

  /** Conversations that the ledger has to learn about. */
  get unbackedStates(): ConversationState[] {
    return [...this.#unbacked];
  }

  /** Ends the probe. */
  close(): void {
    this.#closed = true;
    this.#cancelProbe?.();
  }

  #down(trouble: TidemarkError): void {
    const wasUp = this.#trouble === undefined;
    this.#trouble = trouble;
    if (!wasUp) return;
    this.#emit({ type: 'store', store: 'ledger', status: 'down', cause: trouble });
    this.#probeLater();
  }

  #probeLater(): void {
    if (this.#closed) return;
    this.#cancelProbe = this.#clock.setTimer(backoffMs(this.#failures, firstProbeMs, maxProbeMs), () => {
      void this.#probe();
    });
    this.#failures += 1;
  }

  async #probe(): Promise<void> {
    try {
      // A ledger that can be read may still refuse writes. The next reservation finds that out, and the delay before the
      // next probe goes on growing then.
      await this.#patiently(() => this.#ledger.load(['probe:ledger']));
      this.#up();
    } catch {
      this.#probeLater();
    }
  }

  #up(): void {
    if (this.#closed) return;
    this.#trouble = undefined;
    this.#emit({ type: 'store', store: 'ledger', status: 'up' });
    const held = [...this.#held];
    this.#held.clear();
    for (const state of held) state.awaitingBlock = false;
    this.#onUp(held, this.unbackedStates);
  }
}
