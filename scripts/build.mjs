/**
 * Builds `dist/` from `src/`: compiled files, and everything beside them that is read at run time (Lua, SQL, NDJSON).
 *
 *   node scripts/build.mjs              dist/, with types checked
 *   node scripts/build.mjs --all        also .cache/compiled/: src, bench and test as JavaScript, for the benchmark and
 *                                       for tests that start processes of their own
 *   node scripts/build.mjs --no-check   without checking types
 *
 * Returns at once when nothing has changed.
 */

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const compiler = path.join(root, 'node_modules/typescript/bin/tsc');
const withoutTypes = process.argv.includes('--no-check');

build({ project: 'tsconfig.build.json', folders: ['src'], from: 'src', to: 'dist' });
if (process.argv.includes('--all')) {
  build({
    project: 'tsconfig.compiled.json',
    folders: ['src', 'bench', 'test'],
    from: '.',
    to: '.cache/compiled',
  });
}

/** `from/a/b.ts` becomes `to/a/b.js` for every file of the folders. */
function build({ project, folders, from, to }) {
  const output = path.join(root, to);
  const sources = folders.flatMap((folder) => filesUnder(path.join(root, folder)));
  const stampFile = path.join(output, '.stamp');
  const state = stateOf([...sources, path.join(root, project), path.join(root, 'tsconfig.json')]);
  const stamp = `${withoutTypes ? 'unchecked' : 'checked'} ${state}`;
  const found = existsSync(stampFile) ? readFileSync(stampFile, 'utf8') : '';
  // What was built with its types checked is as good where that is not asked for.
  if (found === stamp || found === `checked ${state}`) return;

  mkdirSync(output, { recursive: true });
  const expected = new Set();
  for (const source of sources) {
    const target = path.join(output, path.relative(path.join(root, from), source));
    if (source.endsWith('.ts')) {
      const stem = target.slice(0, -'.ts'.length);
      for (const ending of ['.js', '.js.map', '.d.ts']) expected.add(stem + ending);
    } else {
      expected.add(target);
      copyIfChanged(source, target);
    }
  }
  // A file whose source is gone must not be published or tested.
  for (const file of filesUnder(output)) {
    if (!expected.has(file) && !path.basename(file).startsWith('.')) rmSync(file, { force: true });
  }
  compile(project);
  const main = path.join(output, 'cli/main.js');
  if (existsSync(main)) chmodSync(main, 0o755);
  writeFileSync(stampFile, stamp);
}

function compile(project) {
  const args = [compiler, '-p', project, '--pretty', 'false', ...(withoutTypes ? ['--noCheck'] : [])];
  try {
    execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  } catch {
    process.stderr.write(`build: ${project} has errors, see above\n`);
    process.exit(1);
  }
}

/** Changes when a source is added, removed or written. */
function stateOf(files) {
  const hash = createHash('sha256');
  for (const file of files.sort()) {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${file} ${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex');
}

function copyIfChanged(source, target) {
  if (existsSync(target) && readFileSync(target).equals(readFileSync(source))) return;
  mkdirSync(path.dirname(target), { recursive: true });
  // Renamed into place, so that a process that reads the file at this moment never sees half of it.
  const part = path.join(path.dirname(target), `.${process.pid}.part`);
  copyFileSync(source, part);
  renameSync(part, target);
}

function filesUnder(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));
}
