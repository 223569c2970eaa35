import { setImmediate as immediate } from 'node:timers/promises';
import type { Grant, GrantResult } from '../../core/counter-store.js';
import {
  type CounterWord,
  ceilingOf,
  lastOf,
  maxRemaining,
  maxSequenceNumber,
  packWord,
  remainingOf,
} from '../../core/counter-word.js';
import type { RemovableWord } from '../../core/ledger.js';

/** Words that are looked at for idle ones before everything else has its turn. */
const idlePerStep = 1_000;

/** A counter word, and when it was changed last. */
export interface KeptWord {
  word: number;
  touchedAtMs: number;
}

/** Counter words by the keys of their conversations. */
export class KeptWords {
  readonly #words = new Map<string, KeptWord>();

  get(conversation: string): KeptWord | undefined {
    return this.#words.get(conversation);
  }

  clear(): void {
    this.#words.clear();
  }

  grant({ conversation, block, mode, expiresAtStoreTimeMs }: Grant, nowMs: number): GrantResult {
    const size = block.end - block.start;
    if (size < 1 || size > maxRemaining || block.end > maxSequenceNumber) return 'refused';
    // I8: a reservation that took too long is not installed; somebody may have taken the conversation over since.
    if (mode === 'install' && nowMs > expiresAtStoreTimeMs) return 'refused';
    const kept = this.#words.get(conversation);
    const ceiling = kept === undefined ? -1 : lastOf(kept.word) + remainingOf(kept.word);
    if (mode === 'install' && ceiling < block.start) {
      const word = packWord({ last: block.start, remaining: size });
      this.#words.set(conversation, { word, touchedAtMs: nowMs });
      return 'granted';
    }
    // I5: only the word that the reservation was made for lets the grant pass.
    if (kept === undefined || ceiling !== block.start || remainingOf(kept.word) + size > maxRemaining)
      return 'refused';
    kept.word += packWord({ last: 0, remaining: size });
    kept.touchedAtMs = nowMs;
    return 'granted';
  }

  /** Removes a word, if it still reaches as far as it was seen to (I14). */
  drain({ conversation, word: seen }: RemovableWord): CounterWord | undefined {
    const kept = this.#words.get(conversation);
    if (kept === undefined) return undefined;
    const word = decoded(kept.word);
    if (ceilingOf(word) !== ceilingOf(seen)) return undefined;
    this.#words.delete(conversation);
    return word;
  }

  /** Conversations whose word nobody has changed for `idleMs`, from one step of the walk after the other. */
  async *idle(idleMs: number, nowMs: () => number): AsyncGenerator<readonly string[]> {
    let looked = 0;
    let idle: string[] = [];
    for (const [conversation, { touchedAtMs }] of this.#words) {
      if (nowMs() - touchedAtMs >= idleMs) idle.push(conversation);
      looked += 1;
      if (looked % idlePerStep > 0) continue;
      yield idle;
      idle = [];
      await immediate();
    }
    yield idle;
  }
}

export function decoded(word: number): CounterWord {
  return { last: lastOf(word), remaining: remainingOf(word) };
}
