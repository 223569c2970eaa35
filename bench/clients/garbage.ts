/** How much a client allocates: what the heap grew by between collections. */

import { GCProfiler } from 'node:v8';

/** Sizes of the heap before and after one collection. */
export interface Collection {
  readonly beforeBytes: number;
  readonly afterBytes: number;
}

export class GarbageMeter {
  readonly #profiler = new GCProfiler();
  readonly #startBytes = process.memoryUsage().heapUsed;

  constructor() {
    this.#profiler.start();
  }

  /** Bytes allocated in the heap since then. */
  stop(): number {
    const endBytes = process.memoryUsage().heapUsed;
    const { statistics } = this.#profiler.stop();
    const collections = statistics.map(({ beforeGC, afterGC }) => ({
      beforeBytes: beforeGC.heapStatistics.usedHeapSize,
      afterBytes: afterGC.heapStatistics.usedHeapSize,
    }));
    return allocatedBytes(this.#startBytes, collections, endBytes);
  }
}

/** What was allocated from a heap of `startBytes` to one of `endBytes`. */
export function allocatedBytes(
  startBytes: number,
  collections: readonly Collection[],
  endBytes: number,
): number {
  let allocated = 0;
  let heapBytes = startBytes;
  for (const { beforeBytes, afterBytes } of collections) {
    allocated += Math.max(0, beforeBytes - heapBytes);
    heapBytes = afterBytes;
  }
  return allocated + Math.max(0, endBytes - heapBytes);
}

/** Heap and buffers in use, without garbage. Needs `--expose-gc`. */
export function memoryInUse(): number {
  // Twice: what the first one finds unreachable may hold buffers that the second one frees.
  globalThis.gc!();
  globalThis.gc!();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
