/** Servers whose wall clock can be turned. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { repositoryRoot } from '../../support/compiled.js';
import type { Fault } from '../schedule.js';
import { NotPossible } from './system.js';

const source = path.join(repositoryRoot, 'test/chaos/systems/turned-clock.c');

export class TurnedClock {
  private constructor(
    private readonly library: string,
    private readonly file: string,
  ) {}

  /** Undefined where there is no C compiler. The folder gets a file that tells the servers by how much they are wrong. */
  static async make(folder: string): Promise<TurnedClock | undefined> {
    const library = compile();
    if (library === undefined) return undefined;
    const clock = new TurnedClock(library, path.join(folder, 'clock'));
    await clock.turn(0);
    return clock;
  }

  /** The environment of a server that goes by this clock. */
  get env(): Record<string, string> {
    return { LD_PRELOAD: this.library, TURNED_CLOCK_FILE: this.file };
  }

  /** From now on it is so many seconds ahead of the right time; below zero, behind. */
  async turn(seconds: number): Promise<void> {
    const offset = Buffer.alloc(8);
    offset.writeBigInt64LE(BigInt(seconds));
    // In place, because the servers have mapped the file.
    await writeFile(this.file, offset, { flag: existsSync(this.file) ? 'r+' : 'w' });
  }
}

/** The clock is wrong for a while, by one of these. */
export async function jump(
  clock: TurnedClock | undefined,
  jumpsSeconds: readonly number[],
  { durationMs, pick }: Fault,
): Promise<void> {
  if (clock === undefined) throw new NotPossible('there is no C compiler');
  await clock.turn(jumpsSeconds[Math.floor(pick * jumpsSeconds.length)]!);
  await sleep(durationMs);
  await clock.turn(0);
}

function compile(): string | undefined {
  const library = path.join(repositoryRoot, '.cache', 'turned-clock.so');
  if (existsSync(library)) return library;
  const part = `${library}.${process.pid}.part`;
  mkdirSync(path.dirname(library), { recursive: true });
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O1', '-o', part, source], { stdio: 'ignore' });
  } catch {
    return undefined;
  }
  renameSync(part, library);
  return library;
}
