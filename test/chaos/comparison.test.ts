/** The table of the comparison: how it is made, and that the one in the documentation is that of its figures. */

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryRoot } from '../support/compiled.js';
import type { Cell, Comparison } from './compare.js';
import { comparedFaults, comparedSystems, comparedWorkload, concerns, scheduleOf } from './compare-rows.js';
import { closing, documentedTable, opening, printedTable, withTable } from './compare-table.js';

const clean: Cell = {
  ...{ calls: 4_000, failed: 0, numbers: 5_000, duplicates: 0, smaller: 0, unexplained: 0, troubled: 0 },
};
const comparison: Comparison = {
  ...{ seed: 7, runs: 2, lengthMs: 3_000, workload: comparedWorkload },
  versions: { tidemark: '0.1.0', redis: '7.0.15', mariadb: '10.11.6', node: '20.19.0' },
  rows: [
    { fault: 'none', cells: { incr: clean, 'mysql-row': clean, tidemark: clean } },
    {
      fault: 'flush',
      cells: {
        incr: { ...clean, duplicates: 12_345, smaller: 67, unexplained: 8, troubled: 1 },
        tidemark: clean,
      },
    },
  ],
};

describe('the table', () => {
  const caption = [
    '2 runs for each fault and system, from seed 7; 3 client processes, 20 conversations,',
    'about 3,000 numbers and 3 seconds in each run. A snapshot is taken every 200 numbers, not every 10,000,',
    'because a run is short. Redis 7.0.15, MariaDB 10.11.6, Node.js 20.19.0.',
  ];
  const trouble = '†: in some runs not every client got numbers again when everything was mended.';

  it('has a row for each fault, and a column for each system that was tried', () => {
    expect(documentedTable(comparison).split('\n')).toEqual([
      ...[...caption, trouble, ''],
      '| fault | `INCR` | a row in MySQL | Tidemark |',
      '|---|---:|---:|---:|',
      '| none | 0 | 0 | 0 |',
      '| `FLUSHALL` | 12,345 / 67 / 8 † | – | 0 |',
    ]);
  });

  it('says nothing of trouble where there was none, and one run is no runs', () => {
    const one = { ...comparison, runs: 1, rows: comparison.rows.slice(0, 1) };
    const table = documentedTable(one);
    expect(table).toMatch(/^1 run for each/);
    expect(table).not.toContain('†');
  });

  it('in a terminal the columns have one width', () => {
    const lines = printedTable(comparison).split('\n').slice(-3);
    expect(lines).toEqual([
      'fault                  `INCR`  a row in MySQL  Tidemark',
      'none                        0               0         0',
      '`FLUSHALL`  12,345 / 67 / 8 †               –         0',
    ]);
  });

  it('replaces what is between the markers on a page, and nothing else', () => {
    const page = (between: string) => `# Page\n\nabove\n\n${opening}${between}${closing}\n\nbelow | $& $1\n`;
    const expected = page(`\n${documentedTable(comparison)}\n`);
    expect(withTable(page('\n'), comparison)).toBe(expected);
    expect(withTable(page('\nan older table\n'), comparison)).toBe(expected);
    expect(withTable(expected, comparison)).toBe(expected);
  });

  it('a page without the markers is an error', () => {
    for (const page of ['', opening, closing, `${closing}\n${opening}`])
      expect(() => withTable(page, comparison)).toThrow('the page has no <!-- comparison');
  });
});

describe('what is compared', () => {
  it('every fault concerns Tidemark, and each but one another system', () => {
    for (const row of comparedFaults) {
      const names = comparedSystems.filter((system) => concerns(row, system)).map(({ name }) => name);
      expect(names, row.name).toContain('tidemark');
      expect(names.length, row.name).toBeGreaterThan(1);
    }
  });

  it('a fault of Redis does not concern a row in MySQL, and the other way round', () => {
    const concerned = (fault: string, name: string) =>
      concerns(
        comparedFaults.find((row) => row.name === fault)!,
        comparedSystems.find((system) => system.name === name)!,
      );
    expect(concerned('flush', 'mysql-row')).toBe(false);
    expect(concerned('kill-ledger', 'incr')).toBe(false);
    expect(concerned('kill-ledger', 'incr-snapshot')).toBe(true);
    expect(concerned('lost-replies', 'mysql-row')).toBe(true);
    expect(concerned('kill-client', 'mysql-row')).toBe(true);
  });

  it('all systems get the same faults at the same times', () => {
    for (const row of comparedFaults) {
      const seen = comparedSystems
        .filter((system) => concerns(row, system))
        .map((system) => {
          const { faults, workload, persistence, lengthMs } = scheduleOf(row, system, 5);
          return { times: faults.map(({ atMs, pick }) => ({ atMs, pick })), workload, persistence, lengthMs };
        });
      for (const one of seen) expect(one, row.name).toEqual(seen[0]);
    }
  });
});

const figures = path.join(repositoryRoot, 'docs/comparison.json');
// Until `npm run compare -- --write` has been run once, there is nothing that could be wrong.
describe.skipIf(!existsSync(figures))('docs/comparison.json', () => {
  const read = () => JSON.parse(readFileSync(figures, 'utf8')) as Comparison;

  it('is what the table in docs/guarantees.md was made of', () => {
    const page = readFileSync(path.join(repositoryRoot, 'docs/guarantees.md'), 'utf8');
    expect(page).toBe(withTable(page, read()));
  });

  it('has every fault and every system', () => {
    expect(read().rows.map(({ fault }) => fault)).toEqual(comparedFaults.map(({ name }) => name));
    for (const { fault, cells } of read().rows) {
      const row = comparedFaults.find(({ name }) => name === fault)!;
      const names = comparedSystems.filter((system) => concerns(row, system)).map(({ name }) => name);
      expect(Object.keys(cells).sort(), fault).toEqual([...names].sort());
    }
  });
});
