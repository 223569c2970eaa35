/** `npm run judge -- <folder>`: judges the history of a run again. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Command } from 'commander';
import { runProgram } from './arguments.js';
import { judgeFolder } from './judge/judge-folder.js';
import { witness } from './judge/witness.js';
import type { Schedule } from './schedule.js';

const program = new Command('judge')
  .description(
    'Reads the histories of the clients of a run and the gaps of the ledger, and says what is wrong.',
  )
  .argument('<folder>', 'with client-<n>.log, gaps.log, and run.json if something is excused')
  .option('--all', 'excuse nothing')
  .option('--json', 'one JSON object')
  .parse();

runProgram('judge', async () => {
  const { all, json } = program.opts<{ all?: boolean; json?: boolean }>();
  const folder = program.args[0]!;
  const run = path.join(folder, 'run.json');
  const excuses = !all && existsSync(run) ? (JSON.parse(readFileSync(run, 'utf8')) as Schedule).excuses : {};
  const startedAtMs = performance.now();
  const verdict = judgeFolder(folder, { excuses });
  const tookS = (performance.now() - startedAtMs) / 1_000;
  if (json) {
    process.stdout.write(`${JSON.stringify({ ...verdict, tookS })}\n`);
    return verdict.isClean;
  }
  for (const violation of verdict.violations) {
    const lines = [
      `${violation.kind} ${violation.conversation}: ${violation.text}`,
      ...witness(folder, violation),
    ];
    process.stdout.write(`${lines.join('\n    ')}\n`);
  }
  const memoryMiB = process.memoryUsage.rss() / (1 << 20);
  process.stdout.write(
    `${verdict.isClean ? 'clean' : 'GUILTY'}: ${JSON.stringify(verdict.counts)}, found ${JSON.stringify(verdict.found)}; ` +
      `${tookS.toFixed(1)} s, ${Math.round(verdict.counts.events / tookS)} events/s, ${memoryMiB.toFixed(0)} MiB\n`,
  );
  return verdict.isClean;
});
