/**
 * Reads the recorded history of calls, and says what is wrong with it. Knows nothing of how numbers are made.
 */

/** One finished or unfinished call for numbers. Times are of one clock, any unit. */
export interface CallRecord {
  readonly conversation: string;
  readonly start: number;
  /** When the reply came; undefined when it never came: its numbers are unknown. */
  readonly end: number | undefined;
  /** The numbers `first … last`; undefined when the call failed or never ended. */
  readonly numbers: { readonly first: number; readonly last: number } | undefined;
  readonly count: number;
  /** True when the caller died with the call: it may have taken numbers that nobody can know of (P3). */
  readonly callerDied?: boolean;
}

export interface GapRecord {
  readonly conversation: string;
  readonly first: number;
  readonly last: number;
  readonly reason?: string;
}

export interface Verdict {
  readonly numbers: number;
  readonly conversations: number;
  /** Numbers that two calls got (P1). */
  readonly duplicates: string[];
  /** Calls that started after another's reply and got a smaller number (P2). */
  readonly regressions: string[];
  /** Numbers below the highest that nobody got and no gap explains (P4). */
  readonly holes: string[];
  /** How many numbers below the highest nobody got, explained or not. */
  readonly missing: number;
}

export function judge(calls: readonly CallRecord[], gaps: readonly GapRecord[]): Verdict {
  const verdict = {
    numbers: 0,
    conversations: 0,
    duplicates: [] as string[],
    regressions: [] as string[],
    holes: [] as string[],
    missing: 0,
  };
  const gapsOf = groupBy(gaps);
  for (const [conversation, ofConversation] of groupBy(calls)) {
    verdict.conversations += 1;
    const done = ofConversation.filter((call) => call.numbers !== undefined);
    for (const call of done) verdict.numbers += call.numbers!.last - call.numbers!.first + 1;
    checkOrder(conversation, done, verdict.regressions);
    const dead = ofConversation.filter((call) => call.callerDied).reduce((sum, call) => sum + call.count, 0);
    checkDense(conversation, done, gapsOf.get(conversation) ?? [], dead, verdict);
  }
  return verdict;
}

/** Items by their conversation. */
export function groupBy<T extends { conversation: string }>(items: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(item.conversation);
    if (group === undefined) groups.set(item.conversation, [item]);
    else group.push(item);
  }
  return groups;
}

/** Replies and starts in order of time: a call must get more than the largest number replied before it started. */
function checkOrder(conversation: string, calls: readonly CallRecord[], regressions: string[]): void {
  const moments = calls.flatMap((call) => [
    { at: call.start, isStart: true, call },
    { at: call.end!, isStart: false, call },
  ]);
  // At the same moment a start counts as before a reply: such calls overlap.
  moments.sort((a, b) => a.at - b.at || Number(b.isStart) - Number(a.isStart));
  let replied = 0;
  const floors = new Map<CallRecord, number>();
  for (const { isStart, call } of moments) {
    if (isStart) floors.set(call, replied);
    else {
      const floor = floors.get(call)!;
      if (call.numbers!.first <= floor)
        regressions.push(`${conversation}: ${call.numbers!.first} after ${floor}`);
      replied = Math.max(replied, call.numbers!.last);
    }
  }
}

function checkDense(
  conversation: string,
  calls: readonly CallRecord[],
  gaps: readonly GapRecord[],
  lostWithCallers: number,
  verdict: { duplicates: string[]; holes: string[]; missing: number },
): void {
  const ranges = calls.map((call) => call.numbers!).sort((a, b) => a.first - b.first);
  const explained = [...gaps].sort((a, b) => a.first - b.first);
  const holes: string[] = [];
  let unexplained = 0;
  let highest = 0;
  // Gaps that lie below everything that is still to come are not looked at again.
  let passed = 0;
  for (const { first, last } of ranges) {
    if (first <= highest) verdict.duplicates.push(`${conversation}: ${first}…${Math.min(last, highest)}`);
    if (first > highest + 1) {
      verdict.missing += first - highest - 1;
      while (passed < explained.length && explained[passed]!.last <= highest) passed += 1;
      for (const hole of subtract({ first: highest + 1, last: first - 1 }, explained, passed)) {
        unexplained += hole.last - hole.first + 1;
        holes.push(`${conversation}: ${hole.first}…${hole.last}`);
      }
    }
    highest = Math.max(highest, last);
  }
  // Callers that died with their calls may have taken that many numbers at most.
  if (unexplained > lostWithCallers) verdict.holes.push(...holes);
}

function subtract(
  range: { first: number; last: number },
  sorted: readonly GapRecord[],
  begin: number,
): { first: number; last: number }[] {
  const rest: { first: number; last: number }[] = [];
  let from = range.first;
  for (let index = begin; index < sorted.length; index += 1) {
    const gap = sorted[index]!;
    if (gap.last < from) continue;
    if (gap.first > range.last) break;
    if (gap.first > from) rest.push({ first: from, last: gap.first - 1 });
    from = Math.max(from, gap.last + 1);
  }
  if (from <= range.last) rest.push({ first: from, last: range.last });
  return rest;
}
