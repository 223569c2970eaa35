/** Builds `dist/` and `.cache/compiled/` before the tests: some start processes of their own, which need JavaScript. */

import { execFileSync } from 'node:child_process';

export default function setup(): void {
  // Types are checked by a step of their own; a wrong type elsewhere must not keep a test from running.
  execFileSync(process.execPath, ['scripts/build.mjs', '--all', '--no-check'], { stdio: 'inherit' });
}
