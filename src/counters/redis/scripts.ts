import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** A Lua script and the hash by which Redis knows it. */
export interface Script {
  readonly sha: string;
  readonly text: string;
}

/** The scripts of the store, by the names of their files in `scripts/`. */
export interface Scripts {
  readonly take: Script;
  readonly recall: Script;
  readonly grant: Script;
  readonly read: Script;
}

/** Reads the scripts; when a store connects, not when the module is loaded. */
export async function loadScripts(): Promise<Scripts> {
  const [take, recall, grant, read] = await Promise.all([
    load('take'),
    load('recall'),
    load('grant'),
    load('read'),
  ]);
  return { take, recall, grant, read };
}

async function load(name: keyof Scripts): Promise<Script> {
  const text = await readFile(new URL(`./scripts/${name}.lua`, import.meta.url), 'utf8');
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}
