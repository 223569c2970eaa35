import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { TidemarkError } from '../../errors.js';
import { hashOf, type Right, rights } from '../../server/access.js';
import { examples } from '../flags.js';
import type { Runner } from '../runner.js';
import { isClientName } from '../serve-settings.js';

/** Bytes of chance in a token: nobody guesses it, so its plain hash is safe to keep. */
const tokenBytes = 32;

/** `tidemark token <name>` */
export function addToken(program: Command, runner: Runner): void {
  program
    .command('token')
    .description('make a token for a client of the server, and the entry of the clients file that knows it')
    .argument('<name>', 'how the client is called in logs and metrics')
    .option('--rights <list>', `what it may do, of ${rights.join(', ')}`, 'issue,read')
    .addHelpText('after', examples('tidemark token chat', 'tidemark token reader --rights read --json'))
    .action(async (name: string, options: { rights: string }, command: Command) => {
      await runner.run(command, async ({ output }) => {
        if (!isClientName(name))
          throw invalid('a name has 1 to 64 of a-z, 0-9, _, - and ., beginning with a letter or digit');
        const list = options.rights.split(',');
        if (!list.every((right) => rights.includes(right as Right)))
          throw invalid(`--rights is a list of ${rights.join(', ')} with commas`);
        const token = randomBytes(tokenBytes).toString('base64url');
        const tokenSha256 = hashOf(token).toString('hex');
        const client = { name, tokenSha256, rights: list };
        await output.result(
          { token, client },
          `token, shown only here: ${token}\nin the clients file:    ${JSON.stringify(client)}`,
        );
        return 0;
      });
    });
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', message);
}
