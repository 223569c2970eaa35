/** What the pages say about the code, compared with the code. */

import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { status } from '@grpc/grpc-js';
import { describe, expect, test } from 'vitest';
import { errorCodes } from '../../src/errors.js';
import { repositoryRoot } from '../support/compiled.js';
import { allPages, anchors, fencedBlocks, proseLines, readPage, tableRows } from './pages.js';

test('docs/errors.md has each error code with its meaning, and no other', () => {
  const columns = ['code', 'retryable', 'exit status', 'http', 'grpc'];
  const rows = tableRows(readPage('docs/errors.md'), columns);
  const documented = rows.map((row) => columns.map((column) => row.get(column)).join(' | '));
  const expected = Object.entries(errorCodes).map(
    ([code, { retryable, exitStatus, httpStatus, grpcStatus }]) =>
      `\`${code}\` | ${retryable ? 'yes' : 'no'} | ${exitStatus} | ${httpStatus} | \`${status[grpcStatus]}\``,
  );
  expect(documented.sort()).toEqual(expected.sort());
});

const words = [
  'conversation',
  'sequence number',
  'counter word',
  'block',
  'ceiling',
  'floor',
  'ledger',
  'generation',
  'history',
  'takeover',
  'gap',
  'lane',
];

test.each(words)('docs/glossary.md defines: %s', (word) => {
  const definition = new RegExp(`^(?:#+ |\\| *|[-*] +)?\\*{0,2}${word}\\b`, 'i');
  const lines = proseLines(readPage('docs/glossary.md'));
  const isDefined = lines.some((line) => definition.test(line) && /^(?:#|\||[-*] |\*\*)/.test(line));
  expect(isDefined, `a heading, a table row or bold text begins with "${word}"`).toBe(true);
});

test('README.md shows the two commands', () => {
  const blocks = fencedBlocks(readPage('README.md')).filter((block) => block.language === 'sh');
  const lines = blocks.flatMap((block) => block.code.split('\n').map((line) => line.trim()));
  expect(lines).toContain('npm ci && npm start');
  expect(lines).toContain('npm ci && npm test');
});

test('.ci/run runs the test command of README.md, and nothing else of npm', () => {
  const script = readFileSync(path.join(repositoryRoot, '.ci/run'), 'utf8');
  const commands = script.split('\n').filter((line) => /^[^#]*\bnpm /.test(line));
  expect(commands.map((line) => line.trim())).toEqual(['npm ci && npm test']);
  expect(statSync(path.join(repositoryRoot, '.ci/run')).mode & 0o111, '.ci/run can be executed').not.toBe(0);
});

describe('relative links lead somewhere', () => {
  test.for(allPages().map((page) => [page.file, page] as const))('%s', ([, page]) => {
    const broken: string[] = [];
    for (const [index, line] of proseLines(page).entries()) {
      for (const [, link] of line.replace(/`[^`]*`/g, '').matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]:\s*(\S+)/g)) {
        if (link !== undefined && !leadsSomewhere(page.file, link))
          broken.push(`${page.file}:${index + 1}: ${link}`);
      }
    }
    expect(broken).toEqual([]);
  });
});

function leadsSomewhere(from: string, link: string): boolean {
  if (/^[a-z][a-z0-9+.-]*:/.test(link)) return true;
  const [target = '', anchor] = link.split('#');
  const file = target === '' ? from : path.posix.join(path.posix.dirname(from), decodeURI(target));
  if (!existsSync(path.join(repositoryRoot, file))) return false;
  return anchor === undefined || !file.endsWith('.md') || anchors(readPage(file)).has(anchor);
}
