/** How a take is written for take.lua, and how its parts are put in order for it. */

import type { Claims, TakeRequest } from '../../core/counter-store.js';
import { takeStep } from '../../core/counter-word.js';
import { openKey, receiptKey, wordKey } from './keys.js';

/**
 * The requests of a take in the order of the script: those with claims, those for one number and one message id, those
 * for more than one number, and the others. The more seldom, the more arguments they have.
 */
export interface TakePlan {
  readonly requests: readonly TakeRequest[];
  /** The index of each planned request among those that were asked for; undefined when nothing had to be moved. */
  readonly order: readonly number[] | undefined;
  /** How many have claims, but not just one message id. */
  readonly claimed: number;
  /** How many have one message id. */
  readonly messages: number;
  /** How many claims the first of these have in all. */
  readonly claims: number;
}

export function planTake(asked: readonly TakeRequest[]): TakePlan {
  // Most takes are so.
  if (asked.every(isPlain)) return { requests: asked, order: undefined, claimed: 0, messages: 0, claims: 0 };
  const claimed: number[] = [];
  const messages: number[] = [];
  const counted: number[] = [];
  const rest: number[] = [];
  // One time to live for all messages of this kind: that of the first.
  let ttlMs: number | undefined;
  let claims = 0;
  for (let index = 0; index < asked.length; index += 1) {
    const request = asked[index]!;
    // A list may be empty: its calls found no place in the take.
    if (request.claims !== undefined && request.claims.calls.length > 0) {
      ttlMs ??= request.claims.receiptTtlMs;
      if (isMessage(request, ttlMs)) messages.push(index);
      else {
        claimed.push(index);
        claims += request.claims.calls.length;
      }
    } else (request.count > 1 ? counted : rest).push(index);
  }
  const plan = { claimed: claimed.length, messages: messages.length, claims };
  // Nothing has to be moved when all are of one kind.
  if (messages.length === asked.length) return { ...plan, requests: asked, order: undefined };
  const order = [...claimed, ...messages, ...counted, ...rest];
  return { ...plan, requests: order.map((index) => asked[index]!), order };
}

/** One number and nothing else. */
function isPlain({ count, claims }: TakeRequest): boolean {
  return count === 1 && claims === undefined;
}

function isMessage({ count, claims }: TakeRequest, ttlMs: number): boolean {
  return count === 1 && claims!.calls[0]!.tracked === false && claims!.receiptTtlMs === ttlMs;
}

/** Everything that take.lua is given. */
export function takeArguments(
  plan: TakePlan,
  parts: {
    readonly sha: string;
    readonly prefix: string;
    readonly lane: string;
    readonly history: string;
    readonly generation: number;
    readonly number: number;
    readonly laneTtl: string;
    /** The conversations may be of several slots. */
    readonly isCluster: boolean;
  },
): string[] {
  const { requests, claimed, messages } = plan;
  const keys = [parts.lane];
  pushKeys(keys, plan, parts);
  const words = String(requests.length);
  const call = [parts.history, String(parts.number), parts.laneTtl];
  const args = parts.isCluster
    ? ['EVALSHA', parts.sha, '0', ...call, `${words} ${keys.length}`, ...keys]
    : ['EVALSHA', parts.sha, String(keys.length), ...keys, ...call, words];
  if (claimed + messages > 0) {
    const ttlMs = messages === 0 ? 0 : requests[claimed]!.claims!.receiptTtlMs;
    args.push(String(claimed), String(messages), String(parts.generation), String(ttlMs));
  }
  for (let place = 0; place < claimed; place += 1)
    pushClaims(args, requests[place]!.count, requests[place]!.claims!);
  for (let place = claimed + messages; place < requests.length; place += 1) {
    const { count } = requests[place]!;
    if (count === 1) break;
    args.push(String(takeStep(count)));
  }
  return args;
}

/** The words, and what the claims need. */
function pushKeys(
  keys: string[],
  { requests, claimed, messages }: TakePlan,
  { prefix, generation }: { readonly prefix: string; readonly generation: number },
): void {
  for (let place = 0; place < requests.length; place += 1)
    keys.push(wordKey(prefix, requests[place]!.conversation, generation));
  for (let place = 0; place < claimed; place += 1)
    pushClaimKeys(keys, prefix, requests[place]!.conversation, requests[place]!.claims!);
  for (let place = claimed; place < claimed + messages; place += 1) {
    const { conversation, claims } = requests[place]!;
    keys.push(receiptKey(prefix, conversation, claims!.calls[0]!.messageId!));
  }
}

function pushClaimKeys(args: string[], prefix: string, conversation: string, { calls }: Claims): void {
  if (calls.some(({ tracked }) => tracked)) args.push(openKey(prefix, conversation));
  for (const { messageId } of calls)
    if (messageId !== undefined) args.push(receiptKey(prefix, conversation, messageId));
}

function pushClaims(args: string[], count: number, { receiptTtlMs, leaseMs, calls }: Claims): void {
  const lease = calls.some(({ tracked }) => tracked) ? String(leaseMs) : '0';
  args.push(String(count), String(calls.length), String(receiptTtlMs), lease);
  for (const claim of calls) {
    if (claim.messageId === undefined) args.push(`t${claim.offset}`, String(claim.count));
    else args.push(`${claim.tracked ? 'b' : 'r'}${claim.offset}`);
  }
}
