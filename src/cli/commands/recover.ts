import type { Command } from 'commander';
import { parseConversation } from '../../core/conversation.js';
import { examples } from '../flags.js';
import type { Runner } from '../runner.js';

/** `tidemark recover <conversation>` */
export function addRecover(program: Command, runner: Runner): void {
  program
    .command('recover')
    .description('recover a conversation whose counter word is lost, now instead of at its next number')
    .argument('<conversation>', 'group:g1, private:alice:bob or <type>:<id>')
    .addHelpText(
      'after',
      examples(
        'tidemark recover group:g1 --redis redis://localhost --ledger mysql://root@localhost/tidemark',
      ),
    )
    .action(async (text: string, _options: object, command: Command) => {
      const of = parseConversation(text);
      await runner.withGenerator(command, async (generator, { output }, call) => {
        const { recovered, last, gap } = await generator.recover(of, call);
        const skipped = gap === undefined ? 'no gap' : `gap ${gap.first}-${gap.last} (${gap.reason})`;
        const next = `the next number follows ${last}`;
        await output.result(
          { conversation: of.key, recovered, last, gap: gap ?? null },
          recovered ? `recovered, ${skipped}; ${next}` : `nothing to recover; ${next}`,
        );
        return 0;
      });
    });
}
