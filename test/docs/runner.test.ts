/** The runner must notice a wrong example; otherwise the pages could say anything. */

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ExampleRunner } from './examples.js';
import { anchors, type Block, docstringBlocks, fencedBlocks, tableRows } from './pages.js';
import { runTerminal } from './terminal.js';

let runner: ExampleRunner;
beforeAll(async () => {
  runner = await ExampleRunner.create();
});
afterAll(() => runner.stop());

const block = (language: string, code: string): Block => ({
  file: 'page.md',
  line: 1,
  language,
  runs: true,
  code,
});

describe('ts blocks', () => {
  const check = (code: string) => runner.runModule(block('ts', code));

  test('a right one passes', async () => {
    const right = [
      "import { errorCodes } from 'tidemark';",
      'const count: number = 1;',
      'for (const n of [1, 1]) console.log(n as number); // 1',
      'console.log(errorCodes.fenced); // { retryable: true, exitStatus: … }',
      'console.log(count); // 1',
      '// a comment of its own line',
      'console.log("nothing is said about this");',
      'console.log({ a: "x".repeat(60), b: "y".repeat(60) }); // { a: …, b: … }',
    ].join('\n');
    expect(await check(right)).toBeUndefined();
  });

  test.for([
    ['console.log(1 + 1); // 3', /expected: 3\nprinted: {2}2/],
    ['for (const n of [1, 2]) console.log(n); // 1', /printed: {2}2/],
    ['if (Date.now() === 0) console.log(1); // 1', /printed: {2}nothing/],
    ["throw new Error('no');", /no/],
    ["import { nothing } from 'tidemark'; nothing();", /nothing/],
    ["import ts from 'typescript'; ts.version;", /Cannot find package/],
    ['await new Promise(() => {});', /never settled/],
    ['process.exitCode = 3;', /^3/],
  ] as const)('%s', async ([code, problem]) => {
    expect(await check(code)).toMatch(problem);
  });

  test('each has empty databases of its own', async () => {
    const code =
      'console.log(new URL(process.env.REDIS_URL).port !== "" && process.env.MYSQL_URL); // mysql://root@…/tidemark_…';
    expect(await check(code)).toBeUndefined();
    const [first, second] = await Promise.all([runner.databases(), runner.databases()]);
    expect(first.REDIS_URL).not.toBe(second.REDIS_URL);
    expect(first.MYSQL_URL).not.toBe(second.MYSQL_URL);
  });
});

describe('terminals', () => {
  const check = (...blocks: Block[]) => runTerminal(runner, blocks);

  test('a right one passes', async () => {
    const first =
      '$ echo one > file\n$ cat file\none\n$ echo a \\\n  b\na b\n$ (echo out; echo err >&2)\nout\nerr\n';
    const second = '$ cat file; false\none\n$ echo $?\n1\n$ seq 9\n1\n…\n9\n$ echo "took 3 ms"\ntook … ms\n';
    expect(await check(block('console', first), block('console', second))).toBeUndefined();
    expect(await check(block('sh', 'exit 1\nnpm test\n'))).toBeUndefined();
  });

  test.for([
    ['$ echo one\ntwo', /expected:\ntwo\nprinted:\none/],
    ['$ echo one', /nothing, as no lines follow/],
    ['$ printf "1\\n2\\n"\n1', /printed:\n1\n2/],
    ['$ false', /ended with 1/],
    ['$ echo 1.5\n1x5', /printed/],
    ['$ tidemark no-such-command', /ended with|printed/],
  ] as const)('%s', async ([code, problem]) => {
    expect(await check(block('console', code))).toMatch(problem);
  });

  test('a command of an sh block must succeed', async () => {
    expect(await check(block('sh', '# a comment\ntidemark no-such-command\n'))).toMatch(/ended with/);
  });
});

describe('pages', () => {
  const fence = '```';

  test('fenced blocks, also nested and indented', () => {
    const text = `a\n${fence}ts no-run\nx\n${fence}\n\`\`\`\`md\n${fence}sh\ny\n${fence}\n\`\`\`\`\n- b\n  ${fence}sh\n  z\n    w\n  ${fence}\n`;
    expect(fencedBlocks({ file: 'a.md', text })).toEqual([
      { file: 'a.md', line: 2, language: 'ts', runs: false, code: 'x\n' },
      { file: 'a.md', line: 5, language: 'md', runs: true, code: `${fence}sh\ny\n${fence}\n` },
      { file: 'a.md', line: 11, language: 'sh', runs: true, code: 'z\n  w\n' },
    ]);
    expect(() => fencedBlocks({ file: 'a.md', text: `${fence}ts\nx` })).toThrow(
      'a.md:1: the block is not closed',
    );
  });

  test('blocks of docstrings', () => {
    const text = `x;\n  /**\n   * Text.\n   * @example\n   * ${fence}ts\n   * if (a) {\n   *   b();\n   * }\n   * ${fence}\n   */\n`;
    expect(docstringBlocks({ file: 'a.ts', text })).toEqual([
      { file: 'a.ts', line: 5, language: 'ts', runs: true, code: 'if (a) {\n  b();\n}\n' },
    ]);
  });

  test('tables and anchors', () => {
    const text = '# A `b` & c\n\n| Code | Exit status |\n|---|---|\n| `a` | 2 |\n\n# A b & c\n';
    expect(tableRows({ file: 'a.md', text }, ['code'])).toEqual([
      new Map([
        ['code', '`a`'],
        ['exit status', '2'],
      ]),
    ]);
    expect([...anchors({ file: 'a.md', text })]).toEqual(['a-b--c', 'a-b--c-1']);
  });
});
