/** Every example of the pages and of the docstrings runs, and its types are right. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import ts from 'typescript';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { repositoryRoot } from '../support/compiled.js';
import { ExampleRunner } from './examples.js';
import { allPages, allSources, type Block, docstringBlocks, fencedBlocks } from './pages.js';
import { commandsOf, runTerminal } from './terminal.js';

const pageBlocks = allPages().flatMap(fencedBlocks);
const blocks = [...pageBlocks, ...allSources().flatMap(docstringBlocks)];
const modules = blocks.filter((block) => block.language === 'ts');
const terminals = new Map<string, Block[]>();
for (const block of pageBlocks) {
  if (!['console', 'sh'].includes(block.language) || !block.runs || commandsOf(block).length === 0) continue;
  terminals.set(block.file, [...(terminals.get(block.file) ?? []), block]);
}

let runner: ExampleRunner;
beforeAll(async () => {
  runner = await ExampleRunner.create();
});
afterAll(() => runner.stop());

const nameOf = (block: Block): string => `${block.file}:${block.line}`;

describe.concurrent('a ts block runs', () => {
  test.for(modules.filter((block) => block.runs).map((block) => [nameOf(block), block] as const))(
    '%s',
    async ([, block], { expect }) => {
      expect(await runner.runModule(block)).toBeUndefined();
    },
  );
});

// A page may show dozens of commands, and each is a process of its own.
describe('the terminals of a page print what it says', { timeout: 240_000 }, () => {
  test.for([...terminals])('%s', async ([, blocksOfPage]) => {
    expect(await runTerminal(runner, blocksOfPage)).toBeUndefined();
  });
});

test('there are examples', () => {
  expect(modules.length).toBeGreaterThan(0);
  expect(terminals.size, 'no page shows a terminal').toBeGreaterThan(0);
});

test('the types of every ts block are right', async () => {
  const files = new Map<string, string>();
  const folder = path.join(runner.folder, 'types');
  await mkdir(folder);
  await writeFile(path.join(folder, 'package.json'), '{ "type": "module" }');
  const environment = path.join(folder, 'environment.d.ts');
  await writeFile(
    environment,
    'declare namespace NodeJS { interface ProcessEnv { REDIS_URL: string; MYSQL_URL: string; TIDEMARK_URL: string } }',
  );
  for (const block of modules.filter(({ runs, code }) => runs || /^import /m.test(code))) {
    const file = path.join(folder, `example-${files.size}.ts`);
    await writeFile(file, `${block.code}\nexport {};\n`);
    files.set(file, nameOf(block));
  }
  const program = ts.createProgram([environment, ...files.keys()], {
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2024.d.ts'],
    module: ts.ModuleKind.NodeNext,
    strict: true,
    skipLibCheck: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [path.join(repositoryRoot, 'node_modules/@types')],
  });
  const wrong = ts.getPreEmitDiagnostics(program).map((diagnostic) => {
    const where = diagnostic.file && files.get(diagnostic.file.fileName);
    return `${where ?? diagnostic.file?.fileName}: ${ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n')}`;
  });
  expect(wrong).toEqual([]);
});
