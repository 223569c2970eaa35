/** Tracked takes: numbers that are open until they are settled or abandoned. */

import type { Command } from 'commander';
import type { SequenceRange } from '../../core/call.js';
import { type Conversation, parseConversation } from '../../core/conversation.js';
import { maxSequenceNumber } from '../../core/counter-word.js';
import { type CallOptions, checkTakeRange, maxCountPerCall } from '../../core/options.js';
import type { SequenceGenerator } from '../../sequence-generator.js';
import { examples, wholeNumber } from '../flags.js';
import type { Runner } from '../runner.js';
import { checkOneMessage, messageIdFlag, noteRepeated, numbersFrom } from './next.js';
import { withServers } from './servers-only.js';

const servers = '--redis redis://localhost --ledger mysql://root@localhost/tidemark';
/** For the message of `withServers`. */
const lost = 'open takes are lost';

interface TakeOptions {
  readonly count: number;
  readonly messageId?: string;
}

/** `tidemark take <conversation> [--count n] [--message-id id]` */
export function addTake(program: Command, runner: Runner): void {
  program
    .command('take')
    .description('issue numbers that are open until settle or abandon, or until their lease of 30 s ends')
    .argument('<conversation>', 'group:g1, private:alice:bob or <type>:<id>')
    .option('--count <n>', `how many numbers, 1 to ${maxCountPerCall}`, wholeNumber(1, maxCountPerCall), 1)
    .option(...messageIdFlag)
    .addHelpText('after', examples(`tidemark take group:g1 ${servers}`))
    .action(async (text: string, { count, messageId }: TakeOptions, command: Command) => {
      const of = parseConversation(text);
      if (messageId !== undefined) checkOneMessage(messageId, count);
      const id = messageId === undefined ? {} : { messageId };
      await withServers(runner, command, lost, async (generator, { output }, call) => {
        const { first, last, repeated } = await generator.take(of, count, { ...call, ...id });
        if (repeated) noteRepeated(output);
        await output.result({ conversation: of.key, first, last, count, repeated }, numbersFrom(first, last));
        return 0;
      });
    });
}

/** `tidemark settle <conversation> <first> [last]` */
export function addSettle(program: Command, runner: Runner): void {
  addEnd(program, runner, {
    name: 'settle',
    description: 'end an open take: its messages are stored, and readers may pass its numbers',
    done: 'settled',
    run: (generator, of, range, call) => generator.settle(of, range, call),
  });
}

/** `tidemark abandon <conversation> <first> [last]` */
export function addAbandon(program: Command, runner: Runner): void {
  addEnd(program, runner, {
    name: 'abandon',
    description: 'end an open take whose messages will never be stored: its numbers become a certain gap',
    done: 'abandoned',
    run: (generator, of, range, call) => generator.abandon(of, range, call),
  });
}

/** `tidemark renew <conversation> <first> [last]` */
export function addRenew(program: Command, runner: Runner): void {
  addEnd(program, runner, {
    name: 'renew',
    description: 'begin the lease of an open take anew',
    done: 'renewed',
    run: (generator, of, range, call) => generator.renew(of, range, call),
  });
}

interface End {
  readonly name: string;
  readonly description: string;
  /** What the take is afterwards. */
  readonly done: string;
  readonly run: (
    generator: SequenceGenerator,
    of: Conversation,
    range: SequenceRange,
    call: CallOptions,
  ) => Promise<void>;
}

function addEnd(program: Command, runner: Runner, { name, description, done, run }: End): void {
  const number = wholeNumber(1, maxSequenceNumber);
  program
    .command(name)
    .description(description)
    .argument('<conversation>', 'group:g1, private:alice:bob or <type>:<id>')
    .argument('<first>', 'the first number of the take', number)
    .argument('[last]', 'its last number, when it has several', number)
    .addHelpText('after', examples(`tidemark ${name} group:g1 7 ${servers}`))
    .action(
      async (text: string, first: number, last: number | undefined, _options: object, command: Command) => {
        const of = parseConversation(text);
        const range = checkTakeRange({ first, last: last ?? first });
        await withServers(runner, command, lost, async (generator, { output }, call) => {
          await run(generator, of, range, call);
          const numbers = range.first === range.last ? `${range.first}` : `${range.first}-${range.last}`;
          await output.result({ conversation: of.key, ...range, status: done }, `${done} ${numbers}`);
          return 0;
        });
      },
    );
}
