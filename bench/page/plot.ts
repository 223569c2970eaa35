/** Line plots as SVG. Pure; one file each, readable on light and on dark pages. */

import type { Spread } from '../summary.js';
import { amountText } from './markdown.js';

export interface Series {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: Spread }[];
}

export interface Plot {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  /** x is logarithmic always. */
  readonly yScale: 'log' | 'linear';
  readonly series: readonly Series[];
}

const size = { width: 720, height: 400 };
const area = { left: 76, right: 24, top: 72, bottom: 56 };
const [left, right] = [area.left, size.width - area.right];
const [top, bottom] = [area.top, size.height - area.bottom];
/** Told apart by people who do not see all colours, on white and on nearly black; each has a mark of its own, too. */
const colours = ['#1f78c8', '#d55e00', '#2a9d6f', '#b0579f'];

const style = `
  .page { fill: #fff; } text { font: 13px system-ui, sans-serif; fill: #333; }
  .title { font-size: 16px; font-weight: 600; }
  .grid { stroke: #ddd; } .axis { stroke: #888; }
  .line { fill: none; stroke-width: 2; } .spread { stroke-width: 1.5; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; } text { fill: #ddd; } .grid { stroke: #3a3a3a; }
  }
`;

/** A line through the medians of each series, with a bar from the smallest to the largest value. */
export function renderPlot(plot: Plot): string {
  const points = plot.series.flatMap((series) => series.points);
  const xs = points.map(({ x }) => x);
  const ys = points.flatMap(({ y }) => [y.min, y.max]);
  const x = scale('log', decades(xs), left, right);
  const y = scale(
    plot.yScale,
    plot.yScale === 'log' ? decades(ys) : linearTicks(Math.max(...ys)),
    bottom,
    top,
  );
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" role="img">`,
    `<title>${escaped(plot.title)}</title>`,
    `<style>${style}</style>`,
    // A ground of its own: whoever shows it may be dark where the reader's system is light.
    `<rect class="page" width="${size.width}" height="${size.height}" rx="6"/>`,
    text(left, 24, plot.title, 'class="title"'),
    ...legend(plot.series),
    ...x.ticks.map((tick) => tickOf(x, tick, 'x')),
    ...y.ticks.map((tick) => tickOf(y, tick, 'y')),
    `<path class="axis" fill="none" d="M${left} ${top}V${bottom}H${right}"/>`,
    text((left + right) / 2, size.height - 12, plot.xLabel, 'text-anchor="middle"'),
    text(
      0,
      0,
      plot.yLabel,
      `text-anchor="middle" transform="translate(16 ${(top + bottom) / 2}) rotate(-90)"`,
    ),
    ...plot.series.map((series, index) => lineOf(series, index, x, y)),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

interface Scale {
  readonly ticks: readonly number[];
  readonly at: (value: number) => number;
}

function scale(kind: 'log' | 'linear', ticks: readonly number[], from: number, to: number): Scale {
  const position = kind === 'log' ? Math.log10 : (value: number) => value;
  const first = position(ticks[0]!);
  const length = position(ticks.at(-1)!) - first || 1;
  return {
    ticks,
    at: (value) => Number((from + ((position(value) - first) / length) * (to - from)).toFixed(1)),
  };
}

/** The powers of ten around all values. */
export function decades(values: readonly number[]): number[] {
  const logs = values.filter((value) => value > 0).map((value) => Math.log10(value));
  const first = Math.floor(Math.min(...logs) + 1e-9);
  const last = Math.max(first + 1, Math.ceil(Math.max(...logs) - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, index) => 10 ** (first + index));
}

/** About five round steps from 0 to at least the value. */
export function linearTicks(max: number): number[] {
  const rough = (max || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough)!;
  const count = Math.ceil((max || 1) / step - 1e-9);
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

function tickOf(axis: Scale, value: number, which: 'x' | 'y'): string {
  const at = axis.at(value);
  const label = value < 1 ? String(Number(value.toPrecision(3))) : amountText(value);
  return which === 'x'
    ? `<path class="grid" d="M${at} ${top}V${bottom}"/>${text(at, bottom + 20, label, 'text-anchor="middle"')}`
    : `<path class="grid" d="M${left} ${at}H${right}"/>${text(left - 8, at + 4, label, 'text-anchor="end"')}`;
}

function lineOf({ points }: Series, index: number, x: Scale, y: Scale): string {
  const colour = colours[index % colours.length]!;
  const at = points.map((point) => ({ ...point, px: x.at(point.x), py: y.at(point.y.median) }));
  const bars = at.map(({ px, y: { min, max } }) => `M${px} ${y.at(min)}V${y.at(max)}`).join('');
  return [
    `<path class="spread" stroke="${colour}" d="${bars}"/>`,
    `<polyline class="line" stroke="${colour}" points="${at.map(({ px, py }) => `${px},${py}`).join(' ')}"/>`,
    ...at.map(({ px, py }) => mark(index, px, py)),
  ].join('');
}

function legend(series: readonly Series[]): string[] {
  let at = left;
  return series.map(({ name }, index) => {
    const entry = mark(index, at + 6, 48) + text(at + 18, 52, name);
    at += 40 + name.length * 7.5;
    return entry;
  });
}

/** A circle, a square, a diamond, a triangle. */
function mark(index: number, x: number, y: number): string {
  const colour = colours[index % colours.length]!;
  const shapes = [
    `<circle cx="${x}" cy="${y}" r="4" fill="${colour}"/>`,
    `<path fill="${colour}" d="M${x - 4} ${y - 4}h8v8h-8z"/>`,
    `<path fill="${colour}" d="M${x} ${y - 5.5}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>`,
    `<path fill="${colour}" d="M${x} ${y - 5}l5 9h-10z"/>`,
  ];
  return shapes[index % shapes.length]!;
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${x}" y="${y}" ${attributes}>${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
