import type { Command } from 'commander';
import { parseConversation } from '../../core/conversation.js';
import { maxSequenceNumber } from '../../core/counter-word.js';
import type { Explanation } from '../../core/explanations.js';
import { examples, wholeNumber } from '../flags.js';
import { timeText } from '../output.js';
import type { Runner } from '../runner.js';

/** `tidemark explain <conversation> <number>` */
export function addExplain(program: Command, runner: Runner): void {
  program
    .command('explain')
    .description('say what became of a number: issued, never issued, uncertain, or not issued yet')
    .argument('<conversation>', 'group:g1, private:alice:bob or <type>:<id>')
    .argument('<number>', 'the number', wholeNumber(1, maxSequenceNumber))
    .addHelpText('after', examples('tidemark explain group:g1 7 --data ./d'))
    .action(async (text: string, number: number, _options: object, command: Command) => {
      const of = parseConversation(text);
      await runner.withGenerator(command, async (generator, { output }, call) => {
        const explanation = await generator.explain(of, number, call);
        await output.result({ conversation: of.key, ...jsonOf(explanation) }, textOf(explanation));
        return 0;
      });
    });
}

/** JSON has no undefined. */
function jsonOf(explanation: Explanation): object {
  if (explanation.status !== 'uncertain') return explanation;
  return { ...explanation, gap: explanation.gap ?? null, sinceMs: explanation.sinceMs ?? null };
}

function textOf(explanation: Explanation): string {
  switch (explanation.status) {
    case 'issued':
      return explanation.complete ? 'issued' : 'issued; a take up to it may be open';
    case 'never_issued': {
      const { reason, generation, recordedAtMs } = explanation.gap;
      return `never issued: ${reason}, generation ${generation}, recorded ${timeText(recordedAtMs)}`;
    }
    case 'uncertain': {
      const { gap } = explanation;
      if (gap === undefined)
        return 'uncertain: the counter word is lost, and no gap is recorded yet; see recover';
      return `uncertain since ${timeText(gap.recordedAtMs)}: ${gap.reason}, generation ${gap.generation}`;
    }
    case 'not_issued_yet':
      return 'not issued yet';
  }
}
