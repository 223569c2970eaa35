/**
 * The house rules that a machine can check: what core may use, sizes, names, depth, and what must not be committed.
 * Prints one line for each offence, and nothing else when there is none.
 *
 *   node scripts/check-layout.mjs [folder]
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = path.resolve(process.argv[2] ?? path.join(path.dirname(fileURLToPath(import.meta.url)), '..'));

/** House rule 7. */
const maxFileLines = 400;
const maxFolderDepth = 3;
const folderNamesThatSayNothing = ['types', 'utils', 'helpers', 'lib', 'common', 'manager'];
/** Time, scheduling and the process reach core through its ports only. */
const forbiddenInCore = new Set([
  'Date',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'performance',
  'process',
  'console',
]);
/** Read in one place, so that what the environment can change is in one place. */
const environmentFile = 'src/cli/config.ts';
/** Nobody reads these files one by one, so they may be long. */
const generatedFolder = 'src/contract/generated/';
const exitFile = 'src/cli/main.ts';

const notCommitted = new Set(['node_modules', 'dist', 'coverage', '.cache', '.git', 'tidemark-data']);
/** Folders of one machine, and the host of a package registry. */
const machinePath = /(?<![\w.])\/(?:work|root|home)\//;
const registryHost = /npm[j]s\.(?:org|com)/;

const offences = [];
const files = filesUnder('');
for (const file of files) checkFile(file);
checkLockFile();
for (const offence of offences) process.stdout.write(`${offence}\n`);
process.exit(offences.length === 0 ? 0 : 1);

function checkFile(file) {
  const text = readFileSync(path.join(root, file), 'utf8');
  text.split('\n').forEach((line, index) => {
    if (machinePath.test(line)) report(file, index, 'names a folder of one machine');
    if (registryHost.test(line)) report(file, index, 'names the host of a package registry');
  });
  if (!/\.(?:ts|mjs|js)$/.test(file)) return;
  const lines = text.split('\n').length - 1;
  if (lines >= maxFileLines && !file.startsWith(generatedFolder))
    report(file, 0, `has ${lines} lines; ${maxFileLines - 1} at most, a larger one has two jobs`);
  if (!file.startsWith('src/')) return;
  checkPlace(file);
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const visit = (node) => {
    checkNode(file, source, node);
    ts.forEachChild(node, visit);
  };
  visit(source);
}

function checkPlace(file) {
  const folders = path.posix.dirname(file).split('/').slice(1);
  if (folders.length > maxFolderDepth)
    report(file, 0, `is ${folders.length} levels under src/; at most ${maxFolderDepth}`);
  for (const folder of folders) {
    if (folderNamesThatSayNothing.includes(folder))
      report(file, 0, `the folder name ${folder} says nothing of its purpose`);
  }
}

function checkNode(file, source, node) {
  const at = (message) =>
    report(file, source.getLineAndCharacterOfPosition(node.getStart(source)).line, message);
  if (file === 'src/index.ts' && ts.isExportDeclaration(node) && !isNamedExport(node)) at('exports by star');
  if (isUseOf(node, 'process', 'exit') && file !== exitFile) at(`process.exit outside of ${exitFile}`);
  if (isUseOf(node, 'process', 'env') && file !== environmentFile)
    at(`reads the environment outside of ${environmentFile}`);
  if (!file.startsWith('src/core/')) return;
  const imported = importedModule(node);
  if (imported !== undefined && !isAllowedInCore(file, imported)) at(`core imports ${imported}`);
  if (isUseOf(node, 'AbortSignal', 'timeout'))
    at('core uses AbortSignal.timeout; timers come from the clock');
  if (ts.isIdentifier(node) && forbiddenInCore.has(node.text) && !isOnlyAName(node))
    at(`core uses ${node.text}`);
}

function isNamedExport(node) {
  return node.exportClause !== undefined && ts.isNamedExports(node.exportClause);
}

function isUseOf(node, object, property) {
  if (!ts.isPropertyAccessExpression(node) && !ts.isElementAccessExpression(node)) return false;
  const name = ts.isPropertyAccessExpression(node) ? node.name.text : node.argumentExpression.text;
  return node.expression.getText() === object && name === property;
}

/** The module of an import, a re-export, an import() or an import type. */
function importedModule(node) {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier?.text;
  if (ts.isImportTypeNode(node)) return node.argument.literal.text;
  const isDynamic = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  return isDynamic ? (node.arguments[0]?.text ?? 'something computed') : undefined;
}

function isAllowedInCore(file, imported) {
  if (!imported.startsWith('.')) return false;
  const target = path.posix.join(path.posix.dirname(file), imported);
  return target.startsWith('src/core/') || target === 'src/errors.js';
}

/** `reply.process` and `{ process: 1 }` use a name of somebody's own, not the global. */
function isOnlyAName(identifier) {
  const { parent } = identifier;
  if (ts.isPropertyAccessExpression(parent) && parent.expression.getText() === 'globalThis') return false;
  const namesAMember =
    ts.isPropertyAccessExpression(parent) || ts.isPropertyAssignment(parent) || ts.isTypeElement(parent);
  return (namesAMember || ts.isClassElement(parent)) && parent.name === identifier;
}

function checkLockFile() {
  const file = 'package-lock.json';
  if (!existsSync(path.join(root, file))) return report(file, 0, 'is missing');
  const { packages } = JSON.parse(readFileSync(path.join(root, file), 'utf8'));
  for (const [name, entry] of Object.entries(packages)) {
    if (entry.resolved !== undefined)
      report(file, 0, `${name} is resolved from ${entry.resolved}; keep omit-lockfile-registry-resolved`);
  }
}

function report(file, line, message) {
  offences.push(`${file}:${line + 1}: ${message}`);
}

/** Text files of the repository, with forward slashes. */
function filesUnder(folder) {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const file = path.posix.join(folder, entry.name);
    if (notCommitted.has(entry.name)) return [];
    return entry.isDirectory() ? filesUnder(file) : [file];
  });
}
