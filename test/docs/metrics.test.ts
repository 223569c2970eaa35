/** docs/server.md against what the server counts: neither may have a metric that the other lacks. */

import { expect, test } from 'vitest';
import { ServerMetrics } from '../../src/server/metrics.js';
import { readPage, tableRows } from './pages.js';

test('docs/server.md has each metric with its labels and its meaning, and no other', async () => {
  const rows = tableRows(readPage('docs/server.md'), ['metric', 'labels', 'what']);
  const documented = rows.map((row) => [row.get('metric'), row.get('labels'), row.get('what')].join(' | '));
  const described = new ServerMetrics().described.map(({ name, labels, help }) => {
    return [`\`${name}\``, labels.map((label) => `\`${label}\``).join(', '), help].join(' | ');
  });
  expect(described.length).toBeGreaterThan(15);
  expect(documented.sort()).toEqual(described.sort());
});
