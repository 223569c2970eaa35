/** How far a run is, on stderr, only where stderr is a terminal. */

import { fstatSync } from 'node:fs';
import type { SingleBar } from 'cli-progress';

/** How often the display changes, per second. */
const framesPerSecond = 5;

/** A display that can be interrupted by messages. */
export interface Progress {
  /** How many are done, and bytes of input so far. */
  update(done: number, bytes?: number): void;
  /** Clears the display's line, so that a message can be printed; the display comes back by itself. */
  clear(): void;
  stop(): void;
}

const noProgress: Progress = { update: () => undefined, clear: () => undefined, stop: () => undefined };

/**
 * Starts a display.
 *
 * @param terminal - stderr when it is a terminal; without one nothing is shown
 * @param what - what is counted, in the plural
 * @param inputFd - the input; a bar is shown when it is a file, whose size is known, and only a counter otherwise
 */
export async function startProgress(
  terminal: NodeJS.WritableStream | undefined,
  what: string,
  inputFd?: number,
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
        ? `{done} ${what}, {rate} ${what}/s`
        : `{bar} {percentage}%  {done} ${what}, {rate} ${what}/s`,
  });
  const startedAtMs = performance.now();
  bar.start(totalBytes ?? 1, 0, { done: 0, rate: 0 });
  return {
    update: (done, bytes = 0) => {
      const seconds = (performance.now() - startedAtMs) / 1_000;
      // A file may grow while it is read; a counter has no total to reach.
      const value = totalBytes === undefined ? 0 : Math.min(bytes, totalBytes);
      bar.update(value, { done, rate: Math.round(done / Math.max(seconds, 0.001)) });
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
