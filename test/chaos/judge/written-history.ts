/** Histories as tests write them, judged as those of a run are. The lines are described in history-file.ts. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { JudgeOptions, Verdict } from './judge.js';
import { gapsFile, judgeFolder } from './judge-folder.js';

/** The lines of each client, with spaces around them that do not count; an array where lines are made. */
export type Written = string | readonly string[];

export interface WrittenHistory {
  readonly clients: readonly Written[];
  readonly gaps?: Written;
}

/** Does something with a folder that has the history. */
export function withHistory<T>({ clients, gaps }: WrittenHistory, act: (folder: string) => T): T {
  const folder = mkdtempSync(path.join(tmpdir(), 'tidemark-history-'));
  try {
    for (const [index, lines] of clients.entries())
      writeFileSync(path.join(folder, `client-${index}.log`), textOf(lines));
    if (gaps !== undefined) writeFileSync(path.join(folder, gapsFile), textOf(gaps));
    return act(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export function judged(history: WrittenHistory, options?: JudgeOptions): Verdict {
  return withHistory(history, (folder) => judgeFolder(folder, options));
}

/** What is wrong with a history, one line for each violation. */
export function wrongs(history: WrittenHistory, options?: JudgeOptions): string[] {
  return judged(history, options).violations.map(
    ({ kind, conversation, text }) => `${kind} ${conversation}: ${text}`,
  );
}

function textOf(lines: Written): string {
  const list = typeof lines === 'string' ? lines.split('\n') : lines;
  return list
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .map((line) => `${line}\n`)
    .join('');
}
