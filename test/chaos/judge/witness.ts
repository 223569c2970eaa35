/** The shortest history that shows what is wrong: the lines of the calls, reads and gaps that have to do with it. */

import { existsSync } from 'node:fs';
import path from 'node:path';
import { HistoryFile } from './history-file.js';
import type { Violation } from './judge.js';
import { clientFiles, gapsFile } from './judge-folder.js';
import type { NumberRange } from './numbers.js';

interface Line {
  readonly at: number;
  readonly text: string;
}

/** Whether a call that got these numbers has to do with what is wrong. */
type Shows = (got: NumberRange) => boolean;

/** In order of time; gaps last. */
export function witness(folder: string, violation: Violation): string[] {
  const shows = violation.kind === 'P4' ? besideHole(folder, violation) : concernsWith(violation);
  const lines = clientFiles(folder)
    .flatMap((name) => linesOf(folder, name, violation, shows))
    .sort((one, other) => one.at - other.at);
  // The first reader who was told too much is enough.
  const others = new Set(lines.filter(({ text }) => isRead(text)).slice(1));
  const shown = lines.filter((line) => !others.has(line));
  return [...shown, ...gapLines(folder, violation)].map(({ text }) => text);
}

function isRead(text: string): boolean {
  return text.split(' ')[1] === 'C';
}

function linesOf(folder: string, name: string, violation: Violation, shows: Shows): Line[] {
  const { conversation, first, messageId } = violation;
  const isAboutReading = ['passed', 'unexplained'].includes(violation.kind);
  const file = new HistoryFile(path.join(folder, name));
  const starts = new Map<number, Line>();
  const concerned = new Set<number>();
  const lines: Line[] = [];
  let toldTooMuch = false;
  while (file.next()) {
    const line = { at: file.at, text: `${name} ${file.line}` };
    if (file.kind === 'S' && file.text(1) === conversation) {
      const call = file.number(0);
      starts.set(call, line);
      if (messageId !== undefined && file.count > 4 && file.text(4) === messageId) concern(call);
    } else if (file.kind === 'E' && starts.has(file.number(0))) {
      if (shows({ first: file.number(1), last: file.number(2) })) concern(file.number(0));
      if (concerned.has(file.number(0))) lines.push(line);
      starts.delete(file.number(0));
    } else if ('FPAD'.includes(file.kind) && concerned.has(file.number(0))) lines.push(line);
    else if (file.kind === 'C' && isAboutReading && !toldTooMuch && file.text(0) === conversation) {
      toldTooMuch = file.number(1) >= first;
      if (toldTooMuch) lines.push(line);
    }
  }
  file.close();
  return lines;

  function concern(call: number): void {
    if (concerned.has(call)) return;
    concerned.add(call);
    lines.push(starts.get(call)!);
  }
}

function concernsWith({ kind, first, last }: Violation): Shows {
  // Of an order that is broken: the smaller number, and the larger one that was known. Those between say nothing more.
  if (kind === 'P2') return (got) => overlap(got, first, first) || overlap(got, last, last);
  return (got) => overlap(got, first, last);
}

/** The calls with the nearest numbers below and above a hole: they show that numbers behind it were issued. */
function besideHole(folder: string, { conversation, first, last }: Violation): Shows {
  let [below, above] = [0, Number.POSITIVE_INFINITY];
  for (const name of clientFiles(folder)) {
    const file = new HistoryFile(path.join(folder, name));
    const calls = new Set<number>();
    while (file.next()) {
      if (file.kind === 'S' && file.text(1) === conversation) calls.add(file.number(0));
      if (file.kind !== 'E' || !calls.delete(file.number(0))) continue;
      if (file.number(2) < first) below = Math.max(below, file.number(2));
      if (file.number(1) > last) above = Math.min(above, file.number(1));
    }
    file.close();
  }
  return (got) => overlap(got, below, below) || overlap(got, above, above);
}

function overlap(got: NumberRange, first: number, last: number): boolean {
  return got.first <= last && got.last >= first;
}

function gapLines(folder: string, { conversation, first, last }: Violation): Line[] {
  const place = path.join(folder, gapsFile);
  if (!existsSync(place)) return [];
  const file = new HistoryFile(place);
  const lines: Line[] = [];
  while (file.next()) {
    if (file.text(0) === conversation && file.number(1) <= last + 1 && file.number(2) >= first - 1)
      lines.push({ at: 0, text: `${gapsFile} ${file.line}` });
  }
  file.close();
  return lines;
}
