/** Runs the command as it is shipped, in a process of its own. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { commandFile, repositoryRoot } from './compiled.js';

/** Longest that one command may run, in milliseconds. */
const commandTimeoutMs = 60_000;

export interface CommandResult {
  /** Undefined when a signal ended it. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  readonly result: Promise<CommandResult>;
  /** What it has printed so far. */
  stdoutSoFar(): string;
}

export interface CommandOptions {
  /** Written to stdin; without it stdin stays open only with `keepInputOpen`. */
  readonly input?: string | Buffer;
  readonly keepInputOpen?: boolean;
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** After which it is killed, in milliseconds. */
  readonly timeoutMs?: number;
}

/** Starts `tidemark` with arguments. */
export function startCommand(args: readonly string[], options: CommandOptions = {}): RunningCommand {
  const child = spawn(process.execPath, [commandFile, ...args], {
    cwd: options.folder ?? repositoryRoot,
    // Nothing that this machine has set may decide how a test ends.
    env: { PATH: process.env['PATH'] ?? '', ...options.environment },
    stdio: 'pipe',
  });
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on('data', (piece: Buffer) => output.push(piece));
  child.stderr.on('data', (piece: Buffer) => errors.push(piece));
  // A command that ends before it has read everything is what some tests are about.
  child.stdin.on('error', () => undefined);
  if (options.input !== undefined) child.stdin.write(options.input);
  if (options.keepInputOpen !== true) child.stdin.end();
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? commandTimeoutMs);
  const result = new Promise<CommandResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      const [stdout, stderr] = [output, errors].map((pieces) => Buffer.concat(pieces).toString());
      resolve({ status: code ?? undefined, stdout: stdout!, stderr: stderr! });
    });
  });
  return { child, result, stdoutSoFar: () => Buffer.concat(output).toString() };
}

/** Runs `tidemark` with arguments to its end. */
export function runCommand(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return startCommand(args, options).result;
}

/** The chat that is in the package. */
export const bundledChat = path.join(repositoryRoot, 'src/cli/demo/chat.ndjson');
/** A chat of real people that is not part of the repository; tests with it skip where it is absent. */
export const realChat = path.join(repositoryRoot, '../shared/data/ubuntu-irc.ndjson');

interface StampedLine {
  readonly group?: string;
  readonly sender: string;
  readonly recipient?: string;
  readonly sequence: number;
}

/** What is in the output of `stamp`, counted without any code of the command. */
export interface StampedOutput {
  readonly lines: number;
  /** Numbers of each conversation, in the order of the lines. */
  readonly numbers: ReadonlyMap<string, readonly number[]>;
}

/** Reads stamped lines; a last line that was cut by a kill is left out. */
export function readStamped(...outputs: readonly string[]): StampedOutput {
  const numbers = new Map<string, number[]>();
  let lines = 0;
  for (const output of outputs) {
    const complete = output.slice(0, output.lastIndexOf('\n') + 1);
    for (const line of complete.split('\n')) {
      if (line === '') continue;
      const { group, sender, recipient, sequence } = JSON.parse(line) as StampedLine;
      const key =
        group === undefined ? `private ${JSON.stringify([sender, recipient].sort())}` : `group ${group}`;
      const issued = numbers.get(key);
      if (issued === undefined) numbers.set(key, [sequence]);
      else issued.push(sequence);
      lines += 1;
    }
  }
  return { lines, numbers };
}

/** Conversations that are not numbered 1, 2, 3 … in the order of their lines. */
export function notDense({ numbers }: StampedOutput): string[] {
  return [...numbers]
    .filter(([, issued]) => issued.some((number, index) => number !== index + 1))
    .map(([key]) => key);
}

/** Conversations whose numbers do not rise from line to line, which duplicates do not either. */
export function notRising({ numbers }: StampedOutput): string[] {
  return [...numbers]
    .filter(([, issued]) => issued.some((number, index) => index > 0 && number <= issued[index - 1]!))
    .map(([key]) => key);
}

/** The output without its numbers: what the input must have been. */
export function withoutNumbers(output: string): string {
  return output.replace(/,"sequence":\d+(?=}\r?\n)/g, '');
}

/** The lines of a file. */
export function linesOfFile(file: string): string[] {
  return readFileSync(file, 'utf8').trimEnd().split('\n');
}
