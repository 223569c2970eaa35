/** Ledger writes of chats with few messages, over a year: too slow to measure, so the reservation policy runs on a clock of its own. */

import {
  defaultReservationPolicy,
  firstBlockSize,
  isLow,
  nextBlockSize,
} from '../../src/core/reservation-policy.js';
import { Random } from '../../test/support/random.js';
import type { Step } from '../results.js';
import { rounded } from '../summary.js';

const dayMs = 86_400_000;
const days = 365;
const chats = 20;
const messagesADay = [10, 100, 1_000];

export function simulateChats(seed: number): Step[] {
  const peers = messagesADay.map((perDay) => {
    const ledgerRowsPer1000 = rounded(ledgerWritesPer1000(perDay, seed));
    const title = `${perDay.toLocaleString('en-US')} messages a day`;
    const result = { title, conversations: chats, underWay: 0, footprint: {}, events: {} };
    return [String(perDay), { ...result, rounds: [{ ledgerRowsPer1000 }] }] as const;
  });
  return [{ conversations: chats, underWay: 0, seconds: 0, peers: Object.fromEntries(peers) }];
}

/** Of chats whose messages come at random times, so many a day. */
export function ledgerWritesPer1000(perDay: number, seed: number): number {
  const random = new Random(seed);
  let writes = 0;
  let messages = 0;
  for (let chat = 0; chat < chats; chat += 1) {
    const year = oneYear(perDay, random);
    writes += year.writes;
    messages += year.messages;
  }
  return (writes * 1_000) / messages;
}

/** One chat: a first block with its first message, and a refill when less than half of the smallest block is left. */
function oneYear(perDay: number, random: Random): { writes: number; messages: number } {
  const policy = defaultReservationPolicy;
  const smallest = firstBlockSize(policy);
  let block: { size: number; atMs: number } | undefined;
  let left = 0;
  let writes = 0;
  let messages = 0;
  for (let atMs = wait(perDay, random); atMs < days * dayMs; atMs += wait(perDay, random)) {
    if (isLow(left, smallest)) {
      const previous = block && { size: block.size, ageMs: atMs - block.atMs, usedUp: true };
      block = { size: nextBlockSize(policy, previous, 1), atMs };
      left += block.size;
      writes += 1;
    }
    left -= 1;
    messages += 1;
  }
  return { writes, messages };
}

/** Until the next message: exponentially distributed, as of messages that know nothing of each other. */
function wait(perDay: number, random: Random): number {
  return (-Math.log((random.uint32() + 1) / 2 ** 32) * dayMs) / perDay;
}
