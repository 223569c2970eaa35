/** What was aimed at, and whether it was reached. Pure. */

import type { FigureName, PeerResult, Results } from '../results.js';
import { footprintRatio, ratioOf, type Spread, spread, spreadOf } from '../summary.js';
import type { WorkloadName } from '../workloads.js';
import { figureText, markdownTable, spreadText } from './markdown.js';
import { reasons } from './reasons.js';

export interface Aim {
  readonly key: string;
  readonly text: string;
  readonly bound: 'least' | 'most';
  readonly limit: number;
  /** Behind the figures: `×` for a ratio. */
  readonly unit: string;
  /** Undefined when what it takes was not measured. */
  readonly measured: (results: Results) => Spread | undefined;
}

type Names = readonly [workload: WorkloadName, peer: string, beside: string];

const incr = 'node-redis INCR at its best';

export const aims: readonly Aim[] = [
  ratio('uniform-incr', `uniform: rate ≥ 2.8 × ${incr}`, 'least', 2.8, uniform('incr'), 'perSecond'),
  ratio(
    'uniform-ioredis',
    'uniform: rate ≥ 4 × ioredis with autopipelining',
    'least',
    4,
    uniform('ioredis'),
    'perSecond',
  ),
  ratio(
    'uniform-limit',
    'uniform: rate ≥ 0.8 × redis-benchmark -P 64',
    'least',
    0.8,
    uniform('redis-benchmark'),
    'perSecond',
  ),
  ratio(
    'client-cpu',
    'uniform: client CPU per number ≤ 0.3 × node-redis INCR',
    'most',
    0.3,
    uniform('incr'),
    'clientCpuUsPerNumber',
  ),
  ratio('zipf', 'Zipf 1.1: rate ≥ 3.5 × node-redis INCR', 'least', 3.5, beside('zipf', 'incr'), 'perSecond'),
  ratio('hot-incr', 'hot: rate ≥ 10 × node-redis INCR', 'least', 10, beside('hot', 'incr'), 'perSecond'),
  ratio(
    'hot-limit',
    'hot: rate above redis-benchmark -P 64',
    'least',
    1,
    beside('hot', 'redis-benchmark'),
    'perSecond',
  ),
  ratio(
    'p99',
    'uniform, 1,000 under way: p99 ≤ 0.4 × node-redis INCR',
    'most',
    0.4,
    uniform('incr'),
    'p99Us',
  ),
  ratio(
    'light',
    'light, 10 under way: p50 ≤ 1.3 × node-redis INCR',
    'most',
    1.3,
    beside('light', 'incr'),
    'p50Us',
  ),
  ratio(
    'single',
    'single, one under way: p50 ≤ 1.3 × node-redis INCR',
    'most',
    1.3,
    beside('single', 'incr'),
    'p50Us',
  ),
  ratio(
    'redis-cpu',
    'uniform: Redis CPU per number ≤ 1.3 × pipelined INCR',
    'most',
    1.3,
    uniform('incr'),
    'redisCpuUsPerNumber',
  ),
  ratio(
    'redis-cpu-hot',
    'hot: Redis CPU per number ≤ 0.01 × pipelined INCR',
    'most',
    0.01,
    beside('hot', 'incr'),
    'redisCpuUsPerNumber',
  ),
  ratio(
    'redis-cpu-cluster',
    'cluster, uniform: Redis CPU per number ≤ 2 × pipelined INCR',
    'most',
    2,
    ['cluster', 'cluster', 'incr'],
    'redisCpuUsPerNumber',
  ),
  ledger('ledger-hot', 'hot: ledger writes per 1,000 numbers ≤ 0.5', 0.5, 'hot', 'tidemark'),
  ledger('ledger-zipf', 'Zipf 1.1: ledger writes per 1,000 numbers ≤ 10', 10, 'zipf', 'tidemark'),
  ledger(
    'ledger-private',
    'private chats of 10 messages a day: ledger writes per 1,000 numbers ≤ 20 (computed)',
    20,
    'private-chats',
    '10',
  ),
  {
    ...{ key: 'redis-memory', text: 'Redis memory per conversation ≤ 1.3 × the plain counter' },
    ...{ bound: 'most', limit: 1.3, unit: '×' },
    measured: (results) =>
      footprintRatio(
        peerOf(results, 'uniform', 'tidemark'),
        peerOf(results, 'uniform', 'incr'),
        'redisBytes',
      ),
  },
  amount(
    'cold-start',
    'cold start: ≥ 15,000 conversations recovered per second',
    'least',
    [15_000, '/s'],
    ['cold-start', 'tidemark'],
    'perSecond',
  ),
  amount(
    'cold-start-first',
    'cold start: the first 1,000 answered within 1 s',
    'most',
    [1_000, 'ms'],
    ['cold-start', 'tidemark'],
    'first1000Ms',
  ),
  amount(
    'embedded',
    'embedded, uniform, durable: ≥ 500,000/s',
    'least',
    [500_000, '/s'],
    ['embedded', 'embedded'],
    'perSecond',
  ),
  amount(
    'embedded-hot',
    'embedded, hot, durable: ≥ 500,000/s',
    'least',
    [500_000, '/s'],
    ['embedded-hot', 'embedded'],
    'perSecond',
  ),
  {
    ...{
      key: 'client-memory',
      text: 'client memory per conversation seen ≤ 200 bytes, bounded by a setting',
    },
    ...{ bound: 'most', limit: 200, unit: 'bytes' },
    measured: (results) => spread([peerOf(results, 'uniform', 'tidemark')?.footprint.clientBytes]),
  },
];

/** `met`, or by how much it was missed; `not measured` when the results lack it. */
export function verdictOf(
  { bound, limit }: Pick<Aim, 'bound' | 'limit'>,
  measured: number | undefined,
): string {
  if (measured === undefined) return 'not measured';
  const short = bound === 'least' ? 1 - measured / limit : measured / limit - 1;
  return short <= 0 ? 'met' : `missed by ${figureText(Math.max(1, Math.round(short * 100)))} %`;
}

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
  return `${table}\nWhy those that are missed are missed:\n\n${why.join('')}`;
}

export function peerOf(results: Results, workload: WorkloadName, peer: string): PeerResult | undefined {
  return results.workloads[workload]?.[0]?.peers[peer];
}

function ratio(
  key: string,
  text: string,
  bound: Aim['bound'],
  limit: number,
  [workload, peer, other]: Names,
  figure: FigureName,
): Aim {
  const measured = (results: Results) =>
    ratioOf(peerOf(results, workload, peer), peerOf(results, workload, other), figure);
  return { key, text, bound, limit, unit: '×', measured };
}

function amount(
  key: string,
  text: string,
  bound: Aim['bound'],
  [limit, unit]: readonly [number, string],
  [workload, peer]: readonly [WorkloadName, string],
  figure: FigureName,
): Aim {
  const measured = (results: Results) => spreadOf(peerOf(results, workload, peer), figure);
  return { key, text, bound, limit, unit, measured };
}

function ledger(key: string, text: string, limit: number, workload: WorkloadName, peer: string): Aim {
  return amount(key, text, 'most', [limit, ''], [workload, peer], 'ledgerRowsPer1000');
}

function beside(workload: WorkloadName, other: string): Names {
  return [workload, 'tidemark', other];
}

function uniform(other: string): Names {
  return beside('uniform', other);
}
