/** The plots of the page, by the name of their file. */

import type { FigureName, PeerResult, Results, Step } from '../results.js';
import { type Spread, spread, spreadOf } from '../summary.js';
import type { WorkloadName } from '../workloads.js';
import { type Plot, renderPlot, type Series } from './plot.js';

const overUnderWay = { xLabel: 'calls under way', yScale: 'log' } as const;
const overConversations = { xLabel: 'conversations', yScale: 'linear' } as const;

/** Those whose workload was measured. */
export function renderPlots(results: Results): Record<string, string> {
  const conversations = results.workloads.concurrency?.[0]?.conversations.toLocaleString('en-US');
  const underWay = results.workloads.words?.[0]?.underWay.toLocaleString('en-US');
  const plots: Record<string, Plot> = {
    'throughput.svg': {
      ...overUnderWay,
      title: `Numbers per second, ${conversations} conversations`,
      yLabel: 'numbers per second',
      series: seriesOf(results, 'concurrency', figure('perSecond')),
    },
    'p99.svg': {
      ...overUnderWay,
      title: 'Latency: 99 of 100 calls take at most so long',
      yLabel: 'p99, µs',
      series: seriesOf(results, 'concurrency', figure('p99Us')),
    },
    'redis-memory.svg': {
      ...overConversations,
      title: 'Redis memory for each conversation',
      yLabel: 'bytes',
      series: seriesOf(results, 'words', (peer) => spread([peer.footprint.redisBytes])),
    },
    'redis-cpu.svg': {
      ...overConversations,
      title: `Redis CPU for each number, ${underWay} calls under way`,
      yLabel: 'µs',
      series: seriesOf(results, 'words', figure('redisCpuUsPerNumber')),
    },
  };
  const measured = Object.entries(plots).filter(([, { series }]) => series.length > 0);
  return Object.fromEntries(measured.map(([file, plot]) => [file, renderPlot(plot)]));
}

function figure(name: FigureName): (peer: PeerResult) => Spread | undefined {
  return (peer) => spreadOf(peer, name);
}

/** A series for each peer that has the figure in any step. */
function seriesOf(
  results: Results,
  workload: WorkloadName,
  read: (peer: PeerResult) => Spread | undefined,
): Series[] {
  const steps: readonly Step[] = results.workloads[workload] ?? [];
  const names = Object.keys(steps[0]?.peers ?? {});
  return names
    .map((name) => ({
      name: steps[0]!.peers[name]!.title,
      points: steps.flatMap((step) => {
        const y = read(step.peers[name]!);
        return y === undefined ? [] : [{ x: workload === 'words' ? step.conversations : step.underWay, y }];
      }),
    }))
    .filter(({ points }) => points.length > 0);
}
