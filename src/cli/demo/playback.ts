/** Plays a chat to something that issues numbers, with many calls under way, and records what comes back. */

import { readFile } from 'node:fs/promises';
import type { Conversation } from '../../core/conversation.js';
import { conversationOfLine } from '../stamp/stamp-line.js';
import type { Issued } from './history.js';

/** Calls under way at once. */
const callsUnderWay = 500;

type Next = (of: Conversation) => Promise<number>;

/** The conversation of each message of the bundled chat, in order. */
export async function loadChat(): Promise<Conversation[]> {
  const bytes = await readFile(new URL('./chat.ndjson', import.meta.url));
  return bytes
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => conversationOfLine(Buffer.from(line)));
}

/**
 * Numbers every message once.
 *
 * @param halfWay - called in the middle, while calls are under way
 */
export async function play(
  chat: readonly Conversation[],
  next: Next,
  halfWay: () => void,
): Promise<{ history: Issued[]; elapsedMs: number }> {
  const history: Issued[] = [];
  const half = Math.floor(chat.length / 2);
  const startedAtMs = performance.now();
  let tick = 0;
  await pump(chat.length, async (index) => {
    if (index === half) halfWay();
    tick += 1;
    const startedAtTick = tick;
    const conversation = chat[index]!;
    const number = await next(conversation);
    tick += 1;
    history.push({ conversation: conversation.key, number, startedAtTick, repliedAtTick: tick });
  });
  return { history, elapsedMs: performance.now() - startedAtMs };
}

/** Numbers a second, when the chat is played again and again for about `durationMs`. */
export async function measureSpeed(
  chat: readonly Conversation[],
  next: Next,
  durationMs: number,
): Promise<number> {
  const startedAtMs = performance.now();
  let issued = 0;
  let elapsedMs = 0;
  while (elapsedMs < durationMs) {
    await pump(chat.length, async (index) => {
      await next(chat[index]!);
    });
    issued += chat.length;
    elapsedMs = performance.now() - startedAtMs;
  }
  return Math.round((issued * 1_000) / elapsedMs);
}

/** Runs `work` for each index in order, a bounded number of them at once. Rejects with the first error. */
async function pump(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let index = 0;
  const worker = async (): Promise<void> => {
    while (index < count) {
      const own = index;
      index += 1;
      await work(own);
    }
  };
  await Promise.all(Array.from({ length: Math.min(callsUnderWay, count) }, worker));
}
