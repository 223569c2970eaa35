import type { Command } from 'commander';
import { parseConversation } from '../../core/conversation.js';
import { maxCountPerCall } from '../../core/options.js';
import { examples, wholeNumber } from '../flags.js';
import type { Runner } from '../runner.js';

/** `tidemark next <conversation> [--count n]` */
export function addNext(program: Command, runner: Runner): void {
  program
    .command('next')
    .description('issue the next number of a conversation, or the next few')
    .argument('<conversation>', 'group:g1, private:alice:bob or <type>:<id>')
    .option('--count <n>', `how many numbers, 1 to ${maxCountPerCall}`, wholeNumber(1, maxCountPerCall), 1)
    .addHelpText(
      'after',
      examples('tidemark next group:g1 --data ./d', 'tidemark next private:alice:bob --count 3 --data ./d'),
    )
    .action(async (text: string, { count }: { count: number }, command: Command) => {
      const of = parseConversation(text);
      await runner.withGenerator(command, async (generator, { output }, call) => {
        const { first, last } = await generator.nextMany(of, count, call);
        const numbers = Array.from({ length: count }, (_, index) => first + index);
        await output.result({ conversation: of.key, first, last, count }, numbers.join('\n'));
        return 0;
      });
    });
}
