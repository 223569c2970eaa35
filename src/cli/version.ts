import { readFile } from 'node:fs/promises';

/** The version of the package. */
export async function packageVersion(): Promise<string> {
  // The same place for src/cli/ and dist/cli/.
  const content = await readFile(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(content) as { version: string }).version;
}
