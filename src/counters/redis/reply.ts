/** The one place that knows the shape of the scripts' replies. Callers see named fields only. */

import type {
  CorruptWord,
  GrantReply,
  GrantResult,
  ReadReply,
  ReadResult,
  TakeReply,
  TakeRequest,
  TakeResult,
} from '../../core/counter-store.js';
import { lastOf, maxWord, remainingOf } from '../../core/counter-word.js';
import { TidemarkError } from '../../errors.js';

const maxFoundLength = 64;
const maxQuotedLength = 200;
const canonicalInteger = /^(?:0|[1-9]\d{0,15})$/;
const missing = { status: 'missing' } as const;

/** What a take or a recall answered. */
export type TakeAnswer =
  | Exclude<TakeReply, { status: 'lost' }>
  /** It has not run and never will. */
  | { readonly status: 'not_run' }
  /** It may have run, and nobody knows. */
  | { readonly status: 'unknown'; readonly why: string };

/**
 * Reads the reply of take.lua or recall.lua.
 *
 * @param order - the place of each request among the keys that were sent; undefined when they were sent in order
 */
export function decodeTake(
  reply: unknown,
  requests: readonly TakeRequest[],
  order: readonly number[] | undefined,
): TakeAnswer {
  // Indexed, not destructured: this runs once for each number in the end.
  const fields = asArray(reply);
  const status = fields[0];
  if (status === 'STALE') return { status: 'stale', history: String(fields[1]) };
  if (status === 'NOT_RUN') return { status: 'not_run' };
  if (status === 'LOST') return { status: 'unknown', why: 'the record of the lane is gone' };
  if (status === 'SUPERSEDED') return { status: 'unknown', why: 'a later take ran in the same lane' };
  if (status !== 'DONE' || fields.length !== requests.length + 2) {
    return { status: 'unknown', why: unexpected('take', reply).message };
  }
  const results = new Array<TakeResult>(requests.length);
  for (let place = 0; place < requests.length; place += 1) {
    const index = order === undefined ? place : order[place]!;
    results[index] = takeResult(fields[place + 2], requests[index]!.count);
  }
  return { status: 'done', results, storeTimeMs: Number(fields[1]) };
}

function takeResult(result: unknown, count: number): TakeResult {
  if (typeof result !== 'number') return corrupt(String(result));
  if (result > 0) {
    const last = lastOf(result);
    // No number below 1 is ever issued: a word whose ceiling is above 10^12 − 1 was not written by Tidemark.
    return last < count
      ? corrupt(String(result))
      : { status: 'taken', word: { last, remaining: remainingOf(result) } };
  }
  if (result === -1) return missing;
  const word = -result - 2;
  return { status: 'short', word: { last: lastOf(word), remaining: remainingOf(word) } };
}

/** Reads the reply of grant.lua. */
export function decodeGrant(reply: unknown, count: number): GrantReply {
  const [status, ...results] = asArray(reply);
  if (status === 'STALE') return { status: 'stale', history: String(results[0]) };
  if (status !== 'DONE' || results.length !== count) throw unexpected('grant', reply);
  return {
    status: 'done',
    results: results.map((result): GrantResult => (result === 1 ? 'granted' : 'refused')),
  };
}

/** Reads the reply of read.lua. */
export function decodeRead(reply: unknown, count: number): ReadReply {
  const [status, ...rest] = asArray(reply);
  if (status === 'STALE') return { status: 'stale', history: String(rest[0]) };
  if (status !== 'DONE' || rest.length !== count + 1) throw unexpected('read', reply);
  return { status: 'done', results: rest.slice(1).map(readResult), storeTimeMs: Number(rest[0]) };
}

function readResult(result: unknown): ReadResult {
  if (result === null) return missing;
  if (Array.isArray(result)) return corrupt(String(result[0]));
  const text = typeof result === 'string' ? result : JSON.stringify(result);
  const word = canonicalInteger.test(text) ? Number(text) : Number.NaN;
  // Written so that a word that is no number is refused, too.
  if (!(word <= maxWord)) return corrupt(text);
  return { status: 'present', word: { last: lastOf(word), remaining: remainingOf(word) } };
}

/** One field of an INFO reply; undefined when it is not there. */
export function infoField(info: unknown, name: string): string | undefined {
  return new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(String(info))?.[1];
}

function corrupt(found: string): CorruptWord {
  return {
    status: 'corrupt',
    found: found.length > maxFoundLength ? `${found.slice(0, maxFoundLength)}…` : found,
  };
}

function asArray(reply: unknown): unknown[] {
  return Array.isArray(reply) ? reply : [reply];
}

function unexpected(script: string, reply: unknown): TidemarkError {
  const text = JSON.stringify(reply)?.slice(0, maxQuotedLength);
  return new TidemarkError('internal', `unexpected reply of the ${script} script: ${text}; please report it`);
}
