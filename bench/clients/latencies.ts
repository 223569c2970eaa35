/**
 * Latencies, counted in classes: exact below 2,048 µs, and 1,024 classes for each doubling above, so a percentile is at
 * most a thousandth too low. Recording one is two additions and a shift: this runs once for each call that is measured.
 */

const exactBits = 11;
const classesPerDoubling = 1 << (exactBits - 1);
/** 2^31 µs, half an hour; more counts as that. */
const highestUs = 2 ** 31 - 1;
const classCount = classOf(highestUs) + 1;

export class Latencies {
  readonly #counts = new Uint32Array(classCount);
  #total = 0;

  get count(): number {
    return this.#total;
  }

  record(us: number): void {
    this.#counts[classOf(Math.min(highestUs, Math.max(0, Math.round(us))))]! += 1;
    this.#total += 1;
  }

  reset(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }

  /** The latency that this share of the calls did not exceed; 0 without calls. */
  percentileUs(percent: number): number {
    const wanted = Math.max(1, Math.ceil((this.#total * percent) / 100));
    let seen = 0;
    for (let index = 0; index < classCount; index += 1) {
      seen += this.#counts[index]!;
      if (seen >= wanted) return lowestOf(index);
    }
    return 0;
  }
}

function classOf(us: number): number {
  const shift = Math.max(0, 32 - Math.clz32(us) - exactBits);
  return shift * classesPerDoubling + (us >> shift);
}

function lowestOf(index: number): number {
  const shift = Math.max(0, Math.floor(index / classesPerDoubling) - 1);
  return (index - shift * classesPerDoubling) * 2 ** shift;
}
