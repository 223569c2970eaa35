import { parseArgs } from 'node:util';
import { type WorkloadName, workloadNames, workloads } from './workloads.js';

export interface BenchOptions {
  /** In the order of the table of workloads. */
  readonly workloads: readonly WorkloadName[];
  readonly rounds: number;
  readonly seconds: number;
  readonly underWay: number;
  readonly conversations: number;
  /** Most conversations of the workload `words`. */
  readonly largest: number;
  readonly seed: number;
  readonly json: boolean;
  readonly profileFolder: string | undefined;
  /** Results to begin with. */
  readonly from: string | undefined;
  /** Folder of the page to write. */
  readonly docs: string | undefined;
}

/** A command line that makes no sense; the message says why. */
export class UsageError extends Error {}

export const help = `Measures Tidemark beside other ways to number messages, on private servers of its own.

  npm run -s bench -- [options]

Workloads
${Object.entries(workloads)
  .map(([name, { title }]) => `  ${name.padEnd(20)}${title}`)
  .join('\n')}

Options
  --workload NAME     only this one; may be given several times
  --rounds N          rounds of each peer, in turn; 5 by default
  --seconds S         length of a round; 4 by default
  --under-way N       calls under way at once; 1000 by default
  --conversations N   100000 by default
  --largest N         most conversations of the workload words; 10000000 by default
  --seed N            picks of conversations; 1 by default
  --quick             everything once and very short, to see that it works
  --json              the results as JSON
  --from FILE         begin with these results. Without --workload nothing is measured; with it, only that anew
  --docs FOLDER       write performance.md, performance.json and the plots there
  --profile FOLDER    write CPU profiles of the clients there
  --help

The result goes to standard output, progress to standard error. See docs/performance.md.
`;

const defaults = { rounds: '5', seconds: '4', conversations: '100000', largest: '10000000' };
const quick = { rounds: '1', seconds: '0.2', conversations: '1000', largest: '10000' };

/** @throws UsageError. Undefined: the help was asked for. */
export function readOptions(args: readonly string[]): BenchOptions | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  const sizes = values.quick ? quick : defaults;
  const named = values.workload ?? (values.from === undefined ? workloadNames : []);
  for (const name of named) {
    if (!(name in workloads)) {
      throw new UsageError(`there is no workload ${name}; use ${workloadNames.join(', ')}`);
    }
  }
  return {
    workloads: workloadNames.filter((name) => named.includes(name)),
    rounds: number('rounds', values.rounds ?? sizes.rounds, 1, 100),
    seconds: number('seconds', values.seconds ?? sizes.seconds, 0.1, 600),
    underWay: number('under-way', values['under-way'] ?? '1000', 1, 100_000),
    conversations: number('conversations', values.conversations ?? sizes.conversations, 1, 1_000_000),
    largest: number('largest', values.largest ?? sizes.largest, 1, 100_000_000),
    seed: number('seed', values.seed ?? '1', 0, 2 ** 31),
    json: values.json ?? false,
    profileFolder: values.profile,
    from: values.from,
    docs: values.docs,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        workload: { type: 'string', multiple: true },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        'under-way': { type: 'string' },
        conversations: { type: 'string' },
        largest: { type: 'string' },
        seed: { type: 'string' },
        quick: { type: 'boolean' },
        json: { type: 'boolean' },
        from: { type: 'string' },
        docs: { type: 'string' },
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
