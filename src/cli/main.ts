#!/usr/bin/env node
/** The `tidemark` command. The only file that ends the process. */

import { CommanderError } from 'commander';
import { asTidemarkError } from '../core/epochs.js';
import { TidemarkError } from '../errors.js';
import { readEnvironment } from './config.js';
import { Output, oneLine, ReaderGone } from './output.js';
import { buildProgram } from './program.js';
import { Runner } from './runner.js';

/** Exit status of a process that wrote to a pipe nobody reads, as a shell reports it. */
const readerGoneStatus = 141;
const signalStatus = { SIGINT: 130, SIGTERM: 143 } as const;

process.exit(await main());

async function main(): Promise<number> {
  const output = new Output(process.stdout, process.stderr);
  const stopping = new AbortController();
  let stoppedBy: keyof typeof signalStatus | undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    // Once: the first signal ends the command cleanly, a second one ends it at once.
    process.once(name, () => {
      stoppedBy ??= name;
      stopping.abort(new Error(name));
    });
  }
  const runner = new Runner({
    output,
    input: process.stdin,
    signal: stopping.signal,
    environment: readEnvironment(),
    folder: process.cwd(),
  });
  let status: number;
  try {
    status = await run(runner, output);
  } catch (error) {
    status = error instanceof ReaderGone ? readerGoneStatus : output.error(asTidemarkError(error));
  }
  await output.flush();
  return stoppedBy === undefined || runner.endedInOrder ? status : signalStatus[stoppedBy];
}

async function run(runner: Runner, output: Output): Promise<number> {
  const program = await buildProgram(runner);
  // Until the flags are parsed, an error has to know how to print itself.
  output.json = process.argv.includes('--json');
  try {
    await program.parseAsync(process.argv);
    return runner.exitStatus;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    throw new TidemarkError('invalid_argument', usageMessage(error));
  }
}

function usageMessage(error: CommanderError): string {
  if (error.code === 'commander.help') return 'no command is given; see tidemark --help';
  const message = oneLine(error.message).replace(/^error: /, '');
  return message.endsWith('.') ? `${message} See tidemark --help` : `${message}; see tidemark --help`;
}
