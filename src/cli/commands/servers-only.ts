import type { Command } from 'commander';
import type { CallOptions } from '../../core/options.js';
import { TidemarkError } from '../../errors.js';
import type { SequenceGenerator } from '../../sequence-generator.js';
import { closing, type ExitStatus, type Invocation, type Runner } from '../runner.js';
import { openGenerator } from '../stores.js';

/**
 * Work that leaves something in the counter store for a later command. The embedded one ends with this process, so there it
 * is refused before anything is opened: it would be lost without a word.
 *
 * @param what - what is for servers only, and why, as `message ids are forgotten`
 */
export function withServers(
  runner: Runner,
  command: Command,
  what: string,
  work: (generator: SequenceGenerator, invocation: Invocation, call: CallOptions) => Promise<ExitStatus>,
): Promise<void> {
  return runner.run(command, async (invocation) => {
    if (invocation.settings.stores?.kind === 'embedded') {
      throw new TidemarkError(
        'invalid_argument',
        `on the embedded store ${what} when the command ends; give --redis and --ledger, or use the library in one process`,
      );
    }
    const generator = await openGenerator(invocation.settings);
    return closing(generator, () => work(generator, invocation, { signal: invocation.signal }));
  });
}
