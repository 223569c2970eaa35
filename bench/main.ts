/**
 * `npm run -s bench`: see `--help`.
 *
 * workloads.ts says what is measured. measure/ runs it: servers/ has the private servers and their meters, clients/ the processes
 * that make calls, with all peers. What comes out is in results.ts; summary.ts makes medians of it, and page/ docs/performance.md.
 */

import { readFile } from 'node:fs/promises';
import { runCampaign } from './campaign.js';
import { help, readOptions, UsageError } from './options.js';
import { renderTables } from './page/tables.js';
import { writeDocs } from './page/write-docs.js';
import type { Results } from './results.js';

async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  if (options === undefined) {
    process.stdout.write(help);
    return;
  }
  const { from, docs } = options;
  const earlier = from === undefined ? undefined : (JSON.parse(await readFile(from, 'utf8')) as Results);
  const report = (progress: string) => process.stderr.write(`${progress}\n`);
  const keep = async (results: Results) => {
    if (docs !== undefined) await writeDocs(results, docs);
  };
  const isMeasuring = earlier === undefined || options.workloads.length > 0;
  const { results, failed } = isMeasuring
    ? await runCampaign(options, earlier, report, keep)
    : { results: earlier, failed: [] };
  if (!isMeasuring) await keep(results);
  if (failed.length > 0) {
    report(`bench: failed: ${failed.join(', ')}`);
    process.exitCode = 1;
  }
  process.stdout.write(options.json ? `${JSON.stringify(results, undefined, 1)}\n` : renderTables(results));
}

// So that the exit handlers end the servers and remove their folders.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof UsageError ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
