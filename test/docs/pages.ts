/** Reads what the documentation tests look at: pages, their fenced blocks, headings and tables, and docstrings. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from '../support/compiled.js';

export interface Page {
  /** Path from the root of the repository. */
  readonly file: string;
  readonly text: string;
}

/** A fenced block of code. */
export interface Block {
  readonly file: string;
  /** Line of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  /** True unless the fence says no-run. */
  readonly runs: boolean;
  readonly code: string;
}

/** The page; a missing one is a clear error in the test that needs it. */
export function readPage(file: string): Page {
  const target = path.join(repositoryRoot, file);
  if (!existsSync(target)) throw new Error(`${file} does not exist yet`);
  return { file, text: readFileSync(target, 'utf8') };
}

/** Every page that is checked. */
export function allPages(): Page[] {
  const top = ['README.md', 'ARCHITECTURE.md', 'CHANGELOG.md'].filter((file) =>
    existsSync(path.join(repositoryRoot, file)),
  );
  return [...top, ...filesUnder('docs', '.md')].map(readPage);
}

/** Every source file that may have docstrings. */
export function allSources(): Page[] {
  return filesUnder('src', '.ts').map(readPage);
}

function filesUnder(folder: string, ending: string): string[] {
  const target = path.join(repositoryRoot, folder);
  if (!existsSync(target)) return [];
  return readdirSync(target, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(ending))
    .map((file) => `${folder}/${file.split(path.sep).join('/')}`)
    .sort();
}

/** The fenced blocks of a page, in order. */
export function fencedBlocks(page: Page): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; fence: string; indent: string; info: string; code: string[] } | undefined;
  page.text.split('\n').forEach((text, index) => {
    const fence = /^(\s*)(`{3,})\s*([^`]*)$/.exec(text);
    if (open === undefined) {
      if (fence)
        open = { line: index + 1, fence: fence[2]!, indent: fence[1]!, info: fence[3]!.trim(), code: [] };
    } else if (fence && fence[3] === '' && fence[2]!.length >= open.fence.length) {
      const [language = '', ...flags] = open.info.split(/\s+/);
      const code = `${open.code.join('\n')}\n`;
      blocks.push({ file: page.file, line: open.line, language, runs: !flags.includes('no-run'), code });
      open = undefined;
    } else {
      open.code.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text.trimStart());
    }
  });
  if (open !== undefined) throw new Error(`${page.file}:${open.line}: the block is not closed`);
  return blocks;
}

/** The fenced blocks inside the doc comments of a source file, with line numbers of that file. */
export function docstringBlocks(page: Page): Block[] {
  const blocks: Block[] = [];
  for (const comment of page.text.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    const firstLine = page.text.slice(0, comment.index).split('\n').length;
    const text = comment[0].slice(3, -2).replace(/^[ \t]*\* ?/gm, '');
    for (const block of fencedBlocks({ file: page.file, text })) {
      blocks.push({ ...block, line: block.line + firstLine - 1 });
    }
  }
  return blocks;
}

/** The page without its fenced blocks; line numbers stay. */
export function proseLines(page: Page): string[] {
  let fence: string | undefined;
  return page.text.split('\n').map((line) => {
    const mark = /^\s*(`{3,})/.exec(line)?.[1];
    if (fence === undefined && mark === undefined) return line;
    if (fence === undefined) fence = mark;
    else if (mark !== undefined && mark.length >= fence.length) fence = undefined;
    return '';
  });
}

/** The rows of the first table whose header has all the named columns, by column name in lower case. */
export function tableRows(page: Page, columns: readonly string[]): Map<string, string>[] {
  const lines = proseLines(page);
  for (const [index, line] of lines.entries()) {
    const header = cells(line)?.map((cell) => cell.toLowerCase());
    if (header === undefined || !columns.every((column) => header.includes(column))) continue;
    const rows: Map<string, string>[] = [];
    for (const row of lines.slice(index + 2)) {
      const values = cells(row);
      if (values === undefined) break;
      rows.push(new Map(header.map((name, column) => [name, values[column] ?? ''])));
    }
    return rows;
  }
  throw new Error(`${page.file} has no table with the columns ${columns.join(', ')}`);
}

function cells(line: string): string[] | undefined {
  if (!/^\s*\|.*\|\s*$/.test(line)) return undefined;
  return line
    .trim()
    .slice(1, -1)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim());
}

/** The anchors that a page's headings get where it is read, by GitHub's rules. */
export function anchors(page: Page): Set<string> {
  const found = new Set<string>();
  for (const line of proseLines(page)) {
    const title = /^#{1,6}\s+(.*?)\s*#*$/.exec(line)?.[1];
    if (title === undefined) continue;
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');
    const anchor = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replace(/\s/g, '-');
    let unique = anchor;
    for (let count = 1; found.has(unique); count += 1) unique = `${anchor}-${count}`;
    found.add(unique);
  }
  return found;
}
