/**
 * Numbers the lines of a stream.
 *
 * A reader takes lines and asks for their numbers; a writer takes the same lines in their order, waits for each number
 * and writes. Between them is a window of bounded lines and bytes: when it is full the reader waits, and with it the
 * input. When the output is slow the writer waits, the window fills, and again the input waits.
 */

import type { Conversation } from '../../core/conversation.js';
import { asTidemarkError } from '../../core/epochs.js';
import type { TidemarkError } from '../../errors.js';
import { type Line, linesOf } from './lines.js';
import { BadLine, conversationOfLine, isBlank, withSequence } from './stamp-line.js';

/** Longest line, in bytes. */
export const maxLineBytes = 1_048_576;
/** Most lines whose numbers are asked for and not written yet. */
const maxLinesUnderWay = 4_000;
/** Most bytes of such lines; a single line may be longer than what is left. */
const maxBytesUnderWay = 16 * 1_048_576;
/** Output is collected up to this many bytes, unless the next number has to be waited for. */
const writeBytes = 65_536;
/** Conversations are counted exactly up to here. */
const maxConversationsCounted = 1_000_000;

/** What happens to a line that gets no number. */
export type BadLinePolicy = 'reject' | 'copy' | 'stop';

/** What a stamper needs from outside. */
export interface StamperParts {
  readonly source: AsyncIterable<Buffer>;
  readonly next: (of: Conversation) => Promise<number>;
  readonly write: (bytes: Uint8Array) => Promise<void>;
  readonly badLines: BadLinePolicy;
  readonly onBadLine: (line: number, reason: string) => void;
  /** Ends the reading; what is under way is finished and written. */
  readonly signal: AbortSignal;
}

/** How it went. */
export interface StampSummary {
  /** Lines that were looked at, without blank ones. */
  readonly lines: number;
  readonly stamped: number;
  readonly bad: number;
  readonly conversations: number;
  /** True when there were more conversations than are counted. */
  readonly moreConversations: boolean;
  /** The last line that was finished. */
  readonly lastLine: number;
  /** Numbers of lines behind a failed one: issued and not written. */
  readonly unused: number;
  /** The line that got no number because of a store, and why; everything before it is written. */
  readonly failed: { readonly line: number; readonly error: TidemarkError } | undefined;
}

/** A line between reader and writer. */
interface Pending {
  readonly line: Line;
  readonly outcome: Promise<Outcome>;
  settled: boolean;
}

type Outcome =
  | { readonly status: 'numbered'; readonly sequence: number }
  | { readonly status: 'bad'; readonly reason: string }
  | { readonly status: 'failed'; readonly error: TidemarkError };

/** One run over one stream. */
export class Stamper {
  readonly #parts: StamperParts;
  readonly #window: Pending[] = [];
  #bytesUnderWay = 0;
  #readerDone = false;
  #stopped = false;
  #onStop: (() => void) | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  #collected: Uint8Array[] = [];
  #collectedBytes = 0;
  readonly #conversations = new Set<string>();
  #moreConversations = false;
  #lines = 0;
  #stamped = 0;
  #bad = 0;
  #lastLine = 0;
  #unused = 0;
  #failed: StampSummary['failed'];

  constructor(parts: StamperParts) {
    this.#parts = parts;
  }

  /** Lines finished so far, for a progress display. */
  get lines(): number {
    return this.#lines;
  }

  /** Runs to the end of the stream, to the signal, or to a line that stops it. Rejects when the output fails. */
  async run(): Promise<StampSummary> {
    const { signal } = this.#parts;
    const stop = (): void => this.#stop();
    signal.addEventListener('abort', stop, { once: true });
    const reading = this.#read();
    // The writer may fail first; then this rejection must have a handler already.
    reading.catch(() => undefined);
    try {
      await this.#write();
    } finally {
      signal.removeEventListener('abort', stop);
      this.#stop();
    }
    await reading;
    return {
      lines: this.#lines,
      stamped: this.#stamped,
      bad: this.#bad,
      conversations: this.#conversations.size,
      moreConversations: this.#moreConversations,
      lastLine: this.#lastLine,
      unused: this.#unused,
      failed: this.#failed,
    };
  }

  async #read(): Promise<void> {
    const iterator = linesOf(this.#parts.source, maxLineBytes);
    try {
      while (!this.#stopped && !this.#parts.signal.aborted) {
        const lines = await this.#untilStopped(iterator.next());
        if (lines === undefined || lines.done) break;
        for (const line of lines.value) {
          while (this.#isFull() && !this.#stopped)
            await new Promise<void>((resolve) => (this.#wakeReader = resolve));
          if (this.#stopped || this.#parts.signal.aborted) break;
          if (line.tooLong || !isBlank(line.bytes)) this.#start(line);
        }
      }
    } finally {
      this.#readerDone = true;
      this.#wakeWriter?.();
    }
  }

  /** A stream that gives nothing must not keep a stopped run alive. */
  #untilStopped<T>(next: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      this.#onStop = () => resolve(undefined);
      next.then(resolve, reject);
    });
  }

  #isFull(): boolean {
    return this.#window.length >= maxLinesUnderWay || this.#bytesUnderWay >= maxBytesUnderWay;
  }

  #start(line: Line): void {
    const pending: Pending = { line, outcome: this.#outcomeOf(line), settled: false };
    void pending.outcome.then(() => {
      pending.settled = true;
    });
    this.#window.push(pending);
    this.#bytesUnderWay += line.bytes.length;
    this.#wakeWriter?.();
  }

  /** Asks for the number at once, so that the order of lines is the order of numbers. */
  #outcomeOf(line: Line): Promise<Outcome> {
    if (line.tooLong) return this.#badOutcome(`it is longer than ${maxLineBytes} bytes`);
    let of: Conversation;
    try {
      of = conversationOfLine(line.bytes);
    } catch (error) {
      if (error instanceof BadLine) return this.#badOutcome(error.message);
      return Promise.resolve({ status: 'failed', error: asTidemarkError(error) });
    }
    this.#count(of.key);
    return this.#parts.next(of).then(
      (sequence): Outcome => ({ status: 'numbered', sequence }),
      (error: unknown): Outcome => ({ status: 'failed', error: asTidemarkError(error) }),
    );
  }

  #badOutcome(reason: string): Promise<Outcome> {
    // Before a number is asked for that would not be written.
    if (this.#parts.badLines === 'stop') this.#stop();
    return Promise.resolve({ status: 'bad', reason });
  }

  #count(key: string): void {
    if (this.#conversations.size < maxConversationsCounted) this.#conversations.add(key);
    else if (!this.#conversations.has(key)) this.#moreConversations = true;
  }

  async #write(): Promise<void> {
    for (;;) {
      const pending = this.#window[0];
      if (pending === undefined) {
        await this.#flush();
        // Lines may have come while the output was written.
        if (this.#window.length > 0) continue;
        if (this.#readerDone) return;
        await new Promise<void>((resolve) => (this.#wakeWriter = resolve));
        continue;
      }
      // Whoever reads the output gets what is ready while the next number is waited for.
      if (!pending.settled) await this.#flush();
      const outcome = await pending.outcome;
      this.#window.shift();
      this.#bytesUnderWay -= pending.line.bytes.length;
      this.#wakeReader?.();
      this.#finish(pending.line, outcome);
      if (this.#collectedBytes >= writeBytes) await this.#flush();
    }
  }

  #finish(line: Line, outcome: Outcome): void {
    if (this.#failed !== undefined) {
      if (outcome.status === 'numbered') this.#unused += 1;
      return;
    }
    if (outcome.status === 'failed') {
      this.#failed = { line: line.number, error: outcome.error };
      this.#stop();
      return;
    }
    this.#lines += 1;
    this.#lastLine = line.number;
    if (outcome.status === 'numbered') {
      this.#stamped += 1;
      this.#collect(...withSequence(line.bytes, outcome.sequence), newline);
      return;
    }
    this.#bad += 1;
    this.#parts.onBadLine(line.number, outcome.reason);
    if (this.#parts.badLines === 'copy' && !line.tooLong) this.#collect(line.bytes, newline);
  }

  #collect(...parts: readonly Uint8Array[]): void {
    for (const part of parts) {
      this.#collected.push(part);
      this.#collectedBytes += part.length;
    }
  }

  async #flush(): Promise<void> {
    if (this.#collectedBytes === 0) return;
    const bytes = Buffer.concat(this.#collected, this.#collectedBytes);
    this.#collected = [];
    this.#collectedBytes = 0;
    await this.#parts.write(bytes);
  }

  /** No further line is read. */
  #stop(): void {
    this.#stopped = true;
    this.#onStop?.();
    this.#wakeReader?.();
  }
}

const newline = Buffer.from('\n');
