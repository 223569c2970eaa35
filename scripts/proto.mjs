/**
 * The wire contract in `proto/`, and the code that is generated from it.
 *
 *   node scripts/proto.mjs              writes src/contract/generated/
 *   node scripts/proto.mjs --check      lints, compares with proto/baseline.binpb for what would break clients, and proves
 *                                       that the generated code is up to date
 *   node scripts/proto.mjs --baseline   makes the contract as it is now the one that must not be broken
 *
 * Prints nothing where all is well. Needs no network: buf and its plugin come with `npm ci`.
 */

import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const baseline = 'proto/baseline.binpb';
const target = path.join(root, 'src/contract/generated');
const temporary = '.cache/proto';

const [mode] = process.argv.slice(2);
if (mode === '--baseline') buf('build', '--exclude-source-info', '-o', baseline);
else if (mode === '--check') check();
else write(generated());

function check() {
  buf('lint');
  buf('breaking', '--against', baseline);
  const expected = generated();
  for (const name of new Set([...expected.keys(), ...namesIn(target)])) {
    const found = namesIn(target).includes(name) ? readFileSync(path.join(target, name), 'utf8') : undefined;
    if (found !== expected.get(name))
      fail(`src/contract/generated/${name} is not what the contract says; run npm run proto`);
  }
}

/** File name → text. The folders of the packages are left out, so that the code is not deep in folders: names differ. */
function generated() {
  rmSync(path.join(root, temporary), { recursive: true, force: true });
  buf('generate');
  const files = new Map();
  for (const entry of readdirSync(path.join(root, temporary), { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    if (files.has(entry.name)) fail(`two files of the contract are called ${entry.name}`);
    files.set(entry.name, readFileSync(path.join(entry.parentPath, entry.name), 'utf8'));
  }
  return files;
}

function write(files) {
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  for (const [name, text] of files) writeFileSync(path.join(target, name), text);
}

function namesIn(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Runs buf by its launcher, which finds the binary among the packages whether or not install scripts were run. */
function buf(...args) {
  const launcher = path.join(root, 'node_modules/@bufbuild/buf/bin/buf');
  const { status, error } = spawnSync(process.execPath, [launcher, ...args], { cwd: root, stdio: 'inherit' });
  if (error !== undefined) fail(`buf cannot be started: ${error.message}`);
  if (status !== 0) process.exit(1);
}

function fail(message) {
  process.stderr.write(`proto: ${message}\n`);
  process.exit(1);
}
