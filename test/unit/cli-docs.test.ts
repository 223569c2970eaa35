/** docs/cli.md against the command itself: neither may have a command, flag or setting that the other lacks. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import type { Command } from 'commander';
import { beforeAll, expect, test } from 'vitest';
import { checkConfigFile } from '../../src/cli/config-file.js';
import { Output } from '../../src/cli/output.js';
import { buildProgram } from '../../src/cli/program.js';
import { Runner } from '../../src/cli/runner.js';
import { errorCodes } from '../../src/errors.js';
import { repositoryRoot } from '../support/compiled.js';

const page = readFileSync(path.join(repositoryRoot, 'docs/cli.md'), 'utf8');
let program: Command;

beforeAll(async () => {
  program = await buildProgram(
    new Runner({
      output: new Output(new PassThrough(), new PassThrough()),
      input: new PassThrough(),
      signal: new AbortController().signal,
      environment: {},
      folder: '.',
    }),
  );
});

/** The part of the page under a heading, up to the next one of the same level. */
function section(heading: string): string {
  const start = page.indexOf(`${heading}\n`);
  expect(start, heading).toBeGreaterThan(0);
  const level = heading.slice(0, heading.indexOf(' ') + 1);
  const end = page.indexOf(`\n${level}`, start + heading.length);
  return page.slice(start, end < 0 ? undefined : end);
}

/** Flags that the text explains: at the beginning of a list item, or in a table. */
function explainedFlags(text: string): string[] {
  return [...text.matchAll(/^(?:- |\|[^|]*\| )`(--[a-z-]+(?: <[a-z]+>)?)`/gm)]
    .map(([, flag]) => flag!)
    .sort();
}

function flagsOf(command: Command): string[] {
  return command.options.map(({ flags }) => flags).sort();
}

/** A command with its arguments, as in the headings. */
function usageOf(command: Command): string {
  const args = command.registeredArguments.map((argument) => {
    return argument.required ? ` <${argument.name()}>` : ` [${argument.name()}]`;
  });
  return `${command.name()}${args.join('')}`;
}

test('each command has a section, and each section a command', () => {
  const documented = [...page.matchAll(/^### `tidemark ([^`]+)`$/gm)].map(([, usage]) => usage!);
  const commands = program.commands.map(usageOf);
  expect(documented.sort()).toEqual([...commands, 'help [command]'].sort());
});

test('each section explains the flags of its command, no other, and shows it at work', () => {
  for (const command of program.commands) {
    const text = section(`### \`tidemark ${usageOf(command)}\``);
    expect(explainedFlags(text), command.name()).toEqual(flagsOf(command));
    expect(text).toMatch(new RegExp(`\`\`\`console\\n(?:[^\`]*\\n)?\\$ tidemark ${command.name()}\\b`));
  }
});

test('the table of settings has each global flag, and no other', () => {
  const flags = flagsOf(program).filter((flag) => flag !== '--version');
  expect(explainedFlags(section('## Which stores'))).toEqual(flags);
  expect(page).toContain('`tidemark --version`');
});

test('no flag is named anywhere that does not exist', () => {
  const known = new Set([
    '--help',
    ...[program, ...program.commands].flatMap((each) => each.options.map(({ long }) => long!)),
  ]);
  const named = new Set([...page.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([flag]) => flag));
  expect([...named].filter((flag) => !known.has(flag))).toEqual([]);
});

test('the table of settings has each key of the config file, and no other', () => {
  let message = '';
  try {
    checkConfigFile('{"?":1}', 'f');
  } catch (error) {
    message = (error as Error).message;
  }
  const known = /known are (.*)$/.exec(message)![1]!.split(', ').sort();
  const rows = section('## Which stores')
    .split('\n')
    .filter((line) => line.startsWith('| '));
  const keys = rows.flatMap((row) =>
    [...row.split('|')[4]!.matchAll(/`([a-zA-Z]+)`/g)].map(([, key]) => key!),
  );
  expect(keys.sort()).toEqual(known);
});

test('each exit status that an error can have is explained, here and in the help', () => {
  const statuses = new Set(Object.values(errorCodes).map(({ exitStatus }) => exitStatus));
  const text = section('## Output, errors and exit status');
  const explained = [...text.matchAll(/^\| (\d+(?:, \d+)*) \|/gm)].flatMap(([, cell]) =>
    cell!.split(', ').map(Number),
  );
  for (const status of statuses) expect(explained).toContain(status);
  let help = '';
  program.configureOutput({ writeOut: (piece) => (help += piece) }).outputHelp();
  for (const status of explained) expect(help).toMatch(new RegExp(`\\b${status}\\b`));
});

test('each command has help with an example', () => {
  for (const command of program.commands) {
    let help = '';
    command.configureOutput({ writeOut: (piece) => (help += piece) }).outputHelp();
    expect(help).toMatch(new RegExp(`Examples?:\\n  tidemark ${command.name()}\\b`));
    expect(help).toContain('Global Options:');
  }
});
