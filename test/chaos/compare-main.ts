/** `npm run compare -- --runs 5`: see `--help`. */

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Command, Option } from 'commander';
import { repositoryRoot } from '../support/compiled.js';
import { integer, runProgram } from './arguments.js';
import { type CompareOptions, compare } from './compare.js';
import { comparedFaults, comparedSystems } from './compare-rows.js';
import { printedTable, withTable } from './compare-table.js';

interface Options extends Omit<CompareOptions, 'onRun'> {
  readonly write?: boolean;
  readonly json?: boolean;
}

const program = new Command('compare')
  .description(
    'Breaks the same things in the same way under Tidemark and under what people use today, on private servers, and counts ' +
      'the numbers issued twice, the calls that got a smaller number than one already known, and the numbers missing without ' +
      'an explanation.',
  )
  .option('--runs <R>', 'runs for each fault and system', integer(1, 1_000), 5)
  .option('--seed <S>', 'seed of the first run of each', integer(0, 2 ** 31), 1)
  .option('--jobs <J>', 'runs side by side', integer(1, 16), 2)
  .addOption(new Option('--faults <name...>', 'only these').choices(comparedFaults.map(({ name }) => name)))
  .addOption(new Option('--systems <name...>', 'only these').choices(comparedSystems.map(({ name }) => name)))
  .addOption(
    new Option('--write', 'put the result into docs/comparison.json and docs/guarantees.md').conflicts([
      'faults',
      'systems',
    ]),
  )
  .option('--json', 'print the result as JSON')
  .parse();

runProgram('compare', async () => {
  const { write, json, ...options } = program.opts<Options>();
  const comparison = await compare({ ...options, onRun: (what) => process.stderr.write(`${what}\n`) });
  const text = JSON.stringify(comparison, undefined, 2);
  process.stdout.write(`${json ? text : printedTable(comparison)}\n`);
  if (write) {
    const docs = path.join(repositoryRoot, 'docs');
    await writeFile(path.join(docs, 'comparison.json'), `${text}\n`);
    const page = path.join(docs, 'guarantees.md');
    await writeFile(page, withTable(await readFile(page, 'utf8'), comparison));
  }
  return true;
});
