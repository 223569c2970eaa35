import type { Command } from 'commander';
import { parseConversation } from '../../core/conversation.js';
import { maxSequenceNumber } from '../../core/counter-word.js';
import { examples, wholeNumber } from '../flags.js';
import { columns, timeText } from '../output.js';
import type { Runner } from '../runner.js';

const maxGaps = 10_000;

interface GapsOptions {
  readonly from: number;
  readonly to?: number;
  readonly limit: number;
}

/** `tidemark gaps <conversation> [--from n] [--to n] [--limit n]` */
export function addGaps(program: Command, runner: Runner): void {
  program
    .command('gaps')
    .description('list the recorded gaps of a conversation as ranges, with their reasons')
    .argument('<conversation>', 'group:g1, private:alice:bob or <type>:<id>')
    .option('--from <n>', 'only numbers from this one on', wholeNumber(1, maxSequenceNumber), 1)
    .option('--to <n>', 'only numbers up to this one', wholeNumber(1, maxSequenceNumber))
    .option('--limit <n>', `most gaps, 1 to ${maxGaps}`, wholeNumber(1, maxGaps), 1_000)
    .addHelpText('after', examples('tidemark gaps group:g1 --from 100 --data ./d'))
    .action(async (text: string, { from, to, limit }: GapsOptions, command: Command) => {
      const of = parseConversation(text);
      await runner.withGenerator(command, async (generator, { output }, call) => {
        const range = { from, limit, ...(to === undefined ? {} : { to }) };
        const gaps = await generator.gaps(of, range, call);
        if (output.json) {
          for (const gap of gaps) await output.result(gap, '');
          return 0;
        }
        const rows = gaps.map((gap) => [
          gap.first === gap.last ? `${gap.first}` : `${gap.first}-${gap.last}`,
          gap.reason,
          gap.certain ? 'never issued' : 'some may be in use',
          `generation ${gap.generation}`,
          timeText(gap.recordedAtMs),
        ]);
        await output.write(rows.length === 0 ? 'no gaps\n' : `${columns(rows)}\n`);
        const next = (gaps.at(-1)?.last ?? 0) + 1;
        if (gaps.length === limit && next <= (to ?? maxSequenceNumber))
          output.noteLine(`tidemark: ${limit} gaps are shown, there may be more; go on with --from ${next}`);
        return 0;
      });
    });
}
