import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(import.meta.url);
/** The compiled copy of the tree; what is compiled may also run from a copy of that copy, in another folder of the cache. */
const cache = here.indexOf(`${path.sep}.cache${path.sep}`);
const treeOfThisFile = path.resolve(path.dirname(here), '../..');

/** The folder of the repository, whether this runs as TypeScript or compiled. */
export const repositoryRoot = cache < 0 ? treeOfThisFile : here.slice(0, cache);

const compiledFolder = cache < 0 ? path.join(repositoryRoot, '.cache', 'compiled') : treeOfThisFile;

/**
 * The JavaScript of a TypeScript file, to start as a process: `compiledFile('test/integration/worker.ts')`. It is
 * built before the tests run.
 */
export function compiledFile(source: string): string {
  return path.join(compiledFolder, source.replace(/\.ts$/, '.js'));
}

/** The command as it is shipped. */
export const commandFile = path.join(repositoryRoot, 'dist/cli/main.js');
