/**
 * One process that takes numbers, for the fault tests. Writes what happens to a file, line by line, before it goes on,
 * so that nothing is forgotten when the process is killed.
 *
 *     S <id> <conversation> <count> <time>     a call starts
 *     E <id> <first> <last> <time>             it got its numbers
 *     F <id> <code> <time>                     it failed
 *     V <event type>                           the generator told of something
 *
 * Times are in microseconds of one clock that all processes of the machine share.
 */

import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { groupChat } from '../../src/core/conversation.js';
import { TidemarkError } from '../../src/errors.js';
import { openTidemark } from '../../src/open.js';
import { nowUs } from '../support/load-log.js';
import { Random } from '../support/random.js';

export interface LoadOptions {
  /** Any URL that the store takes: of one server, of Sentinels, of a cluster. */
  readonly redis: string;
  readonly mysql: string;
  readonly file: string;
  readonly seed: number;
  /** 1 to 1,000. */
  readonly conversations: number;
  readonly callers: number;
  /** Each caller has conversations of its own, so that one that waits for a lost primary holds up no other conversation. */
  readonly pinned: boolean;
  /** Ends by itself after this; earlier when it is told to stop. */
  readonly maxDurationMs: number;
  readonly timeoutMs: number;
  readonly replyTimeoutMs: number;
  readonly ledgerOutage: 'continue' | 'refuse';
}

async function main(options: LoadOptions): Promise<void> {
  const file = openSync(options.file, 'a');
  const write = (line: string) => writeSync(file, `${line}\n`);
  const sequences = openTidemark({
    redis: { url: options.redis, replyTimeoutMs: options.replyTimeoutMs },
    mysql: options.mysql,
    ledgerOutage: options.ledgerOutage,
    timeoutMs: options.timeoutMs,
    onEvent: (event) => write(`V ${event.type}`),
  });
  const random = new Random(options.seed);
  let endMs = performance.now() + options.maxDurationMs;
  process.once('message', () => {
    endMs = 0;
    process.disconnect();
  });
  let calls = 0;
  const caller = async (own: number) => {
    while (performance.now() < endMs) {
      calls += 1;
      const id = calls;
      const of = groupChat(`g${conversationFor(own, options, random)}`);
      const count = random.chance(0.1) ? 1 + random.below(20) : 1;
      write(`S ${id} ${of.key} ${count} ${nowUs()}`);
      try {
        const { first, last } = await sequences.nextMany(of, count);
        write(`E ${id} ${first} ${last} ${nowUs()}`);
      } catch (error) {
        write(`F ${id} ${error instanceof TidemarkError ? error.code : String(error)} ${nowUs()}`);
      }
      if (random.chance(0.5)) await sleep(random.below(12));
    }
  };
  await Promise.all(Array.from({ length: options.callers }, (_, own) => caller(own)));
  await sequences.close();
  if (process.connected) process.disconnect();
}

function conversationFor(own: number, options: LoadOptions, random: Random): number {
  const { conversations, callers, pinned } = options;
  if (!pinned) return random.below(conversations);
  return (own + callers * random.below(Math.ceil(conversations / callers))) % conversations;
}

await main(JSON.parse(process.argv[2]!) as LoadOptions);
