import type { Command } from 'commander';
import { parseConversation } from '../../core/conversation.js';
import { checkMessageId, maxCountPerCall, maxMessageIdBytes } from '../../core/options.js';
import { TidemarkError } from '../../errors.js';
import { examples, wholeNumber } from '../flags.js';
import type { Output } from '../output.js';
import type { Runner } from '../runner.js';
import { withServers } from './servers-only.js';

/** The flag of a message id, and how the help explains it. */
export const messageIdFlag = [
  '--message-id <id>',
  `the same id gets the same number again, for ten minutes; 1 to ${maxMessageIdBytes} bytes; not with --data`,
] as const;

interface NextOptions {
  readonly count: number;
  readonly messageId?: string;
}

/** `tidemark next <conversation> [--count n] [--message-id id]` */
export function addNext(program: Command, runner: Runner): void {
  program
    .command('next')
    .description('issue the next number of a conversation, or the next few')
    .argument('<conversation>', 'group:g1, private:alice:bob or <type>:<id>')
    .option('--count <n>', `how many numbers, 1 to ${maxCountPerCall}`, wholeNumber(1, maxCountPerCall), 1)
    .option(...messageIdFlag)
    .addHelpText(
      'after',
      examples(
        'tidemark next group:g1 --data ./d',
        'tidemark next private:alice:bob --count 3 --data ./d',
        'tidemark next group:g1 --message-id 7f3a --redis redis://localhost --ledger mysql://root@localhost/tidemark',
      ),
    )
    .action(async (text: string, { count, messageId }: NextOptions, command: Command) => {
      const of = parseConversation(text);
      if (messageId !== undefined) {
        checkOneMessage(messageId, count);
        await withServers(
          runner,
          command,
          'message ids are forgotten',
          async (generator, { output }, call) => {
            const { number, repeated } = await generator.next(of, { ...call, messageId });
            if (repeated) noteRepeated(output);
            await output.result({ conversation: of.key, number, repeated }, String(number));
            return 0;
          },
        );
        return;
      }
      await runner.withGenerator(command, async (generator, { output }, call) => {
        const { first, last } = await generator.nextMany(of, count, call);
        await output.result({ conversation: of.key, first, last, count }, numbersFrom(first, last));
        return 0;
      });
    });
}

/** Refuses ids that no call takes, and more than one number for one message. */
export function checkOneMessage(messageId: string, count: number): void {
  checkMessageId(messageId);
  if (count === 1) return;
  throw new TidemarkError(
    'invalid_argument',
    '--message-id is for one number; leave out --count, and give each message an id of its own',
  );
}

/** The number was there already. With `--json` the result says so. */
export function noteRepeated(output: Output): void {
  if (!output.json) output.noteLine('tidemark: repeated: this message id got its number before');
}

/** `first … last`, one a line. */
export function numbersFrom(first: number, last: number): string {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index).join('\n');
}
