/** The figures of a workload as Markdown tables. */

import type { FigureName, FootprintName, PeerResult, Results, Step } from '../results.js';
import { ratioOf, spreadOf } from '../summary.js';
import { type WorkloadName, workloadNames, workloads } from '../workloads.js';
import { figureText, markdownTable, spreadText } from './markdown.js';

const figureLabels: Readonly<Record<FigureName, string>> = {
  perSecond: 'numbers per second',
  p50Us: 'latency p50, µs',
  p99Us: 'latency p99, µs',
  p999Us: 'latency p99.9, µs',
  clientCpuUsPerNumber: 'client CPU per number, µs',
  redisCpuUsPerNumber: 'Redis CPU per number, µs',
  mariaDbCpuUsPerNumber: 'MariaDB CPU per number, µs',
  ledgerRowsPer1000: 'ledger rows written per 1,000 numbers',
  ledgerCommitsPer1000: 'ledger commits per 1,000 numbers',
  garbageBytesPerNumber: 'garbage per number, bytes',
  first1000Ms: 'first 1,000 answered after, ms',
};
const footprintLabels: Readonly<Record<FootprintName, string>> = {
  redisBytes: 'Redis bytes per conversation',
  clientBytes: 'client memory per 100,000 conversations, MB',
  ledgerBytes: 'ledger bytes per conversation',
};
/** What a peer is compared by with the first one. */
const compared: readonly FigureName[] = [
  'perSecond',
  'p50Us',
  'p99Us',
  'clientCpuUsPerNumber',
  'redisCpuUsPerNumber',
];
/** What is shown of workloads with several steps. */
const stepFigures: Partial<Record<WorkloadName, readonly (FigureName | FootprintName)[]>> = {
  concurrency: ['perSecond', 'p50Us', 'p99Us'],
  words: ['redisBytes', 'redisCpuUsPerNumber', 'perSecond'],
};
/** Doors with what they are divided by. */
const doorsBeside: Readonly<Record<string, string>> = {
  'resp-deep': 'redis-deep',
  'resp-single': 'redis-single',
  'grpc-stream': 'grpc-unary',
  'http-batch': 'http-single',
};

/** Everything that was measured, for a terminal. */
export function renderTables(results: Results): string {
  return workloadNames
    .filter((name) => results.workloads[name] !== undefined)
    .map((name) => `${name}: ${workloads[name].title}\n\n${workloadTable(name, results.workloads[name]!)}`)
    .join('\n');
}

export function workloadTable(name: WorkloadName, steps: readonly Step[]): string {
  if (name === 'doors') return steps.map(doorsTable).join('\n');
  const figures = stepFigures[name];
  if (figures !== undefined) return figures.map((figure) => stepsTable(name, figure, steps)).join('\n');
  return steps.map((step) => figuresTable(name, step)).join('\n');
}

/** A row for each figure, a column for each peer. */
function figuresTable(name: WorkloadName, { peers }: Step): string {
  const results = Object.values(peers);
  const rows = [['', ...results.map(({ title }) => title)]];
  for (const [figure, label] of Object.entries(figureLabels) as [FigureName, string][]) {
    // Anywhere else it only tells how many calls are under way.
    if (figure === 'first1000Ms' && name !== 'cold-start') continue;
    rows.push([label, ...results.map((peer) => spreadText(spreadOf(peer, figure)))]);
  }
  for (const [figure, label] of Object.entries(footprintLabels) as [FootprintName, string][]) {
    rows.push([label, ...results.map((peer) => footprintText(peer, figure))]);
  }
  const [first, ...others] = results;
  for (const figure of others.length === 0 ? [] : compared) {
    const ratios = others.map((peer) => spreadText(ratioOf(first, peer, figure)));
    rows.push([`${first!.title} ÷ this: ${figureLabels[figure]}`.replace(/, µs$/, ''), '', ...ratios]);
  }
  return markdownTable(rows.filter((row) => row.slice(1).some((cell) => cell !== '')));
}

function footprintText({ footprint }: PeerResult, name: FootprintName): string {
  const bytes = footprint[name];
  if (bytes === undefined) return '';
  return figureText(name === 'clientBytes' ? bytes / 10 : bytes);
}

/** A row for each step, a column for each peer. */
function stepsTable(name: WorkloadName, figure: FigureName | FootprintName, steps: readonly Step[]): string {
  const isFootprint = figure in footprintLabels;
  const label = isFootprint ? footprintLabels[figure as FootprintName] : figureLabels[figure as FigureName];
  const peers = Object.keys(steps[0]?.peers ?? {});
  const what = name === 'words' ? 'conversations' : 'calls under way';
  const head = [`${label}: ${what}`, ...peers.map((peer) => steps[0]!.peers[peer]!.title)];
  const rows = steps.map((step) => [
    (name === 'words' ? step.conversations : step.underWay).toLocaleString('en-US'),
    ...peers.map((peer) => {
      const result = step.peers[peer];
      if (result === undefined) return '';
      return isFootprint
        ? footprintText(result, figure as FootprintName)
        : spreadText(spreadOf(result, figure as FigureName));
    }),
  ]);
  return markdownTable([head, ...rows]);
}

function doorsTable({ peers }: Step): string {
  const rows = Object.entries(peers).map(([name, peer]) => {
    const beside = doorsBeside[name];
    const ratio = beside === undefined ? undefined : ratioOf(peer, peers[beside], 'perSecond');
    const text = ratio === undefined ? '' : `${spreadText(ratio)} × ${peers[beside!]!.title}`;
    return [peer.title, spreadText(spreadOf(peer, 'perSecond')), text];
  });
  return markdownTable([['', 'numbers per second', 'beside'], ...rows]);
}
