/** Runs the code of the documentation; test/docs/README.md says by what rules. */

import { spawn } from 'node:child_process';
import { chmod, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import ts from 'typescript';
import { commandFile, repositoryRoot } from '../support/compiled.js';
import {
  type MariaDbServer,
  type RedisServer,
  startMariaDb,
  startRedis,
  temporaryFolder,
} from '../support/servers.js';
import { startServer } from '../support/started-server.js';
import type { Block } from './pages.js';

/** Longest that one example or command may take. */
const timeoutMs = 30_000;
/** How many examples, at most, can have a Redis database of their own. */
const redisDatabases = 1_024;

export interface Environment {
  readonly REDIS_URL: string;
  readonly MYSQL_URL: string;
}

/** Of a Tidemark server that nothing else uses. */
interface ServerEnvironment {
  readonly TIDEMARK_URL: string;
}

/** A folder in which `tidemark` and its dependencies can be imported, and servers for the examples that need them. */
export class ExampleRunner {
  private servers: Promise<[RedisServer, MariaDbServer]> | undefined;
  private folders = 0;
  private databaseNumber = 0;

  private constructor(
    readonly folder: string,
    private readonly removeFolder: () => Promise<void>,
  ) {}

  static async create(): Promise<ExampleRunner> {
    const folder = await temporaryFolder();
    const modules = path.join(folder.path, 'node_modules');
    await mkdir(modules);
    const packageFile = await readFile(path.join(repositoryRoot, 'package.json'), 'utf8');
    const { dependencies } = JSON.parse(packageFile) as { dependencies: Record<string, string> };
    // Only what a user of the package gets: an example cannot lean on a development dependency.
    await symlink(repositoryRoot, path.join(modules, 'tidemark'));
    for (const name of Object.keys(dependencies)) {
      await mkdir(path.dirname(path.join(modules, name)), { recursive: true });
      await symlink(path.join(repositoryRoot, 'node_modules', name), path.join(modules, name));
    }
    const bin = path.join(folder.path, 'bin');
    await mkdir(bin);
    const command = path.join(bin, 'tidemark');
    await writeFile(command, `#!/bin/sh\nexec '${process.execPath}' '${commandFile}' "$@"\n`);
    await chmod(command, 0o755);
    return new ExampleRunner(folder.path, () => folder.remove());
  }

  async stop(): Promise<void> {
    for (const server of (await this.servers) ?? []) await server.stop();
    await this.removeFolder();
  }

  /** An empty folder to run in. */
  async workFolder(): Promise<string> {
    this.folders += 1;
    const folder = path.join(this.folder, `example-${this.folders}`);
    await mkdir(folder);
    const scripts = { tidemark: `node '${commandFile}'` };
    await writeFile(
      path.join(folder, 'package.json'),
      JSON.stringify({ private: true, type: 'module', scripts }),
    );
    return folder;
  }

  /** Databases that nothing else uses. */
  async databases(): Promise<Environment> {
    this.servers ??= Promise.all([
      startRedis({ args: ['--databases', String(redisDatabases)] }),
      startMariaDb(),
    ]);
    // Counted before anything is awaited, because examples run side by side.
    this.databaseNumber += 1;
    const number = this.databaseNumber;
    const [redis, mariaDb] = await this.servers;
    return { REDIS_URL: `${redis.url}/${number}`, MYSQL_URL: await mariaDb.createDatabase() };
  }

  /** Runs a `ts` block. Returns what is wrong with it, undefined when nothing is. */
  async runModule(block: Block): Promise<string | undefined> {
    const folder = await this.workFolder();
    const { code, expected } = instrument(block.code);
    await writeFile(path.join(folder, 'example.js'), code);
    const databases = usesServers(block.code) ? await this.databases() : {};
    const server = block.code.includes('TIDEMARK_URL') ? await startServer({ doors: ['http'] }) : undefined;
    const url: Partial<ServerEnvironment> =
      server === undefined ? {} : { TIDEMARK_URL: `http://127.0.0.1:${server.port('http')}` };
    const preamble = path.join(repositoryRoot, 'test/docs/example-preamble.mjs');
    const { status, output } = await run(process.execPath, ['--import', preamble, 'example.js'], folder, {
      ...databases,
      ...url,
      TIDEMARK_EXPECTED: JSON.stringify(expected),
    });
    await server?.stop();
    return status === 0 ? undefined : `${status}\n${output}`;
  }

  /** Runs one command of a terminal. */
  runCommand(command: string, lastStatus: number, folder: string, environment: Partial<Environment>) {
    const search = `${path.join(this.folder, 'bin')}${path.delimiter}${process.env['PATH']}`;
    // Standard error goes where standard output goes, so that their lines keep their order.
    const script = `exec 2>&1\n(exit ${lastStatus})\n${command}\n`;
    return run('bash', ['-c', script], folder, { ...environment, PATH: search, NO_COLOR: '1' });
  }
}

export function usesServers(code: string): boolean {
  return /REDIS_URL|MYSQL_URL/.test(code);
}

/** Lets every console.log statement that has a comment behind it say which one it is, and removes the types. */
function instrument(code: string): { code: string; expected: string[] } {
  const source = ts.createSourceFile('example.ts', code, ts.ScriptTarget.Latest, true);
  const expected: string[] = [];
  let instrumented = '';
  let copied = 0;
  const visit = (node: ts.Node): void => {
    const callee = ts.isExpressionStatement(node) ? consoleLog(node.expression) : undefined;
    const comment = ts.getTrailingCommentRanges(code, node.end)?.[0];
    if (callee !== undefined && comment?.kind === ts.SyntaxKind.SingleLineCommentTrivia) {
      instrumented += `${code.slice(copied, callee.getStart())}globalThis.tidemarkPrint(${expected.length})`;
      copied = callee.end;
      expected.push(code.slice(comment.pos + 2, comment.end).trim());
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  instrumented += code.slice(copied);
  const { outputText } = ts.transpileModule(instrumented, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  });
  return { code: outputText, expected };
}

function consoleLog(expression: ts.Expression): ts.Expression | undefined {
  if (!ts.isCallExpression(expression) || !ts.isPropertyAccessExpression(expression.expression))
    return undefined;
  return expression.expression.getText() === 'console.log' ? expression.expression : undefined;
}

function run(command: string, args: string[], cwd: string, environment: Record<string, string>) {
  return new Promise<{ status: number | string; output: string }>((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    });
    let output = '';
    const collect = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (error) => resolve({ status: error.message, output }));
    child.on('close', (status, signal) => {
      const how = signal === 'SIGKILL' ? `was still running after ${timeoutMs} ms` : `ended by ${signal}`;
      resolve({
        status: status ?? how,
        output: status === 13 ? `a top-level await never settled\n${output}` : output,
      });
    });
  });
}
