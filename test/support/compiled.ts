import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(import.meta.url);
/** The compiled copy of this file lives below `.cache/compiled`, whose layout is that of the repository. */
const compiledFolder = path.join('.cache', 'compiled');

/** The folder of the repository, whether this runs as TypeScript or compiled. */
export const repositoryRoot = here.includes(`${path.sep}${compiledFolder}${path.sep}`)
  ? path.resolve(path.dirname(here), '../../../..')
  : path.resolve(path.dirname(here), '../..');

/**
 * The JavaScript of a TypeScript file, to start as a process: `compiledFile('test/integration/worker.ts')`. It is
 * built before the tests run.
 */
export function compiledFile(source: string): string {
  return path.join(repositoryRoot, compiledFolder, source.replace(/\.ts$/, '.js'));
}

/** The command as it is shipped. */
export const commandFile = path.join(repositoryRoot, 'dist/cli/main.js');
