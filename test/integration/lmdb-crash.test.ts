import path from 'node:path';
import { expect, it } from 'vitest';
import { maxSequenceNumber } from '../../src/core/counter-word.js';
import { LmdbLedger } from '../../src/ledgers/lmdb/lmdb-ledger.js';
import { temporaryFolder } from '../support/servers.js';
import { LedgerProcess } from './lmdb-support.js';

const rounds = 20;
type Range = readonly [first: number, last: number];

it(`keeps every acknowledged reservation through ${rounds} times kill -9 at full speed`, async () => {
  const temporary = await temporaryFolder();
  const folder = path.join(temporary.path, 'ledger');
  const blocks = new Map<string, Range[]>();
  let acknowledged = 0;
  for (let round = 0; round < rounds; round += 1) {
    const writer = new LedgerProcess('reserve', folder);
    await writer.said(40);
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 60));
    await writer.kill();
    // The last line may be cut off in the middle.
    for (const line of writer.lines) {
      const [, conversation, start, end] = /^(group:\d+) (\d+) (\d+)$/.exec(line) ?? [];
      if (conversation === undefined) continue;
      const known = blocks.get(conversation) ?? [];
      blocks.set(conversation, known);
      known.push([Number(start) + 1, Number(end)]);
      acknowledged += 1;
    }
  }
  const ledger = await LmdbLedger.open({ folder });
  try {
    for (const [conversation, given] of blocks) {
      given.sort((a, b) => a[0] - b[0]);
      for (const [n, [first]] of given.entries()) {
        expect(n === 0 || first > given[n - 1]![1], `${conversation}: ${given[n - 1]} and ${given[n]}`).toBe(
          true,
        );
      }
      const [entry] = await ledger.load([conversation]);
      expect(entry!.ceiling, conversation).toBeGreaterThanOrEqual(given.at(-1)![1]);
      // What was reserved and not acknowledged is in a gap as soon as something behind it was reserved.
      const gaps = await ledger.gaps(conversation, { from: 1, to: maxSequenceNumber, limit: 10_000 });
      const explained = [...given, ...gaps.map((gap): Range => [gap.first, gap.last])];
      let reached = 0;
      for (const [first, last] of explained.sort((a, b) => a[0] - b[0])) {
        expect(first, `${conversation}: numbers after ${reached} are not explained`).toBeLessThanOrEqual(
          reached + 1,
        );
        reached = Math.max(reached, last);
      }
    }
    expect(acknowledged).toBeGreaterThan(rounds * 40);
  } finally {
    await ledger.close();
    await temporary.remove();
  }
}, 120_000);
