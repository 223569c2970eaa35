/**
 * Judges what a run handed out, from its recorded history alone. Pure, and separate from everything that issues
 * numbers, so that a fault there cannot hide here.
 */

/** One number that was handed out. Ticks are a count of starts and replies, in the order in which they happened. */
export interface Issued {
  readonly conversation: string;
  readonly number: number;
  readonly startedAtTick: number;
  readonly repliedAtTick: number;
}

/** A range of numbers that may be missing: `first … last`. */
export interface RecordedGap {
  readonly conversation: string;
  readonly first: number;
  readonly last: number;
}

/** What was found. */
export interface Verdict {
  readonly numbers: number;
  readonly conversations: number;
  /** Numbers that their conversation had handed out before. */
  readonly duplicates: number;
  /** Numbers smaller than one whose reply came before their own request. */
  readonly smallerAfterLarger: number;
  /** Numbers that were never handed out, below the highest one of their conversation. */
  readonly skipped: number;
  /** Skipped numbers that no recorded gap explains. */
  readonly unexplained: number;
}

/** Counts the faults of a history. Takes n log n time. */
export function judge(history: readonly Issued[], gaps: readonly RecordedGap[]): Verdict {
  const byConversation = groupBy(history);
  const gapsOf = groupBy(gaps);
  let duplicates = 0;
  let smallerAfterLarger = 0;
  let skipped = 0;
  let unexplained = 0;
  for (const [conversation, issued] of byConversation) {
    const numbers = new Set(issued.map(({ number }) => number));
    duplicates += issued.length - numbers.size;
    smallerAfterLarger += countSmallerAfterLarger(issued);
    const missing = missingBelow(numbers);
    skipped += missing.length;
    const explained = gapsOf.get(conversation) ?? [];
    unexplained += missing.filter(
      (number) => !explained.some(({ first, last }) => first <= number && number <= last),
    ).length;
  }
  return {
    numbers: history.length,
    conversations: byConversation.size,
    duplicates,
    smallerAfterLarger,
    skipped,
    unexplained,
  };
}

/** The missing numbers of each conversation, as ranges: what of a recorded gap was really skipped. */
export function skippedRanges(history: readonly Issued[]): RecordedGap[] {
  const ranges: RecordedGap[] = [];
  for (const [conversation, issued] of groupBy(history)) {
    let open: { first: number; last: number } | undefined;
    for (const number of missingBelow(new Set(issued.map((each) => each.number)))) {
      if (open !== undefined && open.last + 1 === number) {
        open.last = number;
        continue;
      }
      if (open !== undefined) ranges.push({ conversation, ...open });
      open = { first: number, last: number };
    }
    if (open !== undefined) ranges.push({ conversation, ...open });
  }
  return ranges;
}

/** Walks requests by their start, and beside them the replies that came before each. */
function countSmallerAfterLarger(issued: readonly Issued[]): number {
  const byStart = [...issued].sort((a, b) => a.startedAtTick - b.startedAtTick);
  const byReply = [...issued].sort((a, b) => a.repliedAtTick - b.repliedAtTick);
  let replied = 0;
  let largest = 0;
  let count = 0;
  for (const { startedAtTick, number } of byStart) {
    while (replied < byReply.length && byReply[replied]!.repliedAtTick < startedAtTick) {
      largest = Math.max(largest, byReply[replied]!.number);
      replied += 1;
    }
    if (number < largest) count += 1;
  }
  return count;
}

function missingBelow(numbers: ReadonlySet<number>): number[] {
  let highest = 0;
  for (const number of numbers) highest = Math.max(highest, number);
  const missing: number[] = [];
  for (let number = 1; number < highest; number += 1) if (!numbers.has(number)) missing.push(number);
  return missing;
}

function groupBy<T extends { readonly conversation: string }>(items: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(item.conversation);
    if (group === undefined) groups.set(item.conversation, [item]);
    else group.push(item);
  }
  return groups;
}
