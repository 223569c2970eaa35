/** The command with any arguments: an exit status of the documentation, one line about what is wrong, and no secret. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Readable, Writable } from 'node:stream';
import { CommanderError } from 'commander';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Output } from '../../src/cli/output.js';
import { buildProgram } from '../../src/cli/program.js';
import { Runner } from '../../src/cli/runner.js';
import { errorCodes } from '../../src/errors.js';
import { runCommand } from '../support/command.js';
import { seed } from '../support/runs.js';
import { temporaryFolder } from '../support/servers.js';
import { anyText, clear, expectNoPollution, fuzzed, secret, timeoutMs } from './hostile.js';

const commands = [
  ...['next', 'current', 'gaps', 'explain', 'stamp', 'take', 'settle', 'abandon', 'renew', 'complete-up-to'],
  ...['inspect', 'list', 'recover', 'drain', 'migrate', 'doctor', 'help'],
];
const flags = [
  ...['--data', '--redis', '--ledger', '--config', '--prefix', '--timeout', '--json', '--help', '--version'],
  ...['--count', '--message-id', '--from', '--to', '--limit', '--after', '--type', '--all', '--bad-lines'],
  ...['-h', '-V', '--', '-', '---', '--__proto__', '--constructor', '--no-json', '--json=1', '--count=3'],
];
/** Nobody listens there, so it is told at once. */
const nowhere = [`redis://u:${secret}@127.0.0.1:1`, `mysql://u:${secret}@127.0.0.1:1/d`];
const values = [
  ...[
    'group:g1',
    'private:a:b',
    'private:b',
    'channel:x',
    'group',
    'private',
    'reject',
    'copy',
    'stop',
    './d',
  ],
  ...['0', '1', '2', '7', '1000', '1001', '-1', '1e3', '0x10', ' 1', '999999999999', '1000000000000', 'NaN'],
  ...['d/../d', 'bad.json', 'file', '/dev/null', '/proc/none', '..', '', 'undefined', '__proto__'],
  ...[
    `redis://u:${secret}@h h`,
    `--redis=redis://:${secret}@h`,
    `mysql://${secret}:${secret}@h`,
    `x:${secret}@y://h`,
  ],
  ...nowhere,
];
/** Nothing that leads out of the temporary folder. */
const anyToken = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...values) },
  { weight: 3, arbitrary: fc.constantFrom(...flags) },
  { weight: 1, arbitrary: fc.constantFrom(...commands, 'demos', 'nextt') },
  { weight: 1, arbitrary: anyText.filter((text) => !/(^|=)[/~]|\.\.|\0/.test(text)) },
);
const sensible = fc.constantFrom(
  ['next', 'group:g1'],
  ['next', 'private:a:b', '--count', '3'],
  ['next', 'group:g1', '--message-id', 'm'],
  ['current', 'group:g1'],
  ['gaps', 'group:g1', '--from', '2', '--to', '9', '--limit', '1'],
  ['explain', 'group:g1', '1'],
  ['stamp', '--bad-lines', 'copy'],
  ['stamp', '--bad-lines', 'stop'],
  ['take', 'group:g1', '--count', '2'],
  ['settle', 'group:g1', '1', '2'],
  ['abandon', 'group:g1', '1'],
  ['renew', 'group:g1', '1'],
  ['complete-up-to', 'group:g1'],
  ['inspect', 'group:g1'],
  ['list', 'group', '--limit', '2', '--after', 'group:a'],
  ['recover', 'group:g1'],
  ['drain', '--all'],
  ['drain', 'group:g1'],
  ['migrate'],
  ['doctor'],
);
/** A call that makes sense, and then not quite. */
const argv = fc
  .tuple(
    fc.oneof({ weight: 6, arbitrary: sensible }, { weight: 1, arbitrary: fc.constant([]) }),
    fc.constantFrom<string[][]>(
      ['--data', './d'],
      ['--data', './d', '--json'],
      ['--json'],
      [],
      ['--redis', nowhere[0]!, '--ledger', nowhere[1]!, '--timeout', '20'],
      ['--redis', nowhere[0]!, '--ledger', nowhere[1]!, '--timeout', '20', '--json'],
    ),
    fc.array(fc.tuple(fc.nat(9), fc.constantFrom('insert', 'replace', 'remove', 'join'), anyToken), {
      maxLength: 3,
    }),
  )
  .map(([call, stores, changes]) => {
    const tokens = [...call, ...stores];
    for (const [at, kind, token] of changes) {
      const place = Math.min(at, tokens.length);
      if (kind === 'join' && place < tokens.length) {
        // A secret is given to a flag, or for a word of its own; as a part of a name, the name is what is told of.
        if (tokens[place]!.startsWith('-') || !token.includes(secret)) tokens[place] += `=${token}`;
      } else tokens.splice(place, kind === 'insert' ? 0 : 1, ...(kind === 'remove' ? [] : [token]));
    }
    return tokens.filter((token) => token !== 'demo' && !/=[/~]|=\.\./.test(token));
  });
const input = fc.oneof(
  fc.constantFrom('', '{"group":"g1"}\n', '{"group":"g1"}\nx\n{"group":"g1"', '\0\n\n'),
  anyText,
);

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let inner: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  inner = path.join(folder.path, 'a', 'b', 'c');
  await mkdir(inner, { recursive: true });
  await writeFile(path.join(inner, 'bad.json'), `{"redis":"${nowhere[0]}","x`);
  await writeFile(path.join(inner, 'file'), 'mine');
});
afterAll(() => folder.remove());

const statuses = new Set([0, 1, ...Object.values(errorCodes).map(({ exitStatus }) => exitStatus)]);
statuses.delete(70);

function judge(args: readonly string[], status: number | undefined, stdout: string, stderr: string): void {
  expect(statuses.has(status!), `status ${status}: ${stderr.slice(0, 300)}`).toBe(true);
  const said = stdout + stderr;
  expect(said).not.toContain(secret);
  expect(said).not.toMatch(/internal:|please report it|\n {4}at /);
  const lines = stderr.split('\n');
  expect(lines.pop()).toBe('');
  for (const line of lines) expect(line).not.toMatch(/[\p{Cc}\p{Bidi_Control}\u2028\u2029]/u);
  if (status !== 0 && status !== 1)
    expect(lines.filter((line) => /^tidemark: [a-z_]+: |^\{"error":/.test(line))).toHaveLength(1);
  // What is asked for as JSON comes as JSON. Behind another flag it may be the value of that.
  const isAsked = args.some((token, at) => token === '--json' && !args[at - 1]?.startsWith('-'));
  const isJson = isAsked && !args.some((token) => /^(--help|-h|--version|-V|help|stamp|--)$/.test(token));
  if (isJson && status === 0) for (const line of stdout.split('\n')) if (line !== '') JSON.parse(line);
}

describe(`the command line, hostile, seed ${seed}`, () => {
  it(
    'in this process',
    async () => {
      await fc.assert(
        fc.asyncProperty(argv, input, async (args, text) => {
          const [stdout, stderr] = [new Sink(), new Sink()];
          const status = await run(args, text, stdout, stderr);
          judge(args, status, stdout.text, stderr.text);
          expectNoPollution();
        }),
        fuzzed(0.3),
      );
    },
    timeoutMs(100, 0.3),
  );

  it(
    'as a process of its own',
    async () => {
      const many = fc.array(fc.tuple(argv, input), { minLength: 4, maxLength: 4 });
      await fc.assert(
        fc.asyncProperty(many, async (calls) => {
          await Promise.all(
            calls.map(async ([args, text]) => {
              const { status, stdout, stderr } = await runCommand(args, { folder: inner, input: text });
              judge(args, status, stdout, stderr);
            }),
          );
        }),
        { ...fuzzed(0.006), endOnFailure: true },
      );
    },
    timeoutMs(3_000, 0.006),
  );

  it('a hundred thousand characters of any kind are refused within seconds', async () => {
    for (const part of ['a', ' ', 'a://', 'redis://u:', '@', '\n', '%', '{"a":', '--x=', ':']) {
      const token = part.repeat(100_000 / part.length);
      const startedAtMs = performance.now();
      for (const args of [
        [token],
        ['next', token, '--data', 'd'],
        ['current', '--config', token, 'group:a'],
        ['list', 'group', '--redis', token],
      ]) {
        const stderr = new Sink();
        expect(await run(args, '', new Sink(), stderr)).toBe(2);
      }
      expect(performance.now() - startedAtMs, JSON.stringify(part)).toBeLessThan(3_000);
    }
  });
});

/** As main.ts does, which ends the process. */
async function run(args: readonly string[], text: string, stdout: Sink, stderr: Sink): Promise<number> {
  const output = new Output(stdout, stderr);
  const runner = new Runner({
    output,
    input: Readable.from([Buffer.from(text)]),
    signal: new AbortController().signal,
    environment: {},
    folder: inner,
  });
  const program = await buildProgram(runner);
  for (const command of [program, ...program.commands])
    command.configureOutput({ writeOut: (help) => void stdout.write(help), writeErr: () => undefined });
  output.json = args.includes('--json');
  const before = process.cwd();
  try {
    process.chdir(inner);
    await program.parseAsync(['node', 'tidemark', ...args]);
    return runner.exitStatus;
  } catch (error) {
    if (!(error instanceof CommanderError)) return output.error(clear(error));
    if (error.exitCode === 0) return 0;
    stderr.write('tidemark: invalid_argument: \n');
    return errorCodes.invalid_argument.exitStatus;
  } finally {
    process.chdir(before);
  }
}

class Sink extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}
