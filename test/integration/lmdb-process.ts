/**
 * A process that uses an embedded ledger: `lmdb-process.js hold|reserve FOLDER`.
 *
 * `hold`: says `open` or the error's code, and keeps the ledger until its input ends.
 * `reserve`: reserves block after block, as fast as it can, and says `conversation start end` for each that the ledger
 * has acknowledged, until it is killed.
 */

import { randomUUID } from 'node:crypto';
import { writeSync } from 'node:fs';
import type { CounterWord } from '../../src/core/counter-word.js';
import { TidemarkError } from '../../src/errors.js';
import { LmdbLedger } from '../../src/ledgers/lmdb/lmdb-ledger.js';

const conversations = 40;

async function hold(folder: string): Promise<void> {
  try {
    const ledger = await LmdbLedger.open({ folder });
    say('open');
    process.stdin.resume().once('end', () => void ledger.close());
  } catch (error) {
    say(error instanceof TidemarkError ? `${error.code} ${error.message}` : String(error));
  }
}

async function reserve(folder: string): Promise<void> {
  const ledger = await LmdbLedger.open({ folder });
  const generation = await ledger.registerHistory(randomUUID());
  const policy = { kind: 'fixed', size: 7 } as const;
  const forever = async (conversation: string) => {
    let saw: CounterWord | undefined;
    for (;;) {
      const [outcome] = await ledger.reserve([{ conversation, generation, saw, need: 1, policy }]);
      if (outcome?.status !== 'reserved') throw new Error(`unexpected: ${JSON.stringify(outcome)}`);
      const { start, end } = outcome.block;
      say(`${conversation} ${start} ${end}`);
      saw = { last: end, remaining: 0 };
    }
  };
  await Promise.all(Array.from({ length: conversations }, (_, n) => forever(`group:${n}`)));
}

/** Written at once, so that nothing is in a buffer of this process when it is killed. */
function say(line: string): void {
  writeSync(1, `${line}\n`);
}

const [mode, folder] = process.argv.slice(2);
if (mode === 'hold') await hold(folder!);
else await reserve(folder!);
