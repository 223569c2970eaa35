/** Terminals shown in the documentation: commands, and what they print. */

import { type Environment, type ExampleRunner, usesServers } from './examples.js';
import type { Block } from './pages.js';

interface Command {
  readonly text: string;
  /** What it must print; undefined when only its success counts. */
  readonly expected: string[] | undefined;
}

/** The commands of a `console` or `sh` block. */
export function commandsOf(block: Block): Command[] {
  const lines = block.code.trimEnd().split('\n');
  if (block.language === 'sh') {
    return lines
      .filter((line) => /^(tidemark|npm run -s tidemark --) /.test(line))
      .map((text) => ({ text, expected: undefined }));
  }
  const commands: { text: string; expected: string[] }[] = [];
  for (const line of lines) {
    const last = commands.at(-1);
    if (line.startsWith('$ ')) commands.push({ text: line.slice(2), expected: [] });
    else if (last?.text.endsWith('\\') && last.expected.length === 0) last.text += `\n${line}`;
    else if (last === undefined)
      throw new Error(`${block.file}:${block.line}: the first line of a terminal begins with "$ "`);
    else last.expected.push(line);
  }
  return commands.map(({ text, expected }) => ({
    text,
    expected: expected.length > 0 ? expected : undefined,
  }));
}

/** Runs the blocks of one page in one folder. Returns what is wrong, undefined when nothing is. */
export async function runTerminal(
  runner: ExampleRunner,
  blocks: readonly Block[],
): Promise<string | undefined> {
  const folder = await runner.workFolder();
  const needed = blocks.some((block) => usesServers(block.code));
  const environment: Partial<Environment> = needed ? await runner.databases() : {};
  let lastStatus = 0;
  for (const block of blocks) {
    for (const { text, expected } of commandsOf(block)) {
      const { status, output } = await runner.runCommand(text, lastStatus, folder, environment);
      const where = `${block.file}:${block.line}: ${text}`;
      if (typeof status === 'string') return `${where} ${status}\n${output}`;
      if (expected === undefined && status !== 0) return `${where} ended with ${status}\n${output}`;
      if (!linesMatch(output, expected ?? [])) {
        return `${where}\nexpected:\n${expected?.join('\n') ?? 'nothing, as no lines follow the command'}\nprinted:\n${output}`;
      }
      lastStatus = status;
    }
  }
  return undefined;
}

/** Lines must be equal; `…` alone stands for any lines, and inside a line for any text. */
function linesMatch(output: string, expected: readonly string[]): boolean {
  const pattern = expected
    .map((line) => (line.trim() === '…' ? '(?:.*\n)*' : `${patternOf(line)}\n`))
    .join('');
  const text = output.trimEnd();
  return new RegExp(`^${pattern}$`, 'u').test(text === '' ? '' : `${text}\n`);
}

function patternOf(line: string): string {
  return line
    .trimEnd()
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&'))
    .join('.*');
}
