/** Which Redis and Valkey servers this machine has. */

import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

export interface RedisExecutable {
  /** For titles of tests: `Redis 7.0.15`. */
  readonly name: string;
  readonly product: 'Redis' | 'Valkey';
  readonly version: string;
  /** What to give to the functions that start servers. */
  readonly executable: string;
}

/**
 * Every server on the PATH: `redis-server`, `valkey-server`, and others of these names with a suffix, such as
 * `redis-server-6.2`; each version once.
 */
export function redisExecutables(): readonly RedisExecutable[] {
  const found = new Map<string, RedisExecutable>();
  for (const folder of (process.env['PATH'] ?? '').split(path.delimiter)) {
    for (const file of serversIn(folder)) {
      const executable = describe(path.join(folder, file));
      if (executable !== undefined && !found.has(executable.name)) found.set(executable.name, executable);
    }
  }
  return [...found.values()];
}

/** Any Valkey server; undefined where there is none, which tests of Valkey say and skip. */
export function valkeyExecutable(): RedisExecutable | undefined {
  return redisExecutables().find(({ product }) => product === 'Valkey');
}

function serversIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((file) => /^(redis|valkey)-server(-[\w.]+)?$/.test(file));
  } catch {
    // A folder of the PATH need not exist.
    return [];
  }
}

/** `Redis server v=7.0.15 sha=…` and `Valkey server v=8.1.1 sha=…` are what they print. */
function describe(file: string): RedisExecutable | undefined {
  try {
    const printed = execFileSync(file, ['--version'], { encoding: 'utf8' });
    const [, product, version] = /^(Redis|Valkey) server v=([\d.]+)/.exec(printed) ?? [];
    if (product !== 'Redis' && product !== 'Valkey') return undefined;
    return { name: `${product} ${version}`, product, version: version!, executable: file };
  } catch {
    return undefined;
  }
}
