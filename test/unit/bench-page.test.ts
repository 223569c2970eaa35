import { describe, expect, it } from 'vitest';
import { readOptions, UsageError } from '../../bench/options.js';
import { aims, verdictOf } from '../../bench/page/aims.js';
import { assumptions, costsOf, type MeasuredCosts, planFor } from '../../bench/page/capacity.js';
import { amountText, markdownTable } from '../../bench/page/markdown.js';
import { renderDocs } from '../../bench/page/page.js';
import { decades, linearTicks, renderPlot } from '../../bench/page/plot.js';
import { reasons } from '../../bench/page/reasons.js';
import type { Results } from '../../bench/results.js';
import { workloadNames } from '../../bench/workloads.js';

const costs: MeasuredCosts = {
  redisCpuUsPerNumber: 2,
  clusterCpuUsPerNumber: 10,
  ledgerRowsPer1000: 16,
  ledgerRowsPerSecond: 40_000,
  redisBytesPerConversation: 100,
  ledgerBytesPerConversation: 150,
};

describe('capacity planning', () => {
  it('of ten thousand million messages a day, as by hand', () => {
    // 10^10 ÷ 86,400 × 5 = 578,704 a second in the busiest second.
    const plan = planFor(1e10, costs);
    expect(Math.round(plan.peakPerSecond)).toBe(578_704);
    // 578,704 × 10 µs = 5.8 cores, half used: 11.6. Memory: 10^9 × 100 bytes ÷ 32 GB = 3.1 primaries.
    expect(plan.redisPrimaries).toBe(12);
    expect(plan.redisBytes).toBe(1e11);
    expect(Math.round(plan.ledgerRowsPerSecond)).toBe(9_259);
    expect(plan.ledgers).toBe(1);
    expect(plan.ledgerBytes).toBe(1.5e11);
  });

  it('needs one server as long as half of its core and its memory are enough', () => {
    expect(planFor(1e6, costs).redisPrimaries).toBe(1);
    const most = (assumptions.usedShare * 1e6 * 86_400) / costs.redisCpuUsPerNumber / assumptions.peakFactor;
    const roomy = { ...costs, redisBytesPerConversation: 1 };
    expect(planFor(most * 0.999, roomy).redisPrimaries).toBe(1);
    // Beyond that it is a cluster, whose numbers are five times as dear here.
    expect(planFor(most * 1.001, roomy).redisPrimaries).toBe(6);
    expect(planFor(1e8, { ...costs, redisBytesPerConversation: 10_000 }).redisPrimaries).toBe(4);
  });

  it('needs another ledger where one would be used by more than half', () => {
    expect(planFor(1e11, costs).ledgers).toBe(5);
  });

  it('is left out where something was not measured', () => {
    expect(costsOf(emptyResults())).toBeUndefined();
  });
});

describe('a verdict', () => {
  it('says by how much an aim was missed', () => {
    const least = { bound: '≥', limit: 4 } as const;
    const most = { bound: '≤', limit: 0.4 } as const;
    expect([4, 5, 3, undefined].map((value) => verdictOf(least, value))).toEqual([
      'met',
      'met',
      'missed by 25 %',
      'not measured',
    ]);
    expect([0.4, 0.3, 1].map((value) => verdictOf(most, value))).toEqual(['met', 'met', 'missed by 150 %']);
    expect(verdictOf(least, 3.999)).toBe('missed by 1 %');
  });

  it('has a reason for every aim, and no other', () => {
    expect(Object.keys(reasons).sort()).toEqual(aims.map(({ key }) => key).sort());
  });
});

describe('the page', () => {
  it('says what was not measured', () => {
    const page = renderDocs(emptyResults())['performance.md']!;
    for (const { text } of aims) expect(page).toMatch(new RegExp(`${escaped(text)} .*not measured`));
  });

  it('writes tables with aligned columns', () => {
    expect(
      markdownTable([
        ['', 'rate'],
        ['a peer', '7'],
      ]),
    ).toBe('|        | rate |\n|--------|-----:|\n| a peer |    7 |\n');
    expect([7, 1_000, 20_000, 3.5e6, 1e11].map(amountText)).toEqual(['7', '1,000', '20 k', '3.5 M', '100 G']);
  });
});

describe('a plot', () => {
  it('has powers of ten around all values, or round steps from zero', () => {
    expect(decades([12, 3_000])).toEqual([10, 100, 1_000, 10_000]);
    expect(decades([1, 1_000])).toEqual([1, 10, 100, 1_000]);
    expect(decades([10])).toEqual([10, 100]);
    expect(linearTicks(93)).toEqual([0, 20, 40, 60, 80, 100]);
    expect(linearTicks(2.3)).toEqual([0, 0.5, 1, 1.5, 2, 2.5]);
  });

  it('draws each series through its medians, with titles that are safe in XML', () => {
    const y = (median: number) => ({ median, min: median, max: median });
    const points = [
      { x: 1, y: y(10) },
      { x: 100, y: y(1_000) },
    ];
    const labels = { title: 'a < b & c', xLabel: 'x', yLabel: 'y', yScale: 'log' } as const;
    const svg = renderPlot({ ...labels, series: [{ name: 'one', points }] });
    expect(svg).toContain('<title>a &lt; b &amp; c</title>');
    // From the lower left to the upper right corner of the area.
    expect(svg).toContain('points="76,344 696,72"');
    expect(svg).not.toContain('NaN');
  });
});

describe('the command line', () => {
  it('runs everything unless workloads are named', () => {
    expect(readOptions([])!.workloads).toEqual(workloadNames);
    expect(readOptions(['--workload', 'hot', '--workload', 'uniform'])!.workloads).toEqual([
      'uniform',
      'hot',
    ]);
  });

  it('measures nothing when it begins with results, unless workloads are named', () => {
    expect(readOptions(['--from', 'results.json'])!.workloads).toEqual([]);
    expect(readOptions(['--from', 'results.json', '--workload', 'hot'])!.workloads).toEqual(['hot']);
  });

  it('is short with --quick, and what is said beside it counts', () => {
    expect(readOptions(['--quick', '--rounds', '3'])).toMatchObject({ rounds: 3, conversations: 1_000 });
  });

  it('refuses what makes no sense', () => {
    for (const args of [['--workload', 'none'], ['--rounds', '0'], ['--seconds', ''], ['--unknown']]) {
      expect(() => readOptions(args), args.join(' ')).toThrow(UsageError);
    }
  });
});

function emptyResults(): Results {
  const machine = { cores: 1, cpu: 'c', memoryGiB: 1, system: 's', node: '1', redis: '1', mariaDb: '1' };
  return { machine, workloads: {} };
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
