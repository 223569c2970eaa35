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
  takeFrom,
} from '../../core/counter-word.js';
import type { RemovableWord } from '../../core/ledger.js';

/** Words that are looked at for idle ones before everything else has its turn. */
const idlePerStep = 1_000;

const firstPlaces = 1_024;

/**
 * Counter words by the keys of their conversations, each with the time when it was touched last: two numbers side by side
 * in one array, because an object for each would be three places in memory, and those are what a take costs here.
 */
export class KeptWords {
  readonly #places = new Map<string, number>();
  /** A word at twice its place, and its time behind it. */
  #numbers = new Float64Array(2 * firstPlaces);
  /** Places that were given up. */
  readonly #free: number[] = [];

  /** The packed word of a conversation. */
  get(conversation: string): number | undefined {
    const place = this.#places.get(conversation);
    return place === undefined ? undefined : this.#numbers[2 * place];
  }

  /** Takes numbers. Returns the word that it left; undefined when nothing was taken: there is no word, or it is too short. */
  take(conversation: string, count: number, nowMs: number): number | undefined {
    const place = this.#places.get(conversation);
    if (place === undefined) return undefined;
    const after = takeFrom(this.#numbers[2 * place]!, count);
    if (after !== undefined) this.#numbers[2 * place] = after;
    this.#numbers[2 * place + 1] = nowMs;
    return after;
  }

  clear(): void {
    this.#places.clear();
    this.#free.length = 0;
  }

  grant({ conversation, block, mode, expiresAtStoreTimeMs }: Grant, nowMs: number): GrantResult {
    const size = block.end - block.start;
    if (size < 1 || size > maxRemaining || block.end > maxSequenceNumber) return 'refused';
    // I8: a reservation that took too long is not installed; somebody may have taken the conversation over since.
    if (mode === 'install' && nowMs > expiresAtStoreTimeMs) return 'refused';
    const word = this.get(conversation);
    const ceiling = word === undefined ? -1 : ceilingOf(decoded(word));
    if (mode === 'install' && ceiling < block.start) {
      this.#set(conversation, packWord({ last: block.start, remaining: size }), nowMs);
      return 'granted';
    }
    // I5: only the word that the reservation was made for lets the grant pass.
    if (word === undefined || ceiling !== block.start || remainingOf(word) + size > maxRemaining)
      return 'refused';
    this.#set(conversation, word + packWord({ last: 0, remaining: size }), nowMs);
    return 'granted';
  }

  /** Removes a word, if it still reaches as far as it was seen to (I14). */
  drain({ conversation, word: seen }: RemovableWord): CounterWord | undefined {
    const place = this.#places.get(conversation);
    if (place === undefined) return undefined;
    const word = decoded(this.#numbers[2 * place]!);
    if (ceilingOf(word) !== ceilingOf(seen)) return undefined;
    this.#places.delete(conversation);
    this.#free.push(place);
    return word;
  }

  /** Conversations whose word nobody has changed for `idleMs`, from one step of the walk after the other. */
  async *idle(idleMs: number, nowMs: () => number): AsyncGenerator<readonly string[]> {
    let looked = 0;
    let idle: string[] = [];
    for (const [conversation, place] of this.#places) {
      if (nowMs() - this.#numbers[2 * place + 1]! >= idleMs) idle.push(conversation);
      looked += 1;
      if (looked % idlePerStep > 0) continue;
      yield idle;
      idle = [];
      await immediate();
    }
    yield idle;
  }

  #set(conversation: string, word: number, nowMs: number): void {
    let place = this.#places.get(conversation);
    if (place === undefined) {
      place = this.#free.pop() ?? this.#places.size;
      this.#places.set(conversation, place);
      if (2 * place === this.#numbers.length) this.#grow();
    }
    this.#numbers[2 * place] = word;
    this.#numbers[2 * place + 1] = nowMs;
  }

  #grow(): void {
    const numbers = new Float64Array(2 * this.#numbers.length);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
  }
}

export function decoded(word: number): CounterWord {
  return { last: lastOf(word), remaining: remainingOf(word) };
}
