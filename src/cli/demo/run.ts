/** The demonstration: the same chat and the same loss, numbered by Tidemark and by plain INCR. */

import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Conversation } from '../../core/conversation.js';
import type { Gap } from '../../core/ledger.js';
import { MemoryCounterStore } from '../../counters/memory/memory-counter-store.js';
import { TidemarkError } from '../../errors.js';
import { LmdbLedger } from '../../ledgers/lmdb/lmdb-ledger.js';
import { SequenceGenerator } from '../../sequence-generator.js';
import { closing } from '../runner.js';
import { judge, skippedRanges, type Verdict } from './history.js';
import { PlainCounters, snapshotEvery } from './plain-counters.js';
import { loadChat, measureSpeed, play } from './playback.js';

/** How long each speed is measured, in milliseconds, after as long of warming up: until then blocks are still small. */
const speedMs = 1_000;
/** Gaps that are shown. */
const exampleCount = 3;

/** What one side did. */
interface Side extends Verdict {
  readonly elapsedMs: number;
  readonly numbersPerSecond: number;
}

/** A gap that was recorded, and what of it was really skipped. */
export interface GapExample {
  readonly conversation: string;
  readonly first: number;
  readonly last: number;
  readonly reason: string;
  readonly skipped: number;
}

/** What the demonstration found. */
export interface DemoReport {
  readonly messages: number;
  readonly conversations: number;
  /** After how many requests the counters were lost. */
  readonly lostAfter: number;
  readonly tidemark: Side & {
    readonly gaps: {
      readonly recorded: number;
      readonly byReason: Readonly<Record<string, number>>;
      readonly examples: readonly GapExample[];
    };
  };
  readonly plain: Side & { readonly snapshotEvery: number };
}

/** Runs both sides. The folder of the ledger is removed at the end, whatever happens. */
export async function runDemo(signal: AbortSignal): Promise<DemoReport> {
  const chat = await loadChat();
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tidemark-demo-'));
  try {
    const tidemark = await runTidemark(chat, folder, signal);
    const plain = await runPlain(chat);
    const conversations = new Set(chat.map(({ key }) => key)).size;
    return { messages: chat.length, conversations, lostAfter: Math.floor(chat.length / 2), tidemark, plain };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runTidemark(
  chat: readonly Conversation[],
  folder: string,
  signal: AbortSignal,
): Promise<DemoReport['tidemark']> {
  const counters = new MemoryCounterStore();
  const ledger = await LmdbLedger.open({ folder });
  const generator = new SequenceGenerator({ counters, ledger });
  return closing(generator, async () => {
    const next = (of: Conversation): Promise<number> => {
      if (signal.aborted) throw new TidemarkError('aborted', 'the demo was stopped');
      return generator.next(of);
    };
    const { history, elapsedMs } = await play(chat, next, () => counters.lose());
    const gaps = await recordedGaps(generator, chat);
    await measureSpeed(chat, next, speedMs);
    const numbersPerSecond = await measureSpeed(chat, next, speedMs);
    const byReason: Record<string, number> = {};
    for (const { reason } of gaps) byReason[reason] = (byReason[reason] ?? 0) + 1;
    const skipped = skippedRanges(history);
    const examples = gaps
      .map(({ conversation, first, last, reason }) => ({
        conversation,
        first,
        last,
        reason,
        skipped: overlap(skipped, { conversation, first, last }),
      }))
      .sort((a, b) => b.skipped - a.skipped)
      .slice(0, exampleCount);
    return {
      ...judge(history, gaps),
      elapsedMs,
      numbersPerSecond,
      gaps: { recorded: gaps.length, byReason, examples },
    };
  });
}

async function runPlain(chat: readonly Conversation[]): Promise<DemoReport['plain']> {
  const counters = new PlainCounters();
  const next = (of: Conversation): Promise<number> => counters.next(of.key);
  const { history, elapsedMs } = await play(chat, next, () => counters.loseAndRecover());
  await measureSpeed(chat, next, speedMs);
  const numbersPerSecond = await measureSpeed(chat, next, speedMs);
  return { ...judge(history, []), elapsedMs, numbersPerSecond, snapshotEvery };
}

async function recordedGaps(generator: SequenceGenerator, chat: readonly Conversation[]): Promise<Gap[]> {
  const conversations = new Map(chat.map((each) => [each.key, each]));
  const gaps = await Promise.all([...conversations.values()].map((each) => generator.gaps(each)));
  return gaps.flat();
}

type Range = { readonly conversation: string; readonly first: number; readonly last: number };

/** How many numbers of a range are in any of the others. */
function overlap(others: readonly Range[], { conversation, first, last }: Range): number {
  let count = 0;
  for (const other of others) {
    if (other.conversation !== conversation) continue;
    count += Math.max(0, Math.min(last, other.last) - Math.max(first, other.first) + 1);
  }
  return count;
}
