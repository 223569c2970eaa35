/** Runs one command: settings first, then its work, then a clean close of whatever was opened, whatever happened. */

import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import type { CallOptions } from '../core/options.js';
import type { SequenceGenerator } from '../sequence-generator.js';
import { type Environment, type Flags, loadSettings, type Settings } from './config.js';
import type { Output } from './output.js';
import { openGenerator } from './stores.js';

/** What a command works with. */
export interface Invocation {
  readonly settings: Settings;
  readonly output: Output;
  readonly input: Readable & { readonly fd?: number };
  /** Aborts at SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** Where relative paths are looked for. */
  readonly folder: string;
  /** The signal was what the command waited for: it has ended in order, and its exit status says so. */
  stoppedInOrder(): void;
}

/** The outside of a process, as far as commands use it. */
export interface Surroundings {
  readonly output: Output;
  readonly input: Readable & { readonly fd?: number };
  readonly signal: AbortSignal;
  readonly environment: Environment;
  readonly folder: string;
}

/** The exit status of a command; nothing means 0. */
export type ExitStatus = number | undefined;

/** Runs commands in the surroundings of one process. */
export class Runner {
  /** The exit status of the command that ran. */
  exitStatus = 0;
  /** The command ended in order after the signal that it waited for. */
  endedInOrder = false;
  readonly #surroundings: Surroundings;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  /** Work that opens what it needs itself. */
  async run(command: Command, work: (invocation: Invocation) => Promise<ExitStatus>): Promise<void> {
    const { output, input, signal, environment, folder } = this.#surroundings;
    const flags = command.optsWithGlobals<Flags>();
    output.json = flags.json === true;
    const settings = await loadSettings(flags, environment, folder);
    const stoppedInOrder = () => {
      this.endedInOrder = true;
    };
    this.exitStatus = (await work({ settings, output, input, signal, folder, stoppedInOrder })) ?? 0;
  }

  /** Work that makes a few calls of a generator. A signal gives the calls up. */
  async withGenerator(
    command: Command,
    work: (generator: SequenceGenerator, invocation: Invocation, call: CallOptions) => Promise<ExitStatus>,
  ): Promise<void> {
    await this.run(command, async (invocation) => {
      const generator = await openGenerator(invocation.settings);
      return closing(generator, () => work(generator, invocation, { signal: invocation.signal }));
    });
  }
}

/** Runs the work and closes; the first of two errors counts. */
export async function closing<T>(closable: { close(): Promise<void> }, work: () => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await closable.close().catch(() => undefined);
    throw error;
  }
  await closable.close();
  return result;
}
