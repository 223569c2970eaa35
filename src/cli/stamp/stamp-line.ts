/** One line of a chat: which conversation it belongs to, and the same bytes with its number. Pure. */

import { isUtf8 } from 'node:buffer';
import {
  type Conversation,
  conversation,
  groupChat,
  parseConversation,
  privateChat,
} from '../../core/conversation.js';
import { TidemarkError } from '../../errors.js';

/** A line that gets no number, and why. The message never quotes the line: it is somebody's chat. */
export class BadLine extends Error {
  override readonly name = 'BadLine';
}

const closingBrace = 0x7d;

/**
 * The conversation that a line names: `conversation`, or else `group`, or else `sender` and `recipient`, or else `type`
 * and `id`. A field that is null counts as not there.
 *
 * @throws BadLine
 */
export function conversationOfLine(bytes: Buffer): Conversation {
  const fields = parse(bytes);
  if (Object.hasOwn(fields, 'sequence')) throw new BadLine('it has a "sequence" already');
  try {
    return named(fields);
  } catch (error) {
    if (error instanceof TidemarkError) throw new BadLine(error.message);
    throw error;
  }
}

/**
 * The line with `,"sequence":<number>` before the brace that ends it. Every other byte stays as it is.
 *
 * @param bytes - a line that {@link conversationOfLine} has accepted
 */
export function withSequence(bytes: Buffer, sequence: number): Buffer[] {
  // The last brace of a JSON object is its end: only white space may follow.
  const end = bytes.lastIndexOf(closingBrace);
  return [bytes.subarray(0, end), Buffer.from(`,"sequence":${sequence}`), bytes.subarray(end)];
}

/** True for a line of nothing but white space. */
export function isBlank(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
}

function parse(bytes: Buffer): Record<string, unknown> {
  // Otherwise two ids that differ in their broken bytes would become the same text.
  if (!isUtf8(bytes)) throw new BadLine('it is not UTF-8');
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    throw new BadLine('it is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new BadLine('it is not a JSON object');
  return value as Record<string, unknown>;
}

function named(fields: Record<string, unknown>): Conversation {
  const own = (name: string): unknown =>
    Object.hasOwn(fields, name) ? (fields[name] ?? undefined) : undefined;
  const whole = own('conversation');
  // What is not text is refused by each of these.
  if (whole !== undefined) return parseConversation(whole as string);
  const group = own('group');
  const recipient = own('recipient');
  if (group !== undefined && recipient !== undefined)
    throw new BadLine('it names both a group and a recipient');
  if (group !== undefined) return groupChat(group as string);
  if (recipient !== undefined) {
    if (own('sender') === undefined) throw new BadLine('it has a recipient and no sender');
    return privateChat(own('sender') as string, recipient as string);
  }
  const type = own('type');
  const id = own('id');
  if (type !== undefined && id !== undefined) return conversation(type as string, id as string);
  throw new BadLine(
    'it names no conversation; it needs group, or sender and recipient, or conversation, or type and id',
  );
}
