/** docs/performance.md and its plots against docs/performance.json: the page says what was measured, and nothing else. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { aims, verdictOf } from '../../bench/page/aims.js';
import { spreadText } from '../../bench/page/markdown.js';
import { renderDocs } from '../../bench/page/page.js';
import type { Results } from '../../bench/results.js';
import { workloadNames } from '../../bench/workloads.js';
import { repositoryRoot } from '../support/compiled.js';
import { readPage, tableRows } from './pages.js';

const docs = path.join(repositoryRoot, 'docs');
const results = JSON.parse(readFileSync(path.join(docs, 'performance.json'), 'utf8')) as Results;

describe('the page of performance', () => {
  test('is what `npm run bench -- --from docs/performance.json --docs docs` writes', () => {
    const rendered = renderDocs(results);
    for (const [file, content] of Object.entries(rendered)) {
      expect(readFileSync(path.join(docs, file), 'utf8'), file).toBe(content);
    }
    const plots = readdirSync(path.join(docs, 'performance')).map((file) => `performance/${file}`);
    expect(Object.keys(rendered)).toEqual(expect.arrayContaining(plots));
  });

  test('has figures of every workload', () => {
    expect(Object.keys(results.workloads).sort()).toEqual([...workloadNames].sort());
  });

  test('states every aim as met or missed, with what was measured', () => {
    const rows = tableRows(readPage('docs/performance.md'), ['aim', 'measured', 'met?']);
    const stated = new Map(rows.map((row) => [row.get('aim'), row]));
    expect(stated.size).toBe(aims.length);
    for (const aim of aims) {
      const measured = aim.measured(results);
      const row = stated.get(aim.text);
      expect(row?.get('met?'), aim.text).toMatch(/^(met|missed by [\d,]+ %)$/);
      expect(row?.get('met?'), aim.text).toBe(verdictOf(aim, measured?.median));
      expect(row?.get('measured'), aim.text).toContain(spreadText(measured));
    }
  });
});
