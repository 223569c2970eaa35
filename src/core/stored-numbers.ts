/** Numbers of stored messages, conversation by conversation: what comes twice, and what is missing. */

import { TidemarkError } from '../errors.js';
import { parseConversation } from './conversation.js';
import { maxSequenceNumber } from './counter-word.js';
import { quote } from './quote.js';
import { compareUtf8 } from './utf8.js';

/** Ranges of each kind that are kept of one conversation; further ones are only counted. */
const maxRanges = 1_000;

/** The number of one stored message. */
export interface StoredNumber {
  /** The key of the conversation, as `group:g1`. */
  readonly conversation: string;
  /** 1 to 10^12 − 1. */
  readonly number: number;
}

interface NumberRange {
  readonly first: number;
  readonly last: number;
}

/** The numbers of one conversation. */
export class StoredConversation {
  highest = 0;
  messages = 0;
  twice = 0;
  /** Numbers that more than one message has, the first thousand. */
  readonly twiceFirst: number[] = [];
  /** What is missing below the highest, the first thousand ranges. */
  readonly holes: NumberRange[] = [];

  constructor(readonly conversation: string) {}

  /** Numbers come in order. */
  add(number: number): void {
    this.messages += 1;
    if (number === this.highest) {
      this.twice += 1;
      if (this.twiceFirst.at(-1) !== number && this.twiceFirst.length < maxRanges)
        this.twiceFirst.push(number);
    } else if (number > this.highest + 1 && this.holes.length < maxRanges)
      this.holes.push({ first: this.highest + 1, last: number - 1 });
    this.highest = number;
  }
}

/**
 * Groups numbers by conversation, with one of them in memory.
 *
 * @param numbers - in order of the conversations' key bytes, then of the numbers
 * @throws TidemarkError `invalid_conversation` for what names none; `invalid_argument` for another spelling of one, for what is
 * no number, and for another order
 */
export async function* byConversation(
  numbers: AsyncIterable<StoredNumber>,
): AsyncGenerator<StoredConversation> {
  let current: StoredConversation | undefined;
  for await (const { conversation, number } of numbers) {
    if (current?.conversation !== conversation) {
      checkNext(current?.conversation, conversation);
      if (current !== undefined) yield current;
      current = new StoredConversation(conversation);
    }
    if (!Number.isInteger(number) || number < 1 || number > maxSequenceNumber)
      throw invalid(
        `a message of ${conversation} has the number ${quote(String(number))}, which is none from 1 to ${maxSequenceNumber}`,
      );
    if (number < current.highest)
      throw invalid(unordered(`${conversation} ${number}`, `${conversation} ${current.highest}`));
    current.add(number);
  }
  if (current !== undefined) yield current;
}

function checkNext(before: string | undefined, conversation: string): void {
  if (before !== undefined && compareUtf8(before, conversation) >= 0)
    throw invalid(unordered(conversation, before));
  if (typeof conversation !== 'string' || parseConversation(conversation).key !== conversation)
    throw invalid(
      `${quote(String(conversation))} is not the key of a conversation; select it as Tidemark writes it, such as group:g1`,
    );
}

function unordered(one: string, before: string): string {
  return `${quote(one)} came after ${quote(before)}; order the messages by the bytes of the conversation, then by the number`;
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', message);
}
