/** How a take is written for take.lua, and how its parts are put in order for it. */

import type { Claims, TakeRequest } from '../../core/counter-store.js';
import { takeStep } from '../../core/counter-word.js';
import { openKey, receiptKey, wordKey } from './keys.js';

/**
 * The requests of a take in the order of the script: those with claims, then those for more than one number, then the
 * others. Only the first two have arguments of their own.
 */
export interface TakePlan {
  readonly requests: readonly TakeRequest[];
  /** The index of each planned request among those that were asked for; undefined when nothing had to be moved. */
  readonly order: readonly number[] | undefined;
  /** How many have claims. */
  readonly claimed: number;
  /** How many claims there are in all. */
  readonly claims: number;
}

export function planTake(asked: readonly TakeRequest[]): TakePlan {
  if (asked.every(({ count, claims }) => count === 1 && claims === undefined))
    return { requests: asked, order: undefined, claimed: 0, claims: 0 };
  const order: number[] = [];
  const add = (belongs: (request: TakeRequest) => boolean) => {
    for (let index = 0; index < asked.length; index += 1) if (belongs(asked[index]!)) order.push(index);
  };
  add(({ claims }) => claims !== undefined);
  const claimed = order.length;
  add(({ count, claims }) => claims === undefined && count > 1);
  add(({ count, claims }) => claims === undefined && count === 1);
  const requests = order.map((index) => asked[index]!);
  const claims = requests.reduce((sum, request) => sum + (request.claims?.calls.length ?? 0), 0);
  return { requests, order, claimed, claims };
}

/** Everything that take.lua is given, keys first. */
export function takeArguments(
  plan: TakePlan,
  parts: {
    readonly prefix: string;
    readonly lane: string;
    readonly history: string;
    readonly generation: number;
    readonly number: number;
    readonly laneTtl: string;
  },
): string[] {
  const { requests, claimed } = plan;
  const { prefix, generation } = parts;
  const args = ['', parts.lane];
  for (let place = 0; place < requests.length; place += 1)
    args.push(wordKey(prefix, requests[place]!.conversation, generation));
  for (let place = 0; place < claimed; place += 1)
    pushClaimKeys(args, prefix, requests[place]!.conversation, requests[place]!.claims!);
  args[0] = String(args.length - 1);
  args.push(parts.history, String(parts.number), parts.laneTtl, String(requests.length));
  if (claimed > 0) args.push(String(claimed), String(generation));
  for (let place = 0; place < claimed; place += 1)
    pushClaims(args, requests[place]!.count, requests[place]!.claims!);
  for (let place = claimed; place < requests.length && requests[place]!.count > 1; place += 1)
    args.push(String(takeStep(requests[place]!.count)));
  return args;
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
