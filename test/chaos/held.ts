/** What processes hold over time: memory and file descriptors, as the kernel counts them. */

import { readdirSync, readFileSync } from 'node:fs';

/** What all of them together held at one moment. */
export interface Sample {
  readonly atMs: number;
  readonly memoryMiB: number;
  readonly descriptors: number;
}

export class Held {
  readonly samples: Sample[] = [];
  private readonly startedAtMs = performance.now();

  /** Undefined when one of the processes is just gone. */
  take(pids: readonly number[]): Sample | undefined {
    try {
      const sample = {
        atMs: performance.now() - this.startedAtMs,
        memoryMiB: pids.reduce((sum, pid) => sum + memoryMiB(pid), 0),
        descriptors: pids.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0),
      };
      this.samples.push(sample);
      return sample;
    } catch {
      return undefined;
    }
  }

  /**
   * How much the median grew from the second quarter of the time to the last, as a share. The first quarter does not count:
   * caches fill, and the compiler of the runtime is at work.
   */
  growth(what: 'memoryMiB' | 'descriptors'): number {
    const quarter = Math.floor(this.samples.length / 4);
    const medianOf = (samples: readonly Sample[]) => {
      const values = samples.map((sample) => sample[what]).sort((one, other) => one - other);
      return values[Math.floor(values.length / 2)] ?? 0;
    };
    const early = medianOf(this.samples.slice(quarter, 2 * quarter));
    return early === 0 ? 0 : medianOf(this.samples.slice(-quarter)) / early - 1;
  }
}

function memoryMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1_024;
}
