/** The result as people read it. */

import type { BenchResult, PeerResult } from './bench.js';
import type { PeerName } from './peers.js';
import { carriedPerSecond, type FigureName, figureNames, type Spread } from './summary.js';

const labels: Readonly<Record<FigureName, string>> = {
  perSecond: 'numbers per second',
  p50Us: 'latency p50, µs',
  p99Us: 'latency p99, µs',
  p999Us: 'latency p99.9, µs',
  clientCpuUsPerNumber: 'client CPU per number, µs',
  redisCpuUsPerNumber: 'Redis CPU per number, µs',
  mariaDbCpuUsPerNumber: 'MariaDB CPU per number, µs',
  ledgerRowsPer1000: 'ledger rows written per 1,000 numbers',
  ledgerTransactionsPer1000: 'ledger commits per 1,000 numbers',
};

const titles: Readonly<Record<PeerName, string>> = {
  tidemark: 'Tidemark',
  cluster: 'cluster',
  embedded: 'Tidemark',
  'message-ids': 'with message ids',
  tracked: 'tracked',
  incr: 'INCR',
};

/** Numbers of primaries. */
const computedFor = [1, 3, 10];

/** A Markdown table, as in docs/performance.md. */
export function renderTable(result: BenchResult): string {
  const { tested, beside } = result.peers;
  const [name1, name2] = [titles[result.names.tested], titles[result.names.beside]];
  const rows = [['', name1, name2, `${name1} / ${name2}`]];
  for (const name of figureNames) {
    const ratio = result.ratios[name];
    rows.push([
      labels[name],
      spread(tested.steady[name]),
      spread(beside.steady[name]),
      ratio === undefined ? '' : spread(ratio),
    ]);
  }
  const cold = (name: FigureName) => [
    `first pass: ${labels[name]}`,
    figure(tested.cold[name]),
    figure(beside.cold[name]),
    beside.cold[name] === 0 ? '' : figure(tested.cold[name] / beside.cold[name]),
  ];
  rows.push(cold('perSecond'), cold('p99Us'), cold('ledgerRowsPer1000'));
  return `${heading(result)}\n\n${markdown(rows)}\n${footer(result)}`;
}

function heading({ workload, machine, settings }: BenchResult): string {
  return [
    `${workload.name}: ${workload.title}`,
    `${settings.conversations} conversations, ${settings.underWay} calls under way, ${settings.rounds} rounds of ${settings.seconds} s each in turn`,
    `${machine.cores} cores (${machine.cpu}), Node ${machine.node}, Redis ${machine.redis}${machine.mariaDb === undefined ? '' : `, MariaDB ${machine.mariaDb}`}`,
    'Medians of the rounds, with the smallest and the largest. Every conversation was in use before.',
  ].join('\n');
}

function footer({ redisLimitPerSecond, names, peers }: BenchResult): string {
  const limit =
    redisLimitPerSecond === undefined
      ? ''
      : `Limit of this machine: redis-benchmark -P 64 INCR ${figure(redisLimitPerSecond)} a second\n`;
  const carried = names.tested === 'cluster' ? carriedByPrimaries(peers.tested) : '';
  return `${limit}${carried}Events of Tidemark in the rounds: ${JSON.stringify(peers.tested.events)}\n`;
}

/** Here all servers share the cores of one machine, so what more primaries bring cannot be measured on it. */
function carriedByPrimaries({ steady }: PeerResult): string {
  const cpuUs = steady.redisCpuUsPerNumber.median;
  const carried = computedFor.map(
    (primaries) => `${primaries}: ${figure(carriedPerSecond(cpuUs, primaries))} a second`,
  );
  return `Computed, not measured: primaries with a core each, at ${figure(cpuUs)} µs for a number: ${carried.join(', ')}\n`;
}

function markdown(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join(' | ')} |\n`;
  const rule = `|${widths.map((width, column) => (column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|\n`;
  return line(rows[0]!) + rule + rows.slice(1).map(line).join('');
}

function spread({ median, min, max }: Spread): string {
  return min === max ? figure(median) : `${figure(median)} (${figure(min)}–${figure(max)})`;
}

function figure(value: number): string {
  return value.toLocaleString(
    'en-US',
    value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 },
  );
}
