/** What the command prints: results on stdout, errors as one line on stderr, either as text or as JSON. */

import type { Writable } from 'node:stream';
import { printable } from '../core/quote.js';
import { errorCodes, TidemarkError } from '../errors.js';

/** Whoever reads stdout has gone away. Not an error to report: the command just ends. */
export class ReaderGone extends Error {
  override readonly name = 'ReaderGone';
}

/** Results and messages of one command. */
export class Output {
  /** True with `--json`. Set before anything is printed. */
  json = false;
  readonly #stdout: Writable;
  readonly #stderr: Writable;
  #readerGone = false;

  constructor(stdout: Writable, stderr: Writable) {
    this.#stdout = stdout;
    this.#stderr = stderr;
    stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') this.#readerGone = true;
    });
    // A stderr that nobody reads must not end the command.
    stderr.on('error', () => undefined);
  }

  /**
   * Writes to stdout and waits until it is taken, which is the back-pressure.
   *
   * @throws ReaderGone
   */
  async write(chunk: string | Uint8Array): Promise<void> {
    if (this.#readerGone) throw new ReaderGone();
    const error = await new Promise<Error | null | undefined>((resolve) => {
      this.#stdout.write(chunk, (failure) => resolve(failure));
    });
    if (!error) return;
    if (this.#readerGone || (error as NodeJS.ErrnoException).code === 'EPIPE') throw new ReaderGone();
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new TidemarkError('internal', `the output cannot be written (${code}); check where it goes`, {
      cause: error,
    });
  }

  /** One result: a JSON line with `--json`, the text otherwise. */
  async result(json: object, text: string): Promise<void> {
    await this.write(this.json ? `${JSON.stringify(json)}\n` : `${text}\n`);
  }

  /** A message beside the result: one line on stderr, one JSON line with `--json`. */
  note(json: object, text: string): void {
    // Before it is JSON, because what is cut out must not be a part of its form.
    this.noteLine(this.json ? JSON.stringify(json, cutCredentials) : `tidemark: ${text}`);
  }

  /** A line on stderr. It may repeat what a stranger wrote, and is read on a terminal. */
  noteLine(line: string): void {
    this.#stderr.write(`${printable(withoutCredentials(line))}\n`);
  }

  /** Stderr when it is a terminal, for a progress display. */
  get terminal(): NodeJS.WritableStream | undefined {
    return (this.#stderr as Partial<NodeJS.WriteStream>).isTTY === true ? this.#stderr : undefined;
  }

  /** Reports an error and returns the exit status that belongs to it. */
  error(error: TidemarkError, details: Readonly<Record<string, unknown>> = {}): number {
    const { exitStatus } = errorCodes[error.code];
    const message = oneLine(error.message);
    const json = {
      error: {
        code: error.code,
        message,
        retryable: error.retryable,
        exitStatus,
        ...(error.conversation === undefined ? {} : { conversation: error.conversation }),
        ...details,
      },
    };
    this.note(json, message);
    return exitStatus;
  }

  /** Resolves when everything written so far is with the system. */
  async flush(): Promise<void> {
    for (const stream of [this.#stdout, this.#stderr]) {
      await new Promise<void>((resolve) => {
        if (!stream.writable) resolve();
        else stream.write('', () => resolve());
      });
    }
  }
}

/**
 * The same text with user and password cut out of every URL that has a password. The last line of defence: messages
 * hold none, except for the placeholder `user:password`. It takes no longer than the text is long, whatever that holds.
 */
export function withoutCredentials(text: string): string {
  let kept = '';
  let from = 0;
  for (let at = text.indexOf('://'); at >= 0; at = text.indexOf('://', Math.max(from, at + 3))) {
    const start = at + 3;
    if (text.startsWith(placeholder, start)) continue;
    // To the last @ of the word, because a password may hold one that was not escaped.
    const end = endOfWord(text, start);
    const word = text.slice(start, end);
    const login = word.slice(0, word.lastIndexOf('@') + 1);
    if (!login.includes(':')) {
      // No other URL in the same word can have what this one lacks.
      at = end - 3;
      continue;
    }
    kept += text.slice(from, start);
    from = start + login.length;
  }
  return kept + text.slice(from);
}

const placeholder = 'user:password@';
/** Longest part of a word before a URL in it that is looked at for a quotation mark. */
const maxPrefixLength = 200;

/** Where the word ends that holds a URL. One between quotation marks ends at the last of these, a password may hold others. */
function endOfWord(text: string, start: number): number {
  const before = /(?:^|\s)(['"])[^\s'"]*$/.exec(text.slice(Math.max(0, start - maxPrefixLength), start));
  const closing = before === null ? -1 : text.lastIndexOf(before[1]!);
  if (closing >= start) return closing;
  endOfPlainWord.lastIndex = start;
  return endOfPlainWord.exec(text)?.index ?? text.length;
}

const endOfPlainWord = /[\s'"]/g;

function cutCredentials(_name: string, value: unknown): unknown {
  return typeof value === 'string' ? withoutCredentials(value) : value;
}

/** `1 line`, `2 lines`. */
export function counted(many: number, what: string): string {
  return `${many} ${what}${many === 1 ? '' : 's'}`;
}

/** Several lines as one. */
export function oneLine(text: string): string {
  return text
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ');
}

/** Rows as aligned columns, without spaces at the end. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]!.length))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Milliseconds since 1970, for people. */
export function timeText(timeMs: number): string {
  const time = new Date(timeMs);
  return Number.isNaN(time.getTime()) ? `${timeMs} ms` : time.toISOString();
}
