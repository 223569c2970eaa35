import type { Command } from 'commander';
import { examples } from '../flags.js';
import type { Runner } from '../runner.js';
import { requireLedgerUrl } from '../stores.js';

/** `tidemark migrate` */
export function addMigrate(program: Command, runner: Runner): void {
  program
    .command('migrate')
    .description('create or upgrade the tables of the MySQL or MariaDB ledger; safe to repeat')
    .addHelpText('after', examples('tidemark migrate --ledger mysql://root@localhost/tidemark'))
    .action(async (_options: object, command: Command) => {
      await runner.run(command, async ({ settings, output }) => {
        const url = requireLedgerUrl(settings);
        const { migrate } = await import('../../ledgers/mysql/migrate.js');
        const { from, to } = await migrate(url);
        await output.result(
          { from, to },
          from === to ? `schema version ${to}, nothing to do` : `schema version ${from} -> ${to}`,
        );
        return 0;
      });
    });
}
