/** The simulation of the core in CI, and proofs that it is deterministic and that it can fail. */

import { execFile } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { compiledFile } from '../support/compiled.js';
import { protections } from './protections.js';
import { drawPlan } from './simulation/plan.js';
import { shrink } from './simulation/shrink.js';
import { simulate } from './simulation/simulate.js';

/** The same each time, so that what it says of a tree never changes; longer ones draw others. */
const seed = Number(process.env['TIDEMARK_SEED'] ?? 1);
const seconds = Number(process.env['TIDEMARK_SIMULATION_SECONDS'] ?? 60);
const longMs = 120_000;

/** Runs the program as people do, in one process beside this one. */
function program(...options: string[]): Promise<{ readonly status: number; readonly printed: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [compiledFile('test/chaos/simulate-main.ts'), '--jobs', '1', ...options],
      (_error, stdout, stderr) => resolve({ status: child.exitCode ?? -1, printed: stdout + stderr }),
    );
  });
}

/** The options of the command that an accusation names. */
function replayOf(printed: string): string[] {
  const [, command = ''] = /GUILTY: npm run simulate -- (.*)/.exec(printed) ?? [];
  return [...command.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

/** What an accusation says is wrong, and the history that shows it. */
function accusationIn(printed: string): string {
  return printed.slice(printed.indexOf('GUILTY'), printed.indexOf('1 guilty'));
}

describe(`simulation, seed ${seed}`, () => {
  it(
    `${seconds} s of schedules, none of them guilty`,
    async () => {
      const { status, printed } = await program('--seed', String(seed), '--seconds', String(seconds));
      expect(printed).toContain('0 guilty');
      expect(status).toBe(0);
      process.stdout.write(printed);
    },
    seconds * 1_000 + longMs,
  );

  it('the same seed, the same history', async () => {
    for (let index = 0; index < 40; index += 1) {
      const plan = drawPlan(seed + index);
      const first = await simulate(seed + index, plan, true);
      const second = await simulate(seed + index, plan, true);
      expect(first.history.lines.length).toBeGreaterThan(10);
      expect(second.history.lines).toEqual(first.history.lines);
      expect(second.history.gapLines).toEqual(first.history.gapLines);
    }
  });
});

describe('the simulation can fail', () => {
  it('a smaller plan shows the same', async () => {
    // What an isolated primary does to the order is excused otherwise.
    const nothing = { order: false, silentReceipts: false, reading: false };
    for (let next = 1; ; next += 1) {
      const plan = { ...drawPlan(next, 'split brains'), excuses: nothing };
      const { verdict } = await simulate(next, plan);
      if (!verdict.violations.some(({ kind }) => kind === 'P2')) continue;
      const smallest = await shrink(next, plan, 'P2');
      const again = await simulate(next, smallest);
      expect(again.verdict.violations.map(({ kind }) => kind)).toContain('P2');
      expect(again.verdict.counts.calls).toBeLessThan(verdict.counts.calls);
      expect(smallest.schedule.length).toBeLessThanOrEqual(plan.schedule.length);
      return;
    }
  });

  it(
    'the command that an accusation names shows the same again',
    async () => {
      const { printed } = await program('--seed', '1', '--without', 'gap-of-takeovers');
      const options = replayOf(printed);
      expect(options).toEqual(expect.arrayContaining(['--seed', '--runs', '--without']));
      const replayed = await program(...options);
      expect(replayed.status).toBe(0);
      expect(accusationIn(replayed.printed).split('\n').slice(0, -1)).toEqual(
        accusationIn(printed).split('\n').slice(0, -1),
      );
    },
    longMs,
  );

  for (const { name, what, simulatedRuns } of protections) {
    if (simulatedRuns === undefined) continue;
    it(
      `${name} switched off (${what}) is found within ${simulatedRuns} schedules`,
      async () => {
        const { status, printed } = await program('--seed', '1', '--without', name);
        expect(printed).toMatch(/^(P\d|passed|hasty|unexplained) /m);
        expect(status).toBe(0);
      },
      longMs,
    );
  }
});
