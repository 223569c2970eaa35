import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';

it('the operations page lists exactly the events that there are', async () => {
  const source = await readFile('src/core/events.ts', 'utf8');
  const page = await readFile('docs/operations.md', 'utf8');
  const emitted = [...source.matchAll(/readonly type: '(\w+)'/g)].map(([, type]) => type);
  const table = page.slice(page.indexOf('| Event |'));
  const documented = [...table.slice(0, table.indexOf('\n\n')).matchAll(/^\| `(\w+)` \|/gm)].map(
    ([, type]) => type,
  );
  expect(emitted.length).toBeGreaterThan(5);
  expect(documented.sort()).toEqual(emitted.sort());
});
