/** Replies of the Redis protocol, as text, and their order. */

import { TidemarkError } from '../../errors.js';

/** 2, or 3 after `HELLO 3`. */
export type ProtocolVersion = 2 | 3;

export const ok = '+OK\r\n';

export function integer(value: number): string {
  return `:${value}\r\n`;
}

export function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

export function missing(version: ProtocolVersion): string {
  return version === 3 ? '_\r\n' : '$-1\r\n';
}

export function array(items: readonly string[]): string {
  return `*${items.length}\r\n${items.join('')}`;
}

/** A map in version 3; a list of names and values in version 2. */
export function map(entries: readonly (readonly [string, string])[], version: ProtocolVersion): string {
  const header = version === 3 ? `%${entries.length}\r\n` : `*${entries.length * 2}\r\n`;
  return header + entries.map(([name, value]) => bulk(name) + value).join('');
}

/** @param word - the first word, by which clients tell errors apart */
export function failure(message: string, word = 'ERR'): string {
  return `-${word} ${message.replace(/[\r\n]+/g, ' ')}\r\n`;
}

const words: Partial<Record<string, string>> = { unauthenticated: 'NOAUTH', permission_denied: 'NOPERM' };

/** Our own errors begin with their code behind the first word. */
export function failureOf(error: unknown): string {
  if (!(error instanceof TidemarkError)) return failure('internal: a fault of Tidemark; please report it');
  return failure(error.message, words[error.code]);
}

/**
 * Replies of one connection in the order of their commands, whenever each of them is ready.
 *
 * Written when the turn's promises are done, so that the replies of a pipeline are one packet.
 */
export class ReplyQueue {
  readonly #write: (text: string) => void;
  /** From the first one that is not written; undefined for those that are not ready. */
  #replies: (string | undefined)[] = [];
  /** How many were written before these. */
  #written = 0;
  #isScheduled = false;

  constructor(write: (text: string) => void) {
    this.#write = write;
  }

  /** Commands whose replies are not written. */
  get length(): number {
    return this.#replies.length;
  }

  /** Keeps a place for a reply that is not ready. */
  reserve(): number {
    return this.#written + this.#replies.push(undefined) - 1;
  }

  fill(place: number, reply: string): void {
    this.#replies[place - this.#written] = reply;
    if (place === this.#written) this.#schedule();
  }

  push(reply: string): void {
    if (this.#replies.push(reply) === 1) this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(() => this.#flush());
  }

  #flush(): void {
    this.#isScheduled = false;
    const replies = this.#replies;
    let ready = 0;
    while (ready < replies.length && replies[ready] !== undefined) ready += 1;
    if (ready === 0) return;
    const isAll = ready === replies.length;
    this.#replies = isAll ? [] : replies.slice(ready);
    this.#written += ready;
    this.#write((isAll ? replies : replies.slice(0, ready)).join(''));
  }
}
