/** What the programs of the campaign have in common on their command lines. */

import { InvalidArgumentError } from 'commander';

/** Reads an integer of a range. */
export function integer(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    // An empty text, of a variable that is not set, is none.
    if (/^-?\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It must be an integer from ${least} to ${most}.`);
  };
}

/** A seed from the clock, for those who name none. */
export function anySeed(): number {
  return Date.now() % 2 ** 31;
}

/** Ends at a signal through the exit handlers, which end the servers and remove their folders. */
export function endAtSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
}

/** Runs a program that says in the end whether all was well. */
export function runProgram(name: string, program: () => Promise<boolean>): void {
  endAtSignals();
  program()
    // Not left to the runtime: it may wait for ever for a socket that was reset while it was being shut down.
    .then((isWell) => process.exit(isWell ? 0 : 1))
    .catch((error: unknown) => {
      process.stderr.write(`${name}: ${(error as Error).stack}\n`);
      process.exit(1);
    });
}
