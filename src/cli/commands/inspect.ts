import type { Command } from 'commander';
import { parseConversation } from '../../core/conversation.js';
import { ceilingOf } from '../../core/counter-word.js';
import type { Inspection } from '../../core/lookups.js';
import type { Settings } from '../config.js';
import { examples } from '../flags.js';
import { columns, timeText } from '../output.js';
import type { Runner } from '../runner.js';

/** Most gaps that are counted. */
const maxGapsCounted = 10_000;

/** `tidemark inspect <conversation>` */
export function addInspect(program: Command, runner: Runner): void {
  program
    .command('inspect')
    .description('show what both stores know of a conversation: word, ledger entry, generation, gaps')
    .argument('<conversation>', 'group:g1, private:alice:bob or <type>:<id>')
    .addHelpText(
      'after',
      examples(
        'tidemark inspect group:g1 --redis redis://localhost --ledger mysql://root@localhost/tidemark',
      ),
    )
    .action(async (text: string, _options: object, command: Command) => {
      const of = parseConversation(text);
      await runner.withGenerator(command, async (generator, { output, settings }, call) => {
        const inspection = await generator.inspect(of, call);
        const gaps = await generator.gaps(of, { limit: maxGapsCounted }, call);
        const redisKey = await redisKeyOf(settings, inspection);
        const report = reportOf(inspection, gaps.length, redisKey);
        await output.result(report, textOf(report));
        return 0;
      });
    });
}

type Report = ReturnType<typeof reportOf>;

function reportOf(
  { conversation, history, generation, word, entry }: Inspection,
  gaps: number,
  redisKey: string | null,
) {
  return {
    conversation,
    history,
    generation,
    redisKey,
    word: word === undefined ? null : { ...word, ceiling: ceilingOf(word) },
    ledger:
      entry === undefined
        ? null
        : {
            ceiling: entry.ceiling,
            floor: entry.floor,
            blockSize: entry.blockSize,
            generation: entry.generation,
            reservedAtMs: entry.reservedAtMs,
          },
    gaps,
    moreGaps: gaps === maxGapsCounted,
  };
}

function textOf({
  conversation,
  history,
  generation,
  redisKey,
  word,
  ledger,
  gaps,
  moreGaps,
}: Report): string {
  const rows: [string, string][] = [['conversation', conversation]];
  if (redisKey !== null) rows.push(['redis key', redisKey]);
  rows.push(['history', history], ['generation', String(generation)]);
  if (word === null) {
    rows.push(['word', 'none in this generation']);
  } else {
    rows.push(['word', `last ${word.last}, remaining ${word.remaining}, ceiling ${word.ceiling}`]);
  }
  if (ledger === null) {
    rows.push(['ledger', 'no entry']);
  } else {
    const { ceiling, floor, blockSize, reservedAtMs } = ledger;
    rows.push([
      'ledger',
      `ceiling ${ceiling}, floor ${floor}, block size ${blockSize}, generation ${ledger.generation}`,
    ]);
    rows.push(['reserved at', timeText(reservedAtMs)]);
  }
  rows.push(['gaps', moreGaps ? `${gaps} or more` : String(gaps)]);
  return columns(rows);
}

/** Null on the embedded store, which has no Redis. */
async function redisKeyOf(
  settings: Settings,
  { conversation, generation }: Inspection,
): Promise<string | null> {
  if (settings.stores?.kind !== 'servers') return null;
  const { wordKey } = await import('../../counters/redis/keys.js');
  return wordKey(settings.prefix ?? 'seq', conversation, generation);
}
