/** What a browser asks of `tidemark/reader`: no types of Node, no globals of either, nothing from elsewhere in src/. */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { repositoryRoot } from '../support/compiled.js';

const folder = path.join(repositoryRoot, 'src/reader');
const files = readdirSync(folder).map((name) => path.join(folder, name));

test('compiles with the language alone', () => {
  const program = ts.createProgram(files, {
    target: ts.ScriptTarget.ES2023,
    lib: ['lib.es2023.d.ts'],
    module: ts.ModuleKind.NodeNext,
    strict: true,
    noEmit: true,
    types: [],
  });
  const wrong = ts.getPreEmitDiagnostics(program).map((diagnostic) => diagnostic.messageText);
  expect(wrong).toEqual([]);
});

test.each(files)('%s imports only its neighbours', (file) => {
  const imported = ts
    .preProcessFile(readFileSync(file, 'utf8'))
    .importedFiles.map(({ fileName }) => fileName);
  expect(imported.filter((name) => !/^\.\/[a-z-]+\.js$/.test(name))).toEqual([]);
});
