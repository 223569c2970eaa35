import type { Command } from 'commander';
import { requireStores, type Settings } from '../config.js';
import { examples } from '../flags.js';
import { columns, counted, withoutCredentials } from '../output.js';
import type { Runner } from '../runner.js';

/** Longest that one server may take to answer, in milliseconds, unless `--timeout` is given. */
const defaultTimeoutMs = 5_000;
const failureStatus = 1;

/** One finding. */
export interface Check {
  /** What was looked at, as `redis.persistence`. */
  readonly check: string;
  readonly status: 'ok' | 'warning' | 'failure';
  readonly found: string;
  /** What to do; missing when there is nothing to do. */
  readonly advice?: string;
}

/** `tidemark doctor` */
export function addDoctor(program: Command, runner: Runner): void {
  program
    .command('doctor')
    .description('look at the stores: connections, versions, durability, clocks, schema; say what to do')
    .addHelpText(
      'after',
      examples(
        'tidemark doctor --redis redis://localhost --ledger mysql://root@localhost/tidemark',
        'tidemark doctor --data ./d',
      ),
    )
    .action(async (_options: object, command: Command) => {
      await runner.run(command, async ({ settings, output }) => {
        const checks = (await examine(settings)).map(safe);
        const failures = checks.filter(({ status }) => status === 'failure').length;
        const warnings = checks.filter(({ status }) => status === 'warning').length;
        const json = {
          ok: failures === 0,
          failures,
          warnings,
          checks: checks.map((each) => ({ ...each, advice: each.advice ?? null })),
        };
        await output.result(
          json,
          `${textOf(checks)}\n${counted(failures, 'failure')}, ${counted(warnings, 'warning')}`,
        );
        return failures === 0 ? 0 : failureStatus;
      });
    });
}

async function examine(settings: Settings): Promise<Check[]> {
  const stores = requireStores(settings);
  const timeoutMs = settings.tuning.timeoutMs ?? defaultTimeoutMs;
  if (stores.kind === 'embedded') {
    const { examineFolder } = await import('./doctor-embedded.js');
    return examineFolder(stores.folder);
  }
  const { redis, ledger } = stores;
  const prefix = settings.prefix === undefined ? {} : { prefix: settings.prefix };
  const [ofRedis, ofLedger] = await Promise.all([
    redis === undefined
      ? [notNamed('redis', '--redis redis://host:6379')]
      : import('./doctor-redis.js').then(({ examineRedis }) =>
          examineRedis({ url: redis, ...prefix }, timeoutMs),
        ),
    ledger === undefined
      ? [notNamed('ledger', '--ledger mysql://user@host:3306/database')]
      : import('./doctor-mysql.js').then(({ examineLedger }) => examineLedger(ledger, timeoutMs)),
  ]);
  return [...ofRedis, ...ofLedger];
}

function notNamed(what: string, flag: string): Check {
  return {
    check: `${what}.connection`,
    status: 'warning',
    found: 'not named, not looked at',
    advice: `give ${flag}`,
  };
}

/** What servers say about themselves is printed, so it is cleaned like everything else. */
function safe({ check, status, found, advice }: Check): Check {
  const text = withoutCredentials(found).replace(/\s+/g, ' ');
  return {
    check,
    status,
    found: text,
    ...(advice === undefined ? {} : { advice: withoutCredentials(advice) }),
  };
}

function textOf(checks: readonly Check[]): string {
  const lines = columns(checks.map(({ check, status, found }) => [status, check, found])).split('\n');
  return checks
    .map(({ advice }, index) =>
      advice === undefined ? lines[index]! : `${lines[index]!}\n         -> ${advice}`,
    )
    .join('\n');
}

/** Most that a clock may differ without a word, in milliseconds. */
const maxClockDifferenceMs = 1_000;

/**
 * A server's clock against this machine's. Numbers do not depend on it; times in records do.
 *
 * @param differenceMs - server minus this machine, measured between request and reply
 * @param errorMs - half of the time that the question took
 */
export function clockCheck(check: string, differenceMs: number, errorMs: number): Check {
  const found = `${differenceMs < 0 ? '' : '+'}${Math.round(differenceMs)} ms against this machine (± ${Math.ceil(errorMs)} ms)`;
  if (Math.abs(differenceMs) - errorMs <= maxClockDifferenceMs) return { check, status: 'ok', found };
  return {
    check,
    status: 'warning',
    found,
    advice: 'run a time service on both machines; numbers stay correct, times in records differ',
  };
}

/** Waits for an answer, but not for ever. */
export async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What went wrong, in one line and without the name of the error's class. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return error instanceof Error && error.message !== '' ? error.message : String(error);
}
