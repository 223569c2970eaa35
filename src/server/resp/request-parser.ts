/**
 * Reads commands of the Redis protocol from bytes as they come: arrays of bulk strings, or a line of words (inline).
 *
 * What a stranger sends is bounded before it is kept: bytes of a command, how many words it has, how long one line is.
 */

import { isUtf8 } from 'node:buffer';

/** A command's name and its arguments. */
export type Command = readonly string[];

/** The bytes are no commands; the connection cannot go on. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

/** Words of one command: a MGET of a thousand keys has 1,001. */
export const maxWords = 1_024;
/** Digits of a length, and the bytes around them. */
const maxHeaderBytes = 32;
const [cr, lf, star, dollar, zero, nine] = [13, 10, 42, 36, 48, 57];
const nothing = Buffer.alloc(0);
const nonAscii = /[\u0080-\u00ff]/;

export class RequestParser {
  readonly #maxBytes: number;
  #bytes: Buffer = nothing;
  #at = 0;
  /** A command has begun and is not whole. Its words so far, and how many are to come. */
  #words: string[] = [];
  #missing = 0;
  /** Bytes of the words so far. */
  #size = 0;

  /** @param maxBytes - of one command */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** True when bytes of a command that is not whole are waiting for the rest. */
  get isWaiting(): boolean {
    return this.#missing > 0 || this.#at < this.#bytes.length;
  }

  push(chunk: Buffer): void {
    if (this.#at === this.#bytes.length) this.#bytes = chunk;
    else this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), chunk]);
    this.#at = 0;
  }

  /**
   * The next command that is whole; undefined when more bytes are needed.
   *
   * @throws ProtocolError
   */
  next(): Command | undefined {
    while (this.#missing === 0) {
      if (this.#at === this.#bytes.length) return this.#release();
      if (this.#bytes[this.#at] !== star) {
        const words = this.#inline();
        if (words === undefined || words.length > 0) return words;
        continue;
      }
      const count = this.#length(star, maxWords, 'invalid multibulk length');
      if (count === undefined) return undefined;
      this.#missing = count;
    }
    while (this.#missing > 0) {
      const word = this.#bulk();
      if (word === undefined) return undefined;
      this.#words.push(word);
      this.#missing -= 1;
    }
    const words = this.#words;
    this.#words = [];
    this.#size = 0;
    return words;
  }

  #release(): undefined {
    this.#bytes = nothing;
    this.#at = 0;
    return undefined;
  }

  #bulk(): string | undefined {
    const before = this.#at;
    if (before === this.#bytes.length) return this.#release();
    const length = this.#length(dollar, this.#maxBytes, 'invalid bulk length');
    if (length === undefined) return undefined;
    if (this.#size + length > this.#maxBytes)
      throw new ProtocolError(`a command may have ${this.#maxBytes} bytes`);
    const [start, end] = [this.#at, this.#at + length];
    if (this.#bytes.length < end + 2) {
      this.#at = before;
      return undefined;
    }
    if (this.#bytes[end] !== cr || this.#bytes[end + 1] !== lf)
      throw new ProtocolError('expected CRLF behind a bulk string');
    this.#at = end + 2;
    this.#size += length;
    return textOf(this.#bytes, start, end);
  }

  /** The number of a line such as `*2`; undefined when the line is not whole. */
  #length(kind: number, max: number, fault: string): number | undefined {
    const bytes = this.#bytes;
    if (bytes[this.#at] !== kind) throw new ProtocolError(`expected '${String.fromCharCode(kind)}'`);
    let value = 0;
    let at = this.#at + 1;
    for (; at < bytes.length; at += 1) {
      const byte = bytes[at]!;
      if (byte < zero || byte > nine) break;
      value = value * 10 + byte - zero;
      if (value > max) throw new ProtocolError(`${fault}: more than ${max}`);
    }
    if (at - this.#at > maxHeaderBytes) throw new ProtocolError(fault);
    if (at + 1 >= bytes.length) {
      if (at < bytes.length && bytes[at] !== cr) throw new ProtocolError(fault);
      return undefined;
    }
    if (bytes[at] !== cr || bytes[at + 1] !== lf || at === this.#at + 1) throw new ProtocolError(fault);
    this.#at = at + 2;
    return value;
  }

  /** A line of words. Nobody sends names with spaces or quotation marks in it: that is what arrays are for. */
  #inline(): Command | undefined {
    const end = this.#bytes.indexOf(lf, this.#at);
    const length = (end < 0 ? this.#bytes.length : end) - this.#at;
    if (length > this.#maxBytes) throw new ProtocolError('too big inline request');
    if (end < 0) return undefined;
    const line = textOf(this.#bytes, this.#at, this.#bytes[end - 1] === cr && end > this.#at ? end - 1 : end);
    this.#at = end + 1;
    if (/["']/.test(line)) throw new ProtocolError('quotation marks are not read in inline commands');
    const words = line.split(/[ \t]+/).filter((word) => word !== '');
    if (words.length > maxWords) throw new ProtocolError(`more than ${maxWords} words`);
    return words;
  }
}

/** Bytes that are no UTF-8 would become the same text as others (I9). */
function textOf(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString('latin1', start, end);
  if (!nonAscii.test(text)) return text;
  if (!isUtf8(bytes.subarray(start, end))) throw new ProtocolError('a word is not UTF-8');
  return bytes.toString('utf8', start, end);
}
