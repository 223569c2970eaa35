import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** A Lua script and the hash by which Redis knows it. */
export interface Script {
  readonly sha: string;
  readonly text: string;
}

const names = [
  'take',
  'recall',
  'grant',
  'read',
  'restore',
  'track',
  'read-open',
  'renew',
  'settle',
  'drain',
] as const;

export type ScriptName = (typeof names)[number];

/** The scripts of the store, by the names of their files in `scripts/`. */
export type Scripts = Readonly<Record<ScriptName, Script>>;

/** Reads the scripts; when a store connects, not when the module is loaded. */
export async function loadScripts(): Promise<Scripts> {
  const scripts = await Promise.all(names.map(async (name) => [name, await load(name)] as const));
  return Object.fromEntries(scripts) as Record<ScriptName, Script>;
}

async function load(name: ScriptName): Promise<Script> {
  const text = await readFile(new URL(`./scripts/${name}.lua`, import.meta.url), 'utf8');
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}
