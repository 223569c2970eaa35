/** How far a run is, on stderr, only where stderr is a terminal. */

import { fstatSync } from 'node:fs';
import type { SingleBar } from 'cli-progress';

/** How often the display changes, per second. */
const framesPerSecond = 5;

/** A display that can be interrupted by messages. */
export interface Progress {
  /** Bytes of input and lines so far. */
  update(bytes: number, lines: number): void;
  /** Clears the display's line, so that a message can be printed; the display comes back by itself. */
  clear(): void;
  stop(): void;
}

const noProgress: Progress = { update: () => undefined, clear: () => undefined, stop: () => undefined };

/**
 * Starts a display.
 *
 * @param terminal - stderr when it is a terminal; without one nothing is shown
 * @param inputFd - the input; a bar is shown when it is a file, whose size is known, and only a counter otherwise
 */
export async function startProgress(
  terminal: NodeJS.WritableStream | undefined,
  inputFd: number | undefined,
): Promise<Progress> {
  if (terminal === undefined) return noProgress;
  const { default: cliProgress } = await import('cli-progress');
  const totalBytes = sizeOf(inputFd);
  const bar: SingleBar = new cliProgress.SingleBar({
    stream: terminal,
    fps: framesPerSecond,
    clearOnComplete: true,
    hideCursor: true,
    barsize: 30,
    format:
      totalBytes === undefined
        ? '{lines} lines, {rate} lines/s'
        : '{bar} {percentage}%  {lines} lines, {rate} lines/s',
  });
  const startedAtMs = performance.now();
  bar.start(totalBytes ?? 1, 0, { lines: 0, rate: 0 });
  return {
    update: (bytes, lines) => {
      const seconds = (performance.now() - startedAtMs) / 1_000;
      // A file may grow while it is read; a counter has no total to reach.
      const value = totalBytes === undefined ? 0 : Math.min(bytes, totalBytes);
      bar.update(value, { lines, rate: Math.round(lines / Math.max(seconds, 0.001)) });
    },
    clear: () => terminal.write('\r\u001b[K'),
    stop: () => bar.stop(),
  };
}

function sizeOf(fd: number | undefined): number | undefined {
  if (fd === undefined) return undefined;
  try {
    const found = fstatSync(fd);
    return found.isFile() && found.size > 0 ? found.size : undefined;
  } catch {
    return undefined;
  }
}
