/** The report of the demonstration as text, at most 80 columns wide. */

import type { DemoReport, GapExample } from './run.js';

const labelWidth = 34;
const columnWidth = 14;

/** What people read. */
export function demoText({ messages, conversations, lostAfter, tidemark, plain }: DemoReport): string {
  const row = (label: string, ours: string, theirs: string): string =>
    `  ${label.padEnd(labelWidth)}${ours.padStart(columnWidth)}${theirs.padStart(columnWidth)}`;
  const counts = (
    label: string,
    of: (side: DemoReport['tidemark'] | DemoReport['plain']) => number,
  ): string => row(label, grouped(of(tidemark)), grouped(of(plain)));
  const reasons = Object.entries(tidemark.gaps.byReason).map(
    ([reason, count]) => `${grouped(count)} ${reason}`,
  );
  return [
    `Numbering ${grouped(messages)} messages of ${conversations} conversations, many at a time. After ${grouped(lostAfter)}`,
    'requests all counters are lost, as when Redis restarts empty, and recovered:',
    'by Tidemark from its ledger; by plain INCR from a snapshot that is taken every',
    `${grouped(plain.snapshotEvery)} messages of a conversation.`,
    '',
    row('', 'Tidemark', 'plain INCR'),
    counts('messages numbered', (side) => side.numbers),
    counts('duplicates', (side) => side.duplicates),
    counts('smaller after larger', (side) => side.smallerAfterLarger),
    counts('numbers skipped', (side) => side.skipped),
    counts('  of them without a recorded gap', (side) => side.unexplained),
    counts('numbers a second', (side) => side.numbersPerSecond),
    '',
    `Gaps that Tidemark recorded: ${grouped(tidemark.gaps.recorded)}${reasons.length === 0 ? '' : ` (${reasons.join(', ')})`}. For example:`,
    ...tidemark.gaps.examples.map(exampleText),
    '',
    'Each gap was in the ledger before any number behind it was issued. It covers',
    'what was reserved at the loss: the skipped numbers, and some that are in use.',
    'Numbers a second: the same chat again for a second, without loss. Tidemark',
    'writes its ledger to disk; plain INCR is an increment in memory here.',
    'The data folder was temporary and is removed.',
  ].join('\n');
}

function exampleText({ conversation, first, last, reason, skipped }: GapExample): string {
  return `  ${conversation}  ${grouped(first)} to ${grouped(last)}  ${reason}, ${grouped(skipped)} skipped`;
}

function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}
