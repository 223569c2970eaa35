/**
 * A client that shows messages in order, and goes on after Redis has lost the counters. It talks to message-table.mjs:
 *
 *   node takeover.mjs http://127.0.0.1:3000/g1
 *
 * It ends after a message `bye`, and says how often it has asked the server for messages. What it imports runs in a browser.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { Reader } from 'tidemark/reader';

const server = process.argv[2];
const pollMs = 200;
const requestTimeoutMs = 5_000;

const reader = new Reader({
  gaps: ({ from, to }) => ask(`gaps?from=${from}&to=${to}`),
  // How long after a failover a message may still arrive under an old number. Ten seconds, if nothing is said here.
  graceMs: 3_000,
});
let fetches = 0;

async function ask(path) {
  const response = await fetch(`${server}/${path}`, { signal: AbortSignal.timeout(requestTimeoutMs) });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** How far the conversation is. A client that is pushed messages hands them to `reader.add` instead. */
async function look() {
  try {
    const { number } = await ask('current');
    reader.expect(number);
  } catch {
    // The server, or its Redis, is away. What is missing stays missing; the next look is soon enough.
  }
}

async function fetchMessages(range) {
  fetches += 1;
  try {
    for (const message of await ask(`messages?from=${range.from}&to=${range.to}`))
      reader.add(message.number, message);
    reader.fetched(range);
  } catch {
    reader.fetchFailed(range);
  }
}

for (let isOver = false; !isOver; ) {
  await look();
  const { deliver, skipped, fetch, againInMs } = await reader.advance();
  // Nobody waits for these any more. A message that comes nevertheless is `late`, see `reader.add`.
  for (const { first, last, why } of skipped) console.log(`skipped ${first}-${last} ${why}`);
  for (const { number, message } of deliver) console.log(`${number} ${message.text}`);
  isOver = deliver.some(({ message }) => message.text === 'bye');
  if (fetch !== undefined) await fetchMessages(fetch);
  else if (!isOver) await sleep(Math.min(againInMs ?? pollMs, pollMs));
}
console.log(`fetches ${fetches}`);
