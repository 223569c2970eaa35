/** `npm run -s bench -- --workload uniform`: see `--help`. */

import { runBench } from './bench.js';
import { help, readOptions, UsageError } from './options.js';
import { renderTable } from './table.js';

async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  if (options === undefined) {
    process.stdout.write(help);
    return;
  }
  const result = await runBench(options, (progress) => process.stderr.write(`${progress}\n`));
  process.stdout.write(options.json ? `${JSON.stringify(result, undefined, 2)}\n` : renderTable(result));
}

// So that the exit handlers end the servers and remove their folders.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`bench: ${error instanceof UsageError ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
});
