/** Every public export says what it is; functions and classes also show it. */

import path from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { repositoryRoot } from '../support/compiled.js';

const entries = ['src/index.ts', 'src/reader/index.ts', 'src/client/index.ts'].map((file) =>
  path.join(repositoryRoot, file),
);
const program = ts.createProgram(entries, {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.NodeNext,
  strict: true,
  skipLibCheck: true,
  types: ['node'],
});
const checker = program.getTypeChecker();
const named = entries
  .flatMap((entry) => checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)!)!))
  .map(
    (symbol) =>
      [symbol.name, symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol] as const,
  );

describe('has a docstring', () => {
  test.each(named)('%s', (_name, symbol) => {
    expect(ts.displayPartsToString(symbol.getDocumentationComment(checker))).not.toBe('');
  });
});

const shown = named.filter(([, symbol]) => symbol.flags & (ts.SymbolFlags.Function | ts.SymbolFlags.Class));

describe('has an example', () => {
  test.each(shown)('%s', (_name, symbol) => {
    const examples = symbol.getJsDocTags(checker).filter((tag) => tag.name === 'example');
    expect(examples.map((tag) => ts.displayPartsToString(tag.text)).join('\n')).toMatch(/^```ts( no-run)?$/m);
  });
});

describe('says what its parameters are', () => {
  const functions = named.filter(([, symbol]) => symbol.flags & ts.SymbolFlags.Function);
  test.each(functions)('%s', (_name, symbol) => {
    const declaration = symbol.valueDeclaration as ts.FunctionDeclaration;
    const described = symbol.getJsDocTags(checker).filter((tag) => tag.name === 'param');
    const parameters = declaration.parameters.map(({ name }) =>
      ts.isIdentifier(name) ? name.text : 'options',
    );
    expect(described.map((tag) => tag.text?.[0]?.text)).toEqual(parameters);
  });
});
