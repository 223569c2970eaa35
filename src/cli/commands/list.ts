import type { Command } from 'commander';
import { type Conversation, parseConversation } from '../../core/conversation.js';
import type { LedgerEntry } from '../../core/ledger.js';
import { examples, wholeNumber } from '../flags.js';
import { columns, type Output, timeText } from '../output.js';
import type { Runner } from '../runner.js';

const maxEntries = 1_000_000;
/** Entries that are asked for at once; more are fetched page by page. */
const pageSize = 1_000;

interface ListOptions {
  readonly limit: number;
  readonly after?: string;
}

/** `tidemark list <type> [--limit n] [--after conversation]` */
export function addList(program: Command, runner: Runner): void {
  program
    .command('list')
    .description('list the ledger entries of a type of conversations, in order of their names')
    .argument('<type>', 'group, private or a type of your own')
    .option('--limit <n>', `most entries, 1 to ${maxEntries}`, wholeNumber(1, maxEntries), 100)
    .option('--after <conversation>', 'go on behind this conversation')
    .addHelpText('after', examples('tidemark list group --limit 10 --data ./d'))
    .action(async (type: string, { limit, after }: ListOptions, command: Command) => {
      await runner.withGenerator(command, async (generator, { output }, call) => {
        let last: Conversation | undefined = after === undefined ? undefined : parseConversation(after);
        let left = limit;
        while (left > 0) {
          const size = Math.min(pageSize, left);
          const page = { limit: size, ...(last === undefined ? {} : { after: last.key }) };
          const entries = await generator.ledgerEntries(type, page, call);
          if (entries.length > 0) await print(output, entries, left === limit);
          left -= entries.length;
          if (entries.length < size) return 0;
          last = parseConversation(entries.at(-1)!.conversation);
        }
        if (!output.json) {
          output.noteLine(
            `tidemark: ${limit} entries are shown, there may be more; go on with --after ${last!.key}`,
          );
        }
        return 0;
      });
    });
}

async function print(output: Output, entries: readonly LedgerEntry[], withHead: boolean): Promise<void> {
  if (output.json) {
    await output.write(entries.map((entry) => `${JSON.stringify(shownOf(entry))}\n`).join(''));
    return;
  }
  const head = ['conversation', 'ceiling', 'floor', 'block', 'generation', 'reserved at'];
  const rows = entries.map(({ conversation, ceiling, floor, blockSize, generation, reservedAtMs }) => [
    conversation,
    ...[ceiling, floor, blockSize, generation].map(String),
    timeText(reservedAtMs),
  ]);
  await output.write(`${columns(withHead ? [head, ...rows] : rows)}\n`);
}

/** The same as `inspect` shows. A freeze lasts a second at most: nobody would come in time to see it. */
function shownOf({ conversation, ceiling, floor, generation, blockSize, reservedAtMs }: LedgerEntry) {
  return { conversation, ceiling, floor, generation, blockSize, reservedAtMs };
}
