/** The one place that knows the shape of the scripts' replies. Callers see named fields only. */

import type {
  ClaimResult,
  CorruptWord,
  DrainReply,
  ExpiredTake,
  GrantReply,
  GrantResult,
  OpenReply,
  OpenResult,
  ReadReply,
  ReadResult,
  RenewReply,
  RestoreReply,
  SettleReply,
  TakeReply,
  TakeRequest,
  TakeResult,
  TrackReply,
} from '../../core/counter-store.js';
import {
  type CounterWord,
  lastOf,
  maxSequenceNumber,
  maxWord,
  remainingOf,
} from '../../core/counter-word.js';
import { quote } from '../../core/quote.js';
import { TidemarkError } from '../../errors.js';
import type { TakePlan } from './take-command.js';

const maxFoundLength = 64;
const maxQuotedLength = 200;
const maxQuotedFields = 20;
const canonicalInteger = /^(?:0|[1-9]\d{0,15})$/;
const missing = { status: 'missing' } as const;
/** What a take says of a conversation whose slot is elsewhere. */
export const moved = { status: 'moved' } as const;
const fresh = { status: 'fresh' } as const;
const oneFresh: readonly ClaimResult[] = Object.freeze([fresh]);
/** As track.lua writes them. */
const openTake = /^(?:hold )?(\d{1,12}) (\d{1,12}) \d+$/;

/** What a take or a recall answered. */
export type TakeAnswer =
  | Exclude<TakeReply, { status: 'lost' }>
  /** It has not run: another primary has the slot of the lane. */
  | { readonly status: 'moved' }
  /** It has not run and never will. */
  | { readonly status: 'not_run' }
  /** Nor will it: the lane's record is of a later take. */
  | { readonly status: 'superseded' }
  /** It may have run, and nobody knows. */
  | { readonly status: 'unknown'; readonly why: string };

/**
 * Reads the reply of take.lua or recall.lua: one result for each request, in the order in which they were asked for. It throws
 * nothing: what a lane's record holds may be anything, and then nobody knows what became of the take.
 */
export function decodeTake(reply: unknown, plan: TakePlan): TakeAnswer {
  const { requests, order, claimed, messages } = plan;
  // Indexed, not destructured: this runs once for each number in the end.
  const fields = asArray(reply);
  const status = fields[0];
  if (status === 'STALE') return { status: 'stale', history: textOf(fields[1]) };
  if (status === 'MOVED') return moved;
  if (status === 'NOT_RUN') return { status: 'not_run' };
  if (status === 'LOST') return { status: 'unknown', why: 'the record of the lane is gone' };
  if (status === 'SUPERSEDED') return { status: 'superseded' };
  const storeTimeMs = fields[1];
  if (status !== 'DONE' || !isCount(storeTimeMs) || fields.length !== requests.length + plan.claims + 2) {
    return { status: 'unknown', why: unexpected('take', reply).message };
  }
  const results = new Array<TakeResult>(requests.length);
  let nextClaim = requests.length + 2;
  for (let place = 0; place < requests.length; place += 1) {
    const request = requests[place]!;
    const index = order === undefined ? place : order[place]!;
    const field = fields[place + 2];
    if (isMoved(field)) results[index] = moved;
    else if (place >= claimed + messages) results[index] = takeResult(field, request.count);
    else if (place >= claimed) results[index] = messageResult(field);
    else {
      const found = fields.slice(nextClaim, nextClaim + request.claims!.calls.length);
      results[index] = claimedResult(field, request, found);
    }
    if (place < claimed) nextClaim += request.claims!.calls.length;
  }
  return { status: 'done', results, storeTimeMs };
}

/** How a cluster answers for a word that is elsewhere. */
function isMoved(field: unknown): boolean {
  return Array.isArray(field) && field[0] === 0;
}

/** Of a request for one number and one message id. */
function messageResult(field: unknown): TakeResult {
  if (!Array.isArray(field)) {
    const result = takeResult(field, 1);
    if (result.status === 'taken') return { status: 'taken', word: result.word, claims: oneFresh };
    return { ...result, claims: oneFresh } as TakeResult;
  }
  const number: unknown = field[0];
  const claim: ClaimResult = isNumber(number) ? { status: 'repeated', number } : corrupt(textOf(number));
  return { status: 'repeated', claims: [claim] };
}

function claimedResult(field: unknown, request: TakeRequest, found: readonly unknown[]): TakeResult {
  if (field === 'UNTRACKED') return { status: 'untracked' };
  const wasTaken = typeof field === 'number' && field >= 0;
  const claims = request.claims!.calls.map(({ tracked }, index): ClaimResult => {
    const number = found[index];
    if (number === 0) return fresh;
    const sequence = typeof number === 'number' ? Math.abs(number) : number;
    if (!isNumber(sequence)) return corrupt(textOf(number));
    const known = { status: 'repeated', number: sequence } as const;
    return tracked && wasTaken ? { ...known, open: number === sequence } : known;
  });
  const repeated = claims.filter(({ status }) => status !== 'fresh').length;
  // Otherwise somebody would be left without an answer.
  if (field === 0 && repeated === request.count) return { status: 'repeated', claims };
  return { ...takeResult(field, request.count - repeated), claims } as TakeResult;
}

function takeResult(result: unknown, count: number): TakeResult {
  if (typeof result !== 'number') return corrupt(textOf(result));
  if (result > 0) {
    const word = wordOf(result);
    return word === undefined || word.last < count ? corrupt(String(result)) : { status: 'taken', word };
  }
  if (result === -1) return missing;
  const word = wordOf(-result - 2);
  return word === undefined ? corrupt(String(-result - 2)) : { status: 'short', word };
}

/** A counter word; undefined for what Tidemark did not write: a ceiling above 10^12 − 1 is one that no ledger has. */
function wordOf(packed: number): CounterWord | undefined {
  if (!(packed >= 0 && packed <= maxWord)) return undefined;
  const last = lastOf(packed);
  const remaining = remainingOf(packed);
  return last + remaining > maxSequenceNumber ? undefined : { last, remaining };
}

/** Reads the reply of grant.lua. */
export function decodeGrant(reply: unknown, count: number): GrantReply {
  if (Array.isArray(reply) && reply[0] === 'FENCED' && isCount(reply[1]))
    return { status: 'fenced', newerGeneration: reply[1] };
  const fields = fieldsOf('grant', reply, count);
  if ('history' in fields) return fields;
  const results = fields.results.map((result): GrantResult => (result === 1 ? 'granted' : 'refused'));
  return { status: 'done', results };
}

/** Reads the reply of read.lua. */
export function decodeRead(reply: unknown, count: number): ReadReply {
  const [status, storeTimeMs, ...results] = asArray(reply);
  if (status === 'STALE') return { status: 'stale', history: textOf(storeTimeMs) };
  if (status !== 'DONE' || !isCount(storeTimeMs) || results.length !== count) throw unexpected('read', reply);
  return { status: 'done', results: results.map(readResult), storeTimeMs };
}

function readResult(result: unknown): ReadResult {
  if (result === null) return missing;
  if (Array.isArray(result)) return corrupt(textOf(result[0]));
  const text = textOf(result);
  const word = canonicalInteger.test(text) ? wordOf(Number(text)) : undefined;
  return word === undefined ? corrupt(text) : { status: 'present', word };
}

/** Reads the reply of drain.lua. */
export function decodeDrain(reply: unknown, count: number): DrainReply {
  const fields = fieldsOf('drain', reply, count);
  if ('history' in fields) return fields;
  const words = fields.results.map((text) => {
    const result = readResult(text);
    return result.status === 'present' ? result.word : undefined;
  });
  return { status: 'done', words };
}

/** Reads the reply of restore.lua. */
export function decodeRestore(reply: unknown, count: number): RestoreReply {
  const fields = fieldsOf('restore', reply, count);
  if ('history' in fields) return fields;
  return { status: 'done', numbers: fields.results.map((number) => (isNumber(number) ? number : undefined)) };
}

/** Reads the reply of track.lua. */
export function decodeTrack(reply: unknown, count: number): TrackReply {
  const fields = fieldsOf('track', reply, count);
  if ('history' in fields) return fields;
  const results = fields.results.map((result) => {
    if (result === 0) return missing;
    return result === 1 ? ({ status: 'tracked' } as const) : corrupt(textOf(result));
  });
  return { status: 'done', results };
}

/** Reads the reply of read-open.lua. */
export function decodeOpen(reply: unknown, conversations: readonly string[]): OpenReply {
  const fields = fieldsOf('read-open', reply, conversations.length);
  if ('history' in fields) return fields;
  const results = fields.results.map((result, index) => openResult(asArray(result), conversations[index]!));
  return { status: 'done', results };
}

function openResult([text, state, ...expired]: readonly unknown[], conversation: string): OpenResult {
  const read = readResult(text);
  if (read.status !== 'present') return read;
  const { word } = read;
  if (state === 'UNTRACKED') return { status: 'untracked', word };
  if (state !== 0 && !isNumber(state)) return corrupt(textOf(asArray(state)[0]));
  const takes: ExpiredTake[] = [];
  for (const member of expired) {
    const written = textOf(member);
    const numbers = openTake.exec(written);
    const [first, last] = [Number(numbers?.[1]), Number(numbers?.[2])];
    // What is no range of numbers must not become a recorded gap.
    if (!(isNumber(first) && isNumber(last) && first <= last)) return corrupt(written);
    takes.push({ conversation, first, last, written });
  }
  return { status: 'tracked', word, firstOpen: state === 0 ? undefined : state, expired: takes };
}

/** Reads the reply of renew.lua. */
export function decodeRenew(reply: unknown, count: number): RenewReply {
  const fields = fieldsOf('renew', reply, count);
  if ('history' in fields) return fields;
  const results = fields.results.map((result) => {
    if (result === -1) return 'untracked';
    if (result === 2) return 'reopened';
    return result === 1 ? 'open' : 'gone';
  });
  return { status: 'done', results };
}

/** Reads the reply of settle.lua. */
export function decodeSettle(reply: unknown, count: number): SettleReply {
  const fields = fieldsOf('settle', reply, count);
  if ('history' in fields) return fields;
  const results = fields.results.map((result) => {
    if (result === 2) return 'expired';
    return result === 1 ? 'open' : 'gone';
  });
  return { status: 'done', results };
}

function fieldsOf(
  script: string,
  reply: unknown,
  count: number,
): { readonly status: 'stale'; readonly history: string } | { readonly results: readonly unknown[] } {
  const [status, ...results] = asArray(reply);
  if (status === 'STALE') return { status: 'stale', history: textOf(results[0]) };
  if (status !== 'DONE' || results.length !== count) throw unexpected(script, reply);
  return { results };
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

/** A value of a reply as text. An array is never looked into: it may be deeper than the stack. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return Array.isArray(value) ? 'an array' : String(value);
}

/** What can be a sequence number. */
function isNumber(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= maxSequenceNumber;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Whoever answers so is no Redis, or a proxy has changed what it said. */
function unexpected(script: string, reply: unknown): TidemarkError {
  const fields = asArray(reply).slice(0, maxQuotedFields).map(textOf);
  const text = quote(fields.join(' '), maxQuotedLength);
  return new TidemarkError(
    'counter_unsupported',
    `the counter store answered ${text} to the ${script} script, which makes no sense; point to Redis 6.2 or newer, or Valkey, without a proxy that changes replies`,
  );
}
