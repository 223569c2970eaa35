import { fstatSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { type Command, Option } from 'commander';
import type { TidemarkEvent } from '../../core/events.js';
import { TidemarkError } from '../../errors.js';
import { examples } from '../flags.js';
import { counted } from '../output.js';
import { type Progress, startProgress } from '../progress.js';
import { closing, type ExitStatus, type Invocation, type Runner } from '../runner.js';
import { type BadLinePolicy, Stamper, type StampSummary } from '../stamp/stamper.js';
import { openGenerator } from '../stores.js';

/** Deadline of a line unless one is given, in milliseconds: long work outlives a restart of a store. */
const stampTimeoutMs = 60_000;
const badLinesStatus = 1;
/** How often the progress display is told where the run is, in milliseconds. */
const progressIntervalMs = 200;

/** `tidemark stamp [--bad-lines policy] < chat.ndjson` */
export function addStamp(program: Command, runner: Runner): void {
  const badLines = new Option('--bad-lines <policy>', 'what to do with a bad line')
    .choices(['reject', 'copy', 'stop'])
    .default('reject');
  program
    .command('stamp')
    .description('read messages as NDJSON from stdin, write them with "sequence" added to stdout')
    .addOption(badLines)
    .addHelpText(
      'after',
      `
A line names its conversation by "conversation" (as group:g1), or "group", or "sender" and "recipient", or "type" and
"id". Bad lines are reported on stderr: reject leaves them out, copy writes them unchanged, stop ends before the first.
Each line waits up to ${stampTimeoutMs} ms for its number unless --timeout is given.
${examples('tidemark stamp --data ./d < chat.ndjson > numbered.ndjson')}`,
    )
    .action(async (options: { badLines: BadLinePolicy }, command: Command) => {
      await runner.run(command, (invocation) => stamp(invocation, options.badLines));
    });
}

async function stamp(invocation: Invocation, badLines: BadLinePolicy): Promise<ExitStatus> {
  const { settings, output, input, signal } = invocation;
  let gaps = 0;
  const onEvent = (event: TidemarkEvent): void => {
    if (event.type === 'gap') gaps += 1;
  };
  const generator = await openGenerator(settings, { timeoutMs: stampTimeoutMs, onEvent });
  return closing(generator, async () => {
    const startedAtMs = performance.now();
    const source = new CountedInput(input);
    const progress = await startProgress(output.terminal, 'lines', input.fd);
    const stamper = new Stamper({
      source,
      next: (of) => generator.next(of),
      write: (bytes) => output.write(bytes),
      badLines,
      onBadLine: (line, reason) => {
        progress.clear();
        output.note({ badLine: { line, reason } }, `line ${line}: ${reason}`);
      },
      signal,
    });
    const summary = await showing(progress, source, stamper);
    report(invocation, summary, performance.now() - startedAtMs, gaps);
    if (summary.failed !== undefined) return reportFailure(invocation, summary.failed, summary.unused);
    return summary.bad > 0 && badLines !== 'copy' ? badLinesStatus : 0;
  });
}

async function showing(progress: Progress, source: CountedInput, stamper: Stamper): Promise<StampSummary> {
  const timer = setInterval(() => progress.update(stamper.lines, source.bytes), progressIntervalMs);
  try {
    return await stamper.run();
  } finally {
    clearInterval(timer);
    progress.stop();
  }
}

function report(
  { output, signal }: Invocation,
  summary: StampSummary,
  elapsedMs: number,
  gaps: number,
): void {
  const { lines, stamped, bad, conversations, moreConversations, lastLine } = summary;
  const linesPerSecond = Math.round((lines * 1_000) / Math.max(elapsedMs, 1));
  const parts = [
    counted(lines, 'line'),
    `${bad} bad`,
    `${moreConversations ? 'more than ' : ''}${counted(conversations, 'conversation')}`,
    ...(gaps === 0 ? [] : [`${counted(gaps, 'gap')} recorded`]),
    `${linesPerSecond} lines/s`,
  ];
  const stopped = signal.aborted ? `; stopped after line ${lastLine}` : '';
  const json = {
    lines,
    stamped,
    bad,
    conversations,
    moreConversations,
    lastLine,
    gaps,
    linesPerSecond,
    stopped: signal.aborted,
  };
  output.noteLine(output.json ? JSON.stringify({ summary: json }) : `${parts.join(', ')}${stopped}`);
}

function reportFailure(
  { output }: Invocation,
  failed: { line: number; error: TidemarkError },
  unused: number,
): number {
  const { line, error } = failed;
  const lost = unused === 0 ? '' : `; ${counted(unused, 'number')} for later lines will not be used`;
  const advice = `line ${line} got no number, the lines before it are written: go on from line ${line}${lost}`;
  const details = error.conversation === undefined ? {} : { conversation: error.conversation };
  const message = error.message.slice(error.code.length + 2);
  return output.error(new TidemarkError(error.code, `${message}; ${advice}`, details), { line, unused });
}

/** The input, with a count of its bytes, and its faults as one of ours. */
class CountedInput implements AsyncIterable<Buffer> {
  bytes = 0;
  readonly #input: Readable;

  constructor(input: Readable & { readonly fd?: number }) {
    this.#input = input;
    // Node takes a folder as an input that is empty.
    if (input.fd !== undefined && isFolder(input.fd)) throw unreadable('EISDIR');
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    try {
      for await (const piece of this.#input) {
        const bytes = piece as Buffer;
        this.bytes += bytes.length;
        yield bytes;
      }
    } catch (error) {
      throw unreadable((error as NodeJS.ErrnoException).code ?? 'unknown', error);
    }
  }
}

function isFolder(fd: number): boolean {
  try {
    return fstatSync(fd).isDirectory();
  } catch {
    return false;
  }
}

function unreadable(code: string, cause?: unknown): TidemarkError {
  return new TidemarkError('invalid_argument', `the input cannot be read (${code}); give NDJSON on stdin`, {
    cause,
  });
}
