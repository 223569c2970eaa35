/** The programs of `examples/` are listed, small, and need nothing but what a reader of them installs. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { repositoryRoot } from '../support/compiled.js';

const folder = path.join(repositoryRoot, 'examples');
const readme = readFileSync(path.join(folder, 'README.md'), 'utf8');
const programs = readdirSync(folder).filter((file) => file !== 'README.md');
const maxLines = 120;

describe.each(programs)('%s', (file) => {
  const text = readFileSync(path.join(folder, file), 'utf8');

  test('is listed with its test', () => {
    const row = readme.split('\n').find((line) => line.startsWith(`| [${file}](${file})`));
    expect(row).toContain(`examples-${path.parse(file).name}.test.ts`);
  });

  test('is small', () => {
    expect(text.split('\n').length - 1).toBeLessThanOrEqual(maxLines);
  });

  test('imports Tidemark, mysql2 and Node', () => {
    const imported = [...text.matchAll(/^import .* from '([^']+)';$/gm)].map(([, name]) => name!);
    expect(imported.length).toBeGreaterThan(1);
    for (const name of imported) expect(name).toMatch(/^(?:node:.+|tidemark(?:\/reader)?|mysql2\/promise)$/);
  });
});

test('the links of the list lead somewhere', () => {
  const links = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, link]) => link!);
  expect(links.filter((link) => !existsSync(path.join(folder, link)))).toEqual([]);
});

test('docs/ordering.md names only tests that there are', () => {
  const page = readFileSync(path.join(repositoryRoot, 'docs/ordering.md'), 'utf8').replace(/\s+/g, ' ');
  const tests = ['ordering', 'examples-message-table', 'examples-reader', 'examples-takeover']
    .map((name) => readFileSync(path.join(repositoryRoot, `test/integration/${name}.test.ts`), 'utf8'))
    .join('\n');
  const named = [...page.matchAll(/(?<![\w`])_([^_`]{20,}?)_(?![\w`])/g)].map(([, name]) => name!);
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((name) => !tests.includes(`'${name}'`))).toEqual([]);
});
