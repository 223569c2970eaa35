/** Each house rule that scripts/check-layout.mjs checks is broken on purpose here, so that the check itself is checked. */

import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { repositoryRoot } from '../support/compiled.js';
import { temporaryFolder } from '../support/servers.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  folder = await temporaryFolder();
  await put('package-lock.json', '{ "packages": { "": {} } }');
});
afterEach(() => folder.remove());

async function put(file: string, text: string): Promise<void> {
  const target = path.join(folder.path, file);
  await mkdir(path.dirname(target), { recursive: true });
  await writeFile(target, text);
}

function check(): Promise<string> {
  const script = path.join(repositoryRoot, 'scripts/check-layout.mjs');
  return new Promise((resolve) => {
    execFile(process.execPath, [script, folder.path], (error, stdout) =>
      resolve(`exit ${error?.code ?? 0}\n${stdout}`.trim()),
    );
  });
}

test('accepts what keeps the rules', async () => {
  await put(
    'src/core/a.ts',
    "import { b } from './b.js';\nimport { E } from '../errors.js';\nexport const x = { b, E, process: 1 };\n",
  );
  await put('src/core/b.ts', 'export const b = { now: (clock: { Date: number }) => clock.Date };\n');
  await put('src/index.ts', "export { x } from './core/a.js';\n");
  await put('src/contract/generated/a_pb.ts', '\n'.repeat(1_000));
  await put('src/cli/main.ts', 'process.exit(1);\n');
  await put('src/cli/config.ts', "export const url = process.env['URL'];\n");
  await put('src/counters/redis/scripts/take.lua', '');
  expect(await check()).toBe('exit 0');
});

const absolute = (name: string): string => `/${name}/tidemark`;

/** File, what it contains, and the line that the check prints for it. */
const broken: [string, string, string][] = [
  ['src/core/a.ts', "import net from 'node:net';", '1: core imports node:net'],
  ['src/core/b.ts', "import type { R } from 'redis';", '1: core imports redis'],
  ['src/core/c.ts', "export { x } from '../ledgers/x.js';", '1: core imports ../ledgers/x.js'],
  ['src/core/d.ts', "const x = await import('../cli/x.js');", '1: core imports ../cli/x.js'],
  ['src/core/e.ts', "type X = import('../cli/x.js').X;", '1: core imports ../cli/x.js'],
  ['src/core/f.ts', '\nconst t = Date.now();', '2: core uses Date'],
  ['src/core/g.ts', 'setTimeout(f, 1);', '1: core uses setTimeout'],
  ['src/core/h.ts', 'setInterval(f, 1);', '1: core uses setInterval'],
  ['src/core/i.ts', 'setImmediate(f);', '1: core uses setImmediate'],
  ['src/core/j.ts', 'process.nextTick(f);', '1: core uses process'],
  [
    'src/core/k.ts',
    'AbortSignal.timeout(1);',
    '1: core uses AbortSignal.timeout; timers come from the clock',
  ],
  ['src/core/l.ts', 'const start = globalThis.setTimeout;', '1: core uses setTimeout'],
  ['src/cli/a.ts', 'process.exit(1);', '1: process.exit outside of src/cli/main.ts'],
  ['src/cli/b.ts', "process.env['A'];", '1: reads the environment outside of src/cli/config.ts'],
  ['src/cli/c.ts', "process['env'];", '1: reads the environment outside of src/cli/config.ts'],
  ['src/index.ts', "export * from './a.js';", '1: exports by star'],
  ['src/utils/a.ts', '', '1: the folder name utils says nothing of its purpose'],
  ['src/a/b/c/d/e.ts', '', '1: is 4 levels under src/; at most 3'],
  ['test/a.ts', '\n'.repeat(400), '1: has 400 lines; 399 at most, a larger one has two jobs'],
  ['docs/a.md', `see ${absolute('home')}`, '1: names a folder of one machine'],
  ['docs/b.md', `\n\ncd ${absolute('work')}`, '3: names a folder of one machine'],
  ['docs/c.md', `https://www.npm${'js'}.com/package/tidemark`, '1: names the host of a package registry'],
  [
    'package-lock.json',
    '{ "packages": { "node_modules/a": { "resolved": "https://host/a.tgz" } } }',
    '1: node_modules/a is resolved from https://host/a.tgz; keep omit-lockfile-registry-resolved',
  ],
];

test('names each file that breaks a rule, its line and the rule, once', async () => {
  for (const [file, text] of broken) await put(file, text);
  const [exit, ...offences] = (await check()).split('\n');
  expect(exit).toBe('exit 1');
  expect(offences.sort()).toEqual(broken.map(([file, , offence]) => `${file}:${offence}`).sort());
});

test('what the build makes is not checked', async () => {
  await put('dist/a.js', `// ${absolute('root')}`);
  await put('node_modules/a/a.js', `// ${absolute('root')}`);
  expect(await check()).toBe('exit 0');
});

test('a lock file is required', async () => {
  await rm(path.join(folder.path, 'package-lock.json'));
  expect(await check()).toBe('exit 1\npackage-lock.json:1: is missing');
});
