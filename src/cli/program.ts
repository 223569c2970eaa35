/** All commands and flags. `docs/cli.md` lists the same; a test compares the two. */

import { Command } from 'commander';
import { maxTimeoutMs } from '../core/options.js';
import { addCompleteUpTo } from './commands/complete-up-to.js';
import { addCurrent } from './commands/current.js';
import { addDemo } from './commands/demo.js';
import { addDoctor } from './commands/doctor.js';
import { addDrain } from './commands/drain.js';
import { addExplain } from './commands/explain.js';
import { addGaps } from './commands/gaps.js';
import { addInspect } from './commands/inspect.js';
import { addList } from './commands/list.js';
import { addMigrate } from './commands/migrate.js';
import { addNext } from './commands/next.js';
import { addRecover } from './commands/recover.js';
import { addServe } from './commands/serve.js';
import { addStamp } from './commands/stamp.js';
import { addAbandon, addRenew, addSettle, addTake } from './commands/take.js';
import { addToken } from './commands/token.js';
import { addVerify } from './commands/verify.js';
import { defaultConfigFile } from './config.js';
import { wholeNumber } from './flags.js';
import type { Runner } from './runner.js';
import { packageVersion } from './version.js';

const footer = `
Conversations are written group:g1, private:alice:bob or <type>:<id>; inside an id, : is %3A and % is %25.

Stores: --data DIR (embedded), or --redis URL and --ledger URL; or TIDEMARK_DATA, or TIDEMARK_REDIS and
TIDEMARK_LEDGER; or ${defaultConfigFile}. Flags come before the environment, the environment before the file.

Exit status: 0 done; 1 bad lines, or a failure found by doctor or verify; 2 wrong usage; 3 a store is out of reach or busy, try
again; 4 wrong state, such as a folder in use; 5 unusable data; 70 a fault in Tidemark; 130 and 143 stopped by a signal;
141 nobody reads the output.`;

/** The command line. Errors are thrown as CommanderError and printed by the caller. */
export async function buildProgram(runner: Runner): Promise<Command> {
  const program = new Command('tidemark');
  program
    .description('Sequence numbers for chat conversations: 1, 2, 3 … in each, never one twice.')
    .version(await packageVersion(), '--version', 'print the version')
    .option('--data <dir>', 'folder of the embedded store; no server needed')
    .option(
      '--redis <url>',
      'Redis with the counters: redis://user:password@host:6379/0, redis+sentinel://…, redis+cluster://…',
    )
    .option('--ledger <url>', 'MySQL or MariaDB with the ledger: mysql://user:password@host:3306/database')
    .option('--config <file>', `config file, instead of ./${defaultConfigFile}`)
    .option('--prefix <text>', 'first part of the keys in Redis (default: seq)')
    .option(
      '--timeout <ms>',
      'deadline of each call in milliseconds (default: 5000)',
      wholeNumber(1, maxTimeoutMs),
    )
    .option('--json', 'results and errors as JSON, one object a line')
    .configureHelp({ showGlobalOptions: true })
    // Errors are one line on stderr, printed in one place; help goes to stdout as usual.
    .configureOutput({ writeErr: () => undefined })
    .exitOverride()
    .addHelpText('after', footer);
  addNext(program, runner);
  addCurrent(program, runner);
  addGaps(program, runner);
  addExplain(program, runner);
  addStamp(program, runner);
  addTake(program, runner);
  addSettle(program, runner);
  addAbandon(program, runner);
  addRenew(program, runner);
  addCompleteUpTo(program, runner);
  addInspect(program, runner);
  addList(program, runner);
  addRecover(program, runner);
  addDrain(program, runner);
  addVerify(program, runner);
  addMigrate(program, runner);
  addDoctor(program, runner);
  addDemo(program, runner);
  addServe(program, runner);
  addToken(program, runner);
  return program;
}
