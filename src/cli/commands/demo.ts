import type { Command } from 'commander';
import { TidemarkError } from '../../errors.js';
import { examples } from '../flags.js';
import type { Runner } from '../runner.js';

const faultStatus = 1;

/** `tidemark demo` */
export function addDemo(program: Command, runner: Runner): void {
  program
    .command('demo')
    .description('number a bundled chat, lose the counters half-way, recover, and report; needs no server')
    .addHelpText('after', examples('tidemark demo'))
    .action(async (_options: object, command: Command) => {
      if (command.optsWithGlobals<{ data?: string }>().data !== undefined) {
        throw new TidemarkError(
          'invalid_argument',
          'demo works in a temporary folder of its own; leave --data out',
        );
      }
      await runner.run(command, async ({ output, signal }) => {
        const { runDemo } = await import('../demo/run.js');
        const { demoText } = await import('../demo/report.js');
        const report = await runDemo(signal);
        await output.result(report, demoText(report));
        const { duplicates, smallerAfterLarger, unexplained } = report.tidemark;
        return duplicates + smallerAfterLarger + unexplained === 0 ? 0 : faultStatus;
      });
    });
}
