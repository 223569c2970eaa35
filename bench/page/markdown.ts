/** How figures and tables are written. */

import type { Spread } from '../summary.js';

/** The first column to the left, the others to the right. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(3, ...rows.map((row) => row[column]!.length)));
  const cell = (text: string, column: number) =>
    column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!);
  const line = (row: readonly string[]) => `| ${row.map(cell).join(' | ')} |\n`;
  const rule = widths.map((width, column) =>
    column === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`,
  );
  return `${line(rows[0]!)}|${rule.join('|')}|\n${rows.slice(1).map(line).join('')}`;
}

/** The median, with the smallest and the largest value where there are several. */
export function spreadText(spread: Spread | undefined): string {
  if (spread === undefined) return '';
  const { median, min, max } = spread;
  return min === max ? figureText(median) : `${figureText(median)} (${figureText(min)}–${figureText(max)})`;
}

/** Three digits, or all before the point. */
export function figureText(value: number): string {
  const digits = value >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 };
  return value.toLocaleString('en-US', digits);
}

/** Large amounts, as people say them. */
export function amountText(value: number): string {
  const units = [
    [1e12, ' T'],
    [1e9, ' G'],
    [1e6, ' M'],
    [1e4, ' k'],
  ] as const;
  const [unit, sign] = units.find(([size]) => value >= size) ?? [1, ''];
  return `${(value / (unit === 1e4 ? 1e3 : unit)).toLocaleString('en-US', { maximumSignificantDigits: 3 })}${sign}`;
}
