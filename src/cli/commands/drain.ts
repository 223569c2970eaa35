import type { Command } from 'commander';
import { parseConversation } from '../../core/conversation.js';
import type { DrainReport } from '../../core/draining.js';
import type { CallOptions } from '../../core/options.js';
import { TidemarkError } from '../../errors.js';
import type { SequenceGenerator } from '../../sequence-generator.js';
import { examples } from '../flags.js';
import { counted } from '../output.js';
import { startProgress } from '../progress.js';
import type { Runner } from '../runner.js';
import { withServers } from './servers-only.js';

/** Conversations that could not be drained which are named; the rest is counted. */
const maxNamed = 20;
/** Some could not be drained: try again. */
const busyStatus = 3;

interface DrainOptions {
  readonly type?: string;
  readonly all?: boolean;
}

/** `tidemark drain <conversation> | --type <type> | --all` */
export function addDrain(program: Command, runner: Runner): void {
  program
    .command('drain')
    .description('hand unused numbers back to the ledger, so that a planned move of Redis leaves no gap')
    .argument('[conversation]', 'group:g1, private:alice:bob or <type>:<id>')
    .option('--type <type>', 'every conversation of a type')
    .option('--all', 'every conversation')
    .addHelpText(
      'after',
      examples(
        'tidemark drain group:g1 --redis redis://localhost --ledger mysql://root@localhost/tidemark',
        'tidemark drain --all --redis redis://localhost --ledger mysql://root@localhost/tidemark',
      ),
    )
    .action(async (text: string | undefined, options: DrainOptions, command: Command) => {
      if ([text, options.type, options.all].filter((given) => given !== undefined).length !== 1)
        throw new TidemarkError('invalid_argument', 'give one of: a conversation, --type, --all');
      const what = 'there is nothing to drain: all is handed back';
      await withServers(runner, command, what, async (generator, { output }, call) => {
        const report = await drain(generator, text, options, call, output.terminal);
        const { conversations, numbers, busy } = report;
        const done = `drained ${counted(conversations, 'conversation')}, ${counted(numbers, 'number')} handed back`;
        const left = busy.length === 0 ? '' : `; ${busy.length} could not be drained now: run this again`;
        await output.result({ conversations, numbers, busy: busy.length }, done + left);
        for (const conversation of busy.slice(0, maxNamed))
          output.note({ busy: conversation }, `${conversation} is busy`);
        return busy.length === 0 ? 0 : busyStatus;
      });
    });
}

async function drain(
  generator: SequenceGenerator,
  text: string | undefined,
  { type }: DrainOptions,
  call: CallOptions,
  terminal: NodeJS.WritableStream | undefined,
): Promise<DrainReport> {
  if (text !== undefined) return generator.drain(parseConversation(text), call);
  const progress = await startProgress(terminal, 'conversations');
  const onProgress = ({ conversations }: DrainReport) => progress.update(conversations);
  try {
    return await generator.drainAll({ ...call, ...(type === undefined ? {} : { type }), onProgress });
  } finally {
    progress.stop();
  }
}
