/** What is said of a run in which something went wrong. */

import { witness } from './judge/witness.js';
import type { RunResult } from './run.js';
import { describeSchedule } from './schedule.js';

const shownViolations = 3;
const shownLines = 40;

/**
 * How to see it again, the schedule, and the shortest history that shows what is wrong.
 *
 * @param command - runs the same schedule again
 * @param folder - the whole history
 */
export function accuse({ schedule, verdict, problems }: RunResult, command: string, folder: string): string {
  const lines = [`GUILTY: ${command}`, ...describeSchedule(schedule), ...problems];
  for (const violation of verdict.violations.slice(0, shownViolations)) {
    lines.push(`${violation.kind} ${violation.conversation}: ${violation.text}`);
    lines.push(
      ...witness(folder, violation)
        .slice(0, shownLines)
        .map((line) => `    ${line}`),
    );
  }
  const more = verdict.violations.length - shownViolations;
  if (more > 0) lines.push(`and ${more} more`);
  lines.push(`The whole history: npm run judge -- ${folder}`);
  return `${lines.join('\n')}\n`;
}
