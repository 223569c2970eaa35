/**
 * One process that takes numbers, for the fault tests. Writes what happens to a file, line by line, before it goes on,
 * so that nothing is forgotten when the process is killed.
 *
 *     S <id> <conversation> <count> <time>     a call starts
 *     E <id> <first> <last> <time>             it got its numbers
 *     F <id> <code> <time>                     it failed
 *     V <event type>                           the generator told of something
 */

import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { groupChat } from '../../src/core/conversation.js';
import { TidemarkError } from '../../src/errors.js';
import { openTidemark } from '../../src/open.js';
import { Random } from '../support/simulation.js';

export interface LoadOptions {
  readonly redis: string;
  readonly mysql: string;
  readonly file: string;
  readonly seed: number;
  readonly conversations: number;
  readonly callers: number;
  /** Ends by itself after this; earlier when it is told to stop. */
  readonly maxDurationMs: number;
  readonly timeoutMs: number;
  readonly ledgerOutage: 'continue' | 'refuse';
}

async function main(options: LoadOptions): Promise<void> {
  const file = openSync(options.file, 'a');
  const write = (line: string) => writeSync(file, `${line}\n`);
  const sequences = openTidemark({
    redis: { url: options.redis, replyTimeoutMs: 1_000 },
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
  const caller = async () => {
    while (performance.now() < endMs) {
      calls += 1;
      const id = calls;
      const of = groupChat(`g${random.below(options.conversations)}`);
      const count = random.chance(0.1) ? 1 + random.below(20) : 1;
      write(`S ${id} ${of.key} ${count} ${nowNs()}`);
      try {
        const { first, last } = await sequences.nextMany(of, count);
        write(`E ${id} ${first} ${last} ${nowNs()}`);
      } catch (error) {
        write(`F ${id} ${error instanceof TidemarkError ? error.code : String(error)} ${nowNs()}`);
      }
      if (random.chance(0.5)) await sleep(random.below(12));
    }
  };
  await Promise.all(Array.from({ length: options.callers }, caller));
  await sequences.close();
  if (process.connected) process.disconnect();
}

/** One clock for all processes of the machine. */
function nowNs(): bigint {
  return process.hrtime.bigint();
}

await main(JSON.parse(process.argv[2]!) as LoadOptions);
