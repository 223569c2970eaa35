/** `npm run chaos -- --topology standalone --runs 20`: see `--help`. */

import { Command, InvalidArgumentError, Option } from 'commander';
import { anySeed, integer, runProgram } from './arguments.js';
import { Campaign, type CampaignOptions } from './campaign.js';
import { type FaultName, faultKinds } from './fault-kinds.js';
import { protections } from './protections.js';
import { topologies } from './schedule.js';

const program = new Command('chaos')
  .description(
    'Breaks Redis, MariaDB, the way to them and their clients at random, on private servers, while clients take numbers; ' +
      'and judges what the clients wrote down. Every run is drawn from its seed: run n of seed S is run 1 of seed S + n − 1.',
  )
  .option('--seed <S>', 'seed of the first run; from the clock by default', integer(0, 2 ** 31), anySeed())
  .option('--runs <N>', 'how many runs', integer(1, 1_000_000))
  .option('--minutes <M>', 'how long; 1 without --runs', integer(1, 100_000))
  .addOption(
    new Option('--topology <name...>', 'what the clients use; all of them in turn by default').choices(
      topologies,
    ),
  )
  .option('--jobs <J>', 'runs side by side', integer(1, 16), 2)
  .option(
    '--fault <kind...>',
    `only these faults, each once in every run: ${Object.keys(faultKinds).join(', ')}`,
    faultName,
  )
  .addOption(
    new Option(
      '--without <protection>',
      'switch a protection off; ends well when the judge finds that out',
    ).choices(protections.filter(({ campaign }) => campaign).map(({ name }) => name)),
  )
  .option('--keep <folder>', 'where the histories of guilty runs go', '.cache/chaos')
  .option('--json', 'one JSON object for each run, and one in the end')
  .parse();

runProgram('chaos', () => new Campaign(program.opts<CampaignOptions>()).run());

function faultName(text: string, before: FaultName[] = []): FaultName[] {
  if (text in faultKinds) return [...before, text as FaultName];
  throw new InvalidArgumentError(`Use ${Object.keys(faultKinds).join(', ')}.`);
}
