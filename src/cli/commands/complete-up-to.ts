import type { Command } from 'commander';
import { parseConversation } from '../../core/conversation.js';
import { examples } from '../flags.js';
import type { Runner } from '../runner.js';

/** `tidemark complete-up-to <conversation>` */
export function addCompleteUpTo(program: Command, runner: Runner): void {
  program
    .command('complete-up-to')
    .description('print the number up to which readers may read: nothing up to it is of an open take')
    .argument('<conversation>', 'group:g1, private:alice:bob or <type>:<id>')
    .addHelpText(
      'after',
      examples(
        'tidemark complete-up-to group:g1 --redis redis://localhost --ledger mysql://root@localhost/tidemark',
      ),
    )
    .action(async (text: string, _options: object, command: Command) => {
      const of = parseConversation(text);
      await runner.withGenerator(command, async (generator, { output }, call) => {
        const completeUpTo = await generator.completeUpTo(of, call);
        await output.result({ conversation: of.key, completeUpTo }, String(completeUpTo));
        return 0;
      });
    });
}
