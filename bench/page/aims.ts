/** What was aimed at, and whether it was reached. Pure. */

import type { FigureName, FootprintName, PeerResult, Results } from '../results.js';
import { footprintRatio, ratioOf, type Spread, spread, spreadOf } from '../summary.js';
import type { WorkloadName } from '../workloads.js';
import { figureText, markdownTable, spreadText } from './markdown.js';
import { reasons } from './reasons.js';

export interface Aim {
  /** Workload, figure and what it is divided by. */
  readonly key: string;
  readonly text: string;
  readonly bound: '≥' | '≤';
  readonly limit: number;
  /** Behind the figures: `×` for a ratio. */
  readonly unit: string;
  /** Undefined when what it takes was not measured. */
  readonly measured: (results: Results) => Spread | undefined;
}

const workloadTexts: Partial<Record<WorkloadName, string>> = {
  uniform: 'uniform, 1,000 under way',
  zipf: 'Zipf 1.1',
  light: 'light, 10 under way',
  single: 'single, one under way',
  cluster: 'cluster, uniform',
  'private-chats': 'private chats of 10 messages a day (computed)',
  'cold-start': 'cold start, one number for each conversation',
  embedded: 'embedded, uniform, durable',
  'embedded-hot': 'embedded, hot, durable',
  doors: 'doors, Redis protocol',
};
const figureTexts: Partial<Record<FigureName | FootprintName, readonly [what: string, unit: string]>> = {
  perSecond: ['numbers per second', '/s'],
  p50Us: ['p50', 'µs'],
  p99Us: ['p99', 'µs'],
  first1000Ms: ['the first 1,000 answered after', 'ms'],
  clientCpuUsPerNumber: ['client CPU per number', 'µs'],
  redisCpuUsPerNumber: ['Redis CPU per number', 'µs'],
  ledgerRowsPer1000: ['ledger writes per 1,000 numbers', 'rows'],
  redisBytes: ['Redis memory per conversation', 'bytes'],
  clientBytes: ['client memory per conversation seen', 'bytes'],
};
const besideTexts: Readonly<Record<string, string>> = {
  incr: 'node-redis INCR',
  'incr-cluster': 'node-redis INCR, cluster',
  ioredis: 'ioredis with autopipelining',
  'redis-benchmark': 'redis-benchmark -P 64',
  'redis-deep': 'redis-server, -c 50 -P 64',
  'redis-single': 'redis-server, -c 50 -P 1',
};
/** Whose figures count, where it is not plain Tidemark. */
const testedPeers: Partial<Record<WorkloadName, string>> = {
  cluster: 'cluster',
  embedded: 'embedded',
  'embedded-hot': 'embedded',
  'private-chats': '10',
};

export const aims: readonly Aim[] = [
  aim('uniform', 'perSecond', '≥', 2.8, 'incr'),
  aim('uniform', 'perSecond', '≥', 4, 'ioredis'),
  aim('uniform', 'perSecond', '≥', 0.8, 'redis-benchmark'),
  aim('uniform', 'clientCpuUsPerNumber', '≤', 0.3, 'incr'),
  aim('zipf', 'perSecond', '≥', 3.5, 'incr'),
  aim('hot', 'perSecond', '≥', 10, 'incr'),
  aim('hot', 'perSecond', '≥', 1, 'redis-benchmark'),
  aim('uniform', 'p99Us', '≤', 0.4, 'incr'),
  aim('light', 'p50Us', '≤', 1.3, 'incr'),
  aim('single', 'p50Us', '≤', 1.3, 'incr'),
  aim('uniform', 'redisCpuUsPerNumber', '≤', 1.3, 'incr'),
  aim('hot', 'redisCpuUsPerNumber', '≤', 0.01, 'incr'),
  aim('cluster', 'redisCpuUsPerNumber', '≤', 2, 'incr-cluster'),
  aim('cluster', 'redisCpuUsPerNumber', '≤', 2, 'incr'),
  aim('hot', 'ledgerRowsPer1000', '≤', 0.5),
  aim('zipf', 'ledgerRowsPer1000', '≤', 10),
  aim('private-chats', 'ledgerRowsPer1000', '≤', 20),
  aim('uniform', 'redisBytes', '≤', 1.3, 'incr'),
  aim('cold-start', 'perSecond', '≥', 15_000),
  aim('cold-start', 'first1000Ms', '≤', 1_000),
  aim('embedded', 'perSecond', '≥', 500_000),
  aim('embedded-hot', 'perSecond', '≥', 500_000),
  aim('uniform', 'clientBytes', '≤', 200),
  aim('doors', 'perSecond', '≥', 0.6, 'redis-deep', 'resp-deep'),
  aim('doors', 'perSecond', '≥', 0.8, 'redis-single', 'resp-single'),
];

function aim(
  workload: WorkloadName,
  figure: FigureName | FootprintName,
  bound: Aim['bound'],
  limit: number,
  beside?: string,
  tested = testedPeers[workload] ?? 'tidemark',
): Aim {
  const [what, unit] = figureTexts[figure]!;
  const amount = `${limit.toLocaleString('en-US')} ${beside === undefined ? unit : `× ${besideTexts[beside]}`}`;
  return {
    key: [workload, figure, beside].filter((part) => part !== undefined).join(' '),
    text: `${workloadTexts[workload] ?? workload}: ${what} ${bound} ${amount}`,
    ...{ bound, limit, unit: beside === undefined ? unit : '×' },
    measured: (results) => {
      const peer = peerOf(results, workload, tested);
      if (beside === undefined) return readFigure(peer, figure);
      const other = peerOf(results, workload, beside);
      return isFootprint(figure) ? footprintRatio(peer, other, figure) : ratioOf(peer, other, figure);
    },
  };
}

function readFigure(peer: PeerResult | undefined, figure: FigureName | FootprintName): Spread | undefined {
  return isFootprint(figure) ? spread([peer?.footprint[figure]]) : spreadOf(peer, figure);
}

function isFootprint(figure: FigureName | FootprintName): figure is FootprintName {
  return figure === 'redisBytes' || figure === 'clientBytes' || figure === 'ledgerBytes';
}

/** `met`, or by how much it was missed; `not measured` when the results lack it. */
export function verdictOf(
  { bound, limit }: Pick<Aim, 'bound' | 'limit'>,
  measured: number | undefined,
): string {
  if (measured === undefined) return 'not measured';
  const short = bound === '≥' ? 1 - measured / limit : measured / limit - 1;
  return short <= 0 ? 'met' : `missed by ${figureText(Math.max(1, Math.round(short * 100)))} %`;
}

const weighed =
  'What was weighed against that, and left, is in [decision 18](decisions/0018-ways-to-be-faster-that-were-left.md).';

/** The table of the aims, and why what is missed is missed. */
export function renderAims(results: Results): string {
  const rows = aims.map((aim) => {
    const measured = aim.measured(results);
    const verdict = verdictOf(aim, measured?.median);
    return { aim, verdict, measured: measured === undefined ? '' : `${spreadText(measured)} ${aim.unit}` };
  });
  const table = markdownTable([
    ['aim', 'measured', 'met?'],
    ...rows.map(({ aim, measured, verdict }) => [aim.text, measured, verdict]),
  ]);
  const missed = rows.filter(({ verdict }) => verdict.startsWith('missed'));
  if (missed.length === 0) return table;
  const why = missed.map(({ aim }) => `- **${aim.text}**: ${reasons[aim.key]}\n`);
  return `${table}\nWhy those that are missed are missed:\n\n${why.join('')}\n${weighed}\n`;
}

export function peerOf(results: Results, workload: WorkloadName, peer: string): PeerResult | undefined {
  return results.workloads[workload]?.[0]?.peers[peer];
}
