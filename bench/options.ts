import { parseArgs } from 'node:util';
import { type Workload, type WorkloadName, workloads } from './workloads.js';

export interface BenchOptions {
  readonly workload: WorkloadName;
  readonly rounds: number;
  readonly seconds: number;
  readonly underWay: number;
  readonly conversations: number;
  readonly seed: number;
  readonly json: boolean;
  readonly profileFolder: string | undefined;
}

/** A command line that makes no sense; the message says why. */
export class UsageError extends Error {}

export const help = `Measures Tidemark beside node-redis INCR or another way to use it, on private servers of its own.

  npm run -s bench -- --workload NAME [options]

Workloads
${Object.entries(workloads)
  .map(([name, { title }]) => `  ${name.padEnd(20)}${title}`)
  .join('\n')}

Options
  --rounds N          rounds of each peer, in turn; 3 by default
  --seconds S         length of a round; 4 by default
  --under-way N       calls under way at once; 1000 by default
  --conversations N   100000 by default
  --seed N            picks of conversations; 1 by default
  --json              the result as JSON
  --profile FOLDER    write CPU profiles of the clients there
  --help

The result goes to standard output, progress to standard error. See docs/performance.md.
`;

/** @throws UsageError. Undefined: the help was asked for. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  const workload = values.workload ?? 'uniform';
  if (!(workload in workloads)) {
    throw new UsageError(`there is no workload ${workload}; use ${Object.keys(workloads).join(', ')}`);
  }
  const name = workload as WorkloadName;
  const fixed: Workload = workloads[name];
  return {
    workload: name,
    rounds: number('rounds', values.rounds ?? '3', 1, 100),
    seconds: number('seconds', values.seconds ?? '4', 0.1, 600),
    underWay: fixed.underWay || number('under-way', values['under-way'] ?? '1000', 1, 100_000),
    conversations:
      fixed.conversations || number('conversations', values.conversations ?? '100000', 1, 1_000_000),
    seed: number('seed', values.seed ?? '1', 0, 2 ** 31),
    json: values.json ?? false,
    profileFolder: values.profile,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        workload: { type: 'string' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        'under-way': { type: 'string' },
        conversations: { type: 'string' },
        seed: { type: 'string' },
        json: { type: 'boolean' },
        profile: { type: 'string' },
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function number(name: string, text: string, min: number, max: number): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const fits = value >= min && value <= max && (name === 'seconds' || Number.isInteger(value));
  if (!fits) throw new UsageError(`--${name} must be a number from ${min} to ${max}, got ${text}`);
  return value;
}
