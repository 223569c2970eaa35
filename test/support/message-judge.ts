/**
 * Reads the recorded history of messages and readers, and says what is wrong with it. Knows nothing of how numbers are
 * made, or of how anybody knows what is complete.
 */

import { type CallRecord, type GapRecord, groupBy } from './judge.js';

/** One call for the number of a message, and what became of the message. Times are of one clock, in milliseconds. */
export interface MessageRecord {
  readonly conversation: string;
  /** Undefined for one that was sent without an id. */
  readonly messageId: string | undefined;
  readonly start: number;
  readonly end: number;
  /** Undefined when the call failed. */
  readonly numbers: { readonly first: number; readonly last: number } | undefined;
  readonly count: number;
  readonly repeated: boolean;
  readonly tracked: boolean;
  /** When the message was stored; undefined when it never was. */
  storedAt: number | undefined;
  /** Until when its take is certainly open; undefined for one that is not tracked, or was told to be open no more. */
  openUntil: number | undefined;
  /** When its take was abandoned; undefined when it was not. */
  abandonedAt: number | undefined;
  /** What settling it after it was stored came to; `told` that the take was given up or abandoned before. */
  settled: { readonly as: 'done' | 'told'; readonly at: number } | undefined;
  /** True when the process died with the call. */
  readonly callerDied: boolean;
}

/** A reader asked how far a conversation is complete. */
export interface ReadRecord {
  readonly conversation: string;
  /** When the answer came. */
  readonly end: number;
  readonly completeUpTo: number;
}

/** A receipt that was told to be lost. */
export interface LostReceipt {
  readonly conversation: string;
  readonly messageId: string;
}

export interface MessageVerdict {
  /** Message ids with more than one number, told of or not. */
  readonly renumbered: string[];
  /** Those of them that no event told of (P5). */
  readonly silent: string[];
  /** Numbers that two messages have (P1). */
  readonly shared: string[];
  /** Messages that were stored where a reader had been told that everything is complete, and nobody was told of it. */
  readonly passed: string[];
  /** The same, where a takeover has recorded that the number may be in use: an isolated old primary finishes its block. */
  readonly passedOnIsolated: string[];
  /** Holders who were told that their take was given up, although its lease had not ended. */
  readonly hasty: string[];
  /** Numbers of messages that were never stored, which readers have passed without a recorded gap. */
  readonly unexplained: string[];
}

export function judgeMessages(
  messages: readonly MessageRecord[],
  reads: readonly ReadRecord[],
  lost: readonly LostReceipt[],
  gaps: readonly GapRecord[],
): MessageVerdict {
  const verdict = {
    renumbered: [] as string[],
    silent: [] as string[],
    shared: [] as string[],
    ...judgeReading(messages, reads, gaps),
  };
  const told = new Set(lost.map(({ conversation, messageId }) => `${conversation} ${messageId}`));
  const numbersOf = new Map<string, Set<number>>();
  const ownerOf = new Map<string, string>();
  messages.forEach((message, index) => {
    if (message.numbers === undefined) return;
    const owner =
      message.messageId === undefined ? `call ${index}` : `${message.conversation} ${message.messageId}`;
    const { first, last } = message.numbers;
    const numbers = numbersOf.get(owner) ?? new Set();
    numbersOf.set(owner, numbers.add(first));
    for (let number = first; number <= last; number += 1) {
      const key = `${message.conversation} ${number}`;
      const other = ownerOf.get(key);
      if (other !== undefined && other !== owner) verdict.shared.push(`${key}: ${other} and ${owner}`);
      ownerOf.set(key, owner);
    }
  });
  for (const [owner, numbers] of numbersOf) {
    if (numbers.size === 1) continue;
    verdict.renumbered.push(`${owner}: ${[...numbers].join(', ')}`);
    if (!told.has(owner)) verdict.silent.push(`${owner}: ${[...numbers].join(', ')}`);
  }
  return verdict;
}

function judgeReading(
  messages: readonly MessageRecord[],
  reads: readonly ReadRecord[],
  gaps: readonly GapRecord[],
): Pick<MessageVerdict, 'passed' | 'passedOnIsolated' | 'hasty' | 'unexplained'> {
  const readsOf = groupBy(reads);
  const gapsOf = groupBy(gaps);
  const passed: string[] = [];
  const passedOnIsolated: string[] = [];
  const hasty: string[] = [];
  const unexplained: string[] = [];
  const stored = firstStored(messages);
  const abandoned = new Set(
    messages.flatMap(({ conversation, numbers, abandonedAt }) =>
      abandonedAt === undefined ? [] : [`${conversation} ${numbers!.first}`],
    ),
  );
  for (const [key, { conversation, storedAt, openUntil, numbers, settled }] of stored) {
    const early = readsOf
      .get(conversation)
      ?.find((read) => read.end < storedAt! && read.completeUpTo >= numbers!.first);
    const text = `${conversation} ${numbers!.first} stored at ${storedAt}; complete up to ${early?.completeUpTo} was told at ${early?.end}`;
    const wasInTime = openUntil !== undefined && storedAt! <= openUntil;
    const lostIn = (gapsOf.get(conversation) ?? []).filter(
      ({ first, last }) => first <= numbers!.first && numbers!.first <= last,
    );
    if (early !== undefined && (wasInTime || settled?.as === 'done'))
      (lostIn.some(({ reason }) => reason === 'history_lost') ? passedOnIsolated : passed).push(text);
    const wasToldInTime = settled?.as === 'told' && openUntil !== undefined && settled.at <= openUntil;
    // What was settled is forgotten with the counters: docs/guarantees.md, complete up to.
    const wasLost = lostIn.some(({ reason }) => reason === 'history_lost' || reason === 'word_lost');
    if (wasToldInTime && !abandoned.has(key) && !wasLost) hasty.push(text);
  }
  for (const { conversation, numbers, openUntil } of messages) {
    if (numbers === undefined || openUntil === undefined) continue;
    if (stored.has(`${conversation} ${numbers.first}`)) continue;
    const wasPassed = readsOf.get(conversation)?.some(({ completeUpTo }) => completeUpTo >= numbers.first);
    const isExplained = gapsOf
      .get(conversation)
      ?.some(({ first, last }) => first <= numbers.first && numbers.first <= last);
    if (wasPassed && !isExplained) unexplained.push(`${conversation} ${numbers.first}`);
  }
  return { passed, passedOnIsolated, hasty, unexplained };
}

/** Of each number the message that was stored first, unless somebody said before that it would not be. */
function firstStored(messages: readonly MessageRecord[]): ReadonlyMap<string, MessageRecord> {
  const stored = new Map<string, MessageRecord>();
  const abandoned = new Map<string, number>();
  for (const message of messages) {
    if (message.numbers === undefined || !message.tracked) continue;
    const key = `${message.conversation} ${message.numbers.first}`;
    if (message.abandonedAt !== undefined) abandoned.set(key, message.abandonedAt);
    if (message.storedAt === undefined) continue;
    const other = stored.get(key);
    if (other === undefined || other.storedAt! > message.storedAt) stored.set(key, message);
  }
  for (const [key, at] of abandoned)
    if (stored.has(key) && at < stored.get(key)!.storedAt!) stored.delete(key);
  return stored;
}

/** The same history for the judge of numbers: each number once, and those of repeated calls in no order. */
export function asCalls(messages: readonly MessageRecord[]): CallRecord[] {
  const seen = new Set<string>();
  const ordered = [...messages].sort((a, b) => Number(a.repeated) - Number(b.repeated) || a.end - b.end);
  return ordered.flatMap(({ conversation, messageId, start, end, numbers, count, repeated, callerDied }) => {
    const call = {
      conversation,
      start: repeated ? Number.NEGATIVE_INFINITY : start,
      end,
      numbers,
      count,
      callerDied,
    };
    if (numbers === undefined || messageId === undefined) return [call];
    const key = `${conversation} ${messageId} ${numbers.first}`;
    if (seen.has(key)) return [];
    seen.add(key);
    return [call];
  });
}
