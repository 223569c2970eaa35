/**
 * Names of conversations.
 *
 * A conversation is written `<type>:<id>`: `group:group001`, `private:user001:user002`. The separator `:` and the
 * escape character `%` inside an id are written `%3A` and `%25`, so no two conversations share a key (I9).
 */

import { TidemarkError } from '../errors.js';
import { quote } from './quote.js';
import { compareUtf8 } from './utf8.js';

/** Most UTF-8 bytes of one id after escaping. */
export const maxIdBytes = 255;
/** Most characters of a conversation type. */
const maxTypeLength = 32;

const typePattern = /^[a-z][a-z0-9_-]*$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this pattern refuses.
const controlCharacter = /[\u0000-\u001f\u007f-\u009f]/;
const separatorOrEscape = /[:%]/;
const separatorOrEscapeAll = /[:%]/g;
const escapeSequence = /%(3A|25)?/g;
const constructionKey = Symbol('conversation');

/**
 * A validated conversation. Made by {@link privateChat}, {@link groupChat}, {@link conversation} or
 * {@link parseConversation}; two conversations are the same when their `key` is the same.
 *
 * @example
 * ```ts
 * import { Conversation, groupChat } from 'tidemark';
 * const team = groupChat('team');
 * console.log(team instanceof Conversation, team.type, team.id, team.key); // true group team group:team
 * ```
 */
export class Conversation {
  /** `private`, `group` or a type of your own. */
  readonly type: string;
  /** Escaped id; for a private chat both ids, sorted and joined by `:`. */
  readonly id: string;
  /** `<type>:<id>`, unique to this conversation. */
  readonly key: string;

  /** @internal Use {@link privateChat}, {@link groupChat}, {@link conversation} or {@link parseConversation}. */
  constructor(guard: symbol, type: string, id: string) {
    if (guard !== constructionKey) {
      throw new TidemarkError(
        'invalid_conversation',
        'make conversations with privateChat, groupChat or conversation',
      );
    }
    // One string for all groups, however their names were read.
    this.type = type === 'group' ? 'group' : type;
    this.id = id;
    this.key = `${type}:${id}`;
  }

  toString(): string {
    return this.key;
  }

  toJSON(): string {
    return this.key;
  }
}

/**
 * The private chat of two users, whichever comes first. Ids are sorted by their UTF-8 bytes, so services in other
 * languages agree. A chat with oneself is allowed.
 *
 * @param a - id of one user: 1 to 255 bytes of UTF-8 after escaping, no control characters
 * @param b - id of the other user, same limits
 * @returns the conversation, `private:<smaller id>:<larger id>`
 * @throws TidemarkError `invalid_conversation`
 * @example
 * ```ts
 * import { privateChat } from 'tidemark';
 * console.log(privateChat('user002', 'user001').key); // private:user001:user002
 * ```
 */
export function privateChat(a: string, b: string): Conversation {
  const first = escapeId(a, 'first user id of the private chat');
  const second = escapeId(b, 'second user id of the private chat');
  // Escaping may change the order of bytes, so the ids are compared as they were given.
  return compareUtf8(a, b) <= 0
    ? new Conversation(constructionKey, 'private', `${first}:${second}`)
    : new Conversation(constructionKey, 'private', `${second}:${first}`);
}

/**
 * The chat of a group.
 *
 * @param id - id of the group: 1 to 255 bytes of UTF-8 after escaping, no control characters
 * @returns the conversation, `group:<id>`
 * @throws TidemarkError `invalid_conversation`
 * @example
 * ```ts
 * import { groupChat } from 'tidemark';
 * console.log(groupChat('group001').key); // group:group001
 * ```
 */
export function groupChat(id: string): Conversation {
  return new Conversation(constructionKey, 'group', escapeId(id, 'group id'));
}

/**
 * A conversation of any type. For the type `private` the id is the pair as in `privateChat(a, b).id`.
 *
 * @param type - 1 to 32 characters: `a`–`z` first, then `a`–`z`, `0`–`9`, `_`, `-`
 * @param id - 1 to 255 bytes of UTF-8 after escaping, no control characters; given unescaped, except for `private`
 * @returns the conversation, `<type>:<id>`
 * @throws TidemarkError `invalid_conversation`
 * @example
 * ```ts
 * import { conversation } from 'tidemark';
 * console.log(conversation('channel', 'news').key); // channel:news
 * console.log(conversation('private', 'bob:alice').key); // private:alice:bob
 * ```
 */
export function conversation(type: string, id: string): Conversation {
  checkType(type);
  if (type === 'private') return parsePair(id);
  return new Conversation(constructionKey, type, escapeId(id, `id of the ${type} conversation`));
}

/**
 * Reads a conversation as it is written in keys, in the CLI and in the ledger: the inverse of `conversation.key`.
 *
 * @param text - `<type>:<id>`, with `:` and `%` inside an id written `%3A` and `%25`
 * @returns the conversation
 * @throws TidemarkError `invalid_conversation`
 * @example
 * ```ts
 * import { parseConversation } from 'tidemark';
 * console.log(parseConversation('group:a%3Ab').id); // a%3Ab
 * ```
 */
export function parseConversation(text: string): Conversation {
  if (typeof text !== 'string') throw invalid(`a conversation is written as text, got ${typeof text}`);
  const separator = text.indexOf(':');
  if (separator < 0) {
    throw invalid(`${quote(text)} has no type; write group:g1, private:alice:bob or type:id`);
  }
  const type = text.slice(0, separator);
  const id = text.slice(separator + 1);
  checkType(type);
  if (type === 'private') return parsePair(id);
  return new Conversation(constructionKey, type, escapeId(unescapeId(id), `id of the ${type} conversation`));
}

function parsePair(pair: string): Conversation {
  if (typeof pair !== 'string')
    throw invalid(`the id of a private chat must be a string, got ${typeof pair}`);
  // Before it is split, so that a huge one costs nothing.
  if (pair.length > 2 * maxIdBytes + 1) throw tooLong('id of a user in the private chat');
  const ids = pair.split(':');
  if (ids.length !== 2) {
    throw invalid(
      `${quote(pair)} does not name a private chat; write <user>:<user>, with : inside an id as %3A`,
    );
  }
  return privateChat(unescapeId(ids[0]!), unescapeId(ids[1]!));
}

/** @throws TidemarkError `invalid_conversation` for a type that no conversation has */
export function checkType(type: string): void {
  if (typeof type !== 'string')
    throw invalid(`the type of a conversation must be a string, got ${typeof type}`);
  if (type.length > maxTypeLength || !typePattern.test(type)) {
    throw invalid(
      `${quote(type)} is not a conversation type; use 1 to ${maxTypeLength} of a-z, 0-9, _ and -, beginning with a letter`,
    );
  }
}

function escapeId(id: string, what: string): string {
  if (typeof id !== 'string')
    throw invalid(`the ${what} must be a string, got ${id === null ? 'null' : typeof id}`);
  if (id === '') throw invalid(`the ${what} is empty; give 1 to ${maxIdBytes} bytes`);
  // Checked before any pattern runs, so that a huge id costs nothing.
  if (id.length > maxIdBytes) throw tooLong(what);
  if (controlCharacter.test(id)) throw invalid(`the ${what} ${quote(id)} has a control character; remove it`);
  if (!id.isWellFormed())
    throw invalid(`the ${what} ${quote(id)} has a lone surrogate; it is not valid Unicode`);
  const escaped = separatorOrEscape.test(id)
    ? id.replace(separatorOrEscapeAll, (character) => (character === ':' ? '%3A' : '%25'))
    : id;
  // A UTF-16 unit takes at most three bytes, so shorter ids need no count.
  if (escaped.length * 3 > maxIdBytes && Buffer.byteLength(escaped) > maxIdBytes) throw tooLong(what);
  return escaped;
}

function unescapeId(escaped: string): string {
  if (escaped.length > maxIdBytes) throw tooLong('id');
  return escaped.replace(escapeSequence, (whole, code: string | undefined) => {
    if (code === undefined) throw invalid(`${quote(escaped)} has a bare %; write it as %25, and : as %3A`);
    return whole === '%3A' ? ':' : '%';
  });
}

function tooLong(what: string): TidemarkError {
  return invalid(`the ${what} is longer than ${maxIdBytes} bytes of UTF-8 after escaping; use a shorter one`);
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_conversation', message);
}
