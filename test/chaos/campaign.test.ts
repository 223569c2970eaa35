/**
 * A short campaign on every topology, and what shows that it can fail. `TIDEMARK_SEED` replays it; longer ones are
 * `npm run chaos`, see docs/fault-campaign.md.
 */

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compiledFile, repositoryRoot } from '../support/compiled.js';
import { temporaryFolder } from '../support/servers.js';
import { protections } from './protections.js';
import { topologies } from './schedule.js';

const runsOfEach = 3;
/** The same schedules each time; longer campaigns draw others. */
const seed = Number(process.env['TIDEMARK_SEED'] ?? 1);
const timeoutMs = 240_000;
/** What only the scripts in a real Redis do: the simulation cannot find out. Without them few runs are enough. */
const ofTheScripts = protections.filter(({ file }) => file.endsWith('.lua'));

let kept: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  kept = await temporaryFolder();
});
afterAll(() => kept.remove());

interface Printed {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: 'main.ts' | 'judge-main.ts', ...args: string[]): Promise<Printed> {
  const child = spawn(process.execPath, [compiledFile(`test/chaos/${program}`), ...args]);
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (piece) => {
    stdout += String(piece);
  });
  child.stderr.on('data', (piece) => {
    stderr += String(piece);
  });
  return new Promise((resolve) => {
    child.once('close', (status) => resolve({ status, stdout, stderr }));
  });
}

describe(`the campaign, seed ${seed}`, () => {
  it.each(topologies)('%s: what it breaks breaks no promise', { timeout: timeoutMs }, async (topology) => {
    const of = ['--topology', topology, '--seed', String(seed), '--runs', String(runsOfEach)];
    const { status, stdout, stderr } = await run('main.ts', ...of, '--json', '--keep', kept.path);
    const lines = stdout.trim().split('\n').map(parsed);
    expect({ status, stderr, runs: lines.length - 1 }).toEqual({ status: 0, stderr: '', runs: runsOfEach });
    const { summary } = lines.at(-1) as { summary: Record<string, unknown> };
    expect(summary).toMatchObject({ seed, runs: runsOfEach, guilty: 0, brokenOff: 0 });
    expect(summary['numbers']).toBeGreaterThan(100);
    console.log(`campaign: ${topology}, ${JSON.stringify(summary)}`);
  });

  it.each(ofTheScripts)(
    'without $name ($invariant) it finds somebody guilty',
    { timeout: timeoutMs },
    async ({ name }) => {
      const { status, stdout } = await run('main.ts', '--without', name, '--seed', '1', '--keep', kept.path);
      expect(status, stdout).toBe(0);
      expect(stdout).toMatch(/^GUILTY: npm run chaos -- .*--without /m);
      expect(stdout).toMatch(/^ {4}client-\d+\.log [SE] /m);
      const [guilty] = readdirSync(kept.path);
      const judged = await run('judge-main.ts', path.join(kept.path, guilty!));
      expect(judged.status, judged.stdout).toBe(1);
    },
  );

  it('says what is wrong with its arguments', async () => {
    const { status, stderr } = await run('main.ts', '--runs', '0');
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining("'0' is invalid. It must be an integer from 1 to 1000000."),
    });
    expect((await run('main.ts', '--fault', 'earthquake')).stderr).toContain('kill-client');
  });

  it('leaves nothing behind in the folder of the repository', () => {
    expect(
      readdirSync(path.join(repositoryRoot, '.cache')).filter((name) => name.startsWith('without-')),
    ).toEqual([]);
  });
});

function parsed(line: string): unknown {
  return JSON.parse(line);
}
