import type { Command } from 'commander';
import { parseConversation } from '../../core/conversation.js';
import { examples } from '../flags.js';
import type { Runner } from '../runner.js';

/** `tidemark current <conversation>` */
export function addCurrent(program: Command, runner: Runner): void {
  program
    .command('current')
    .description('print the last number issued, 0 for a new conversation; changes nothing')
    .argument('<conversation>', 'group:g1, private:alice:bob or <type>:<id>')
    .addHelpText('after', examples('tidemark current group:g1 --data ./d'))
    .action(async (text: string, _options: object, command: Command) => {
      const of = parseConversation(text);
      await runner.withGenerator(command, async (generator, { output }, call) => {
        const current = await generator.current(of, call);
        await output.result({ conversation: of.key, current }, String(current));
        return 0;
      });
    });
}
