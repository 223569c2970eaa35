/** Sets of numbers of one conversation, small where the numbers follow each other. */

export interface NumberRange {
  readonly first: number;
  readonly last: number;
}

const nothing: readonly NumberRange[] = [];

/** Ranges that do not touch, in order. Adding at the end costs nothing, elsewhere a binary search. */
export class RangeSet {
  private readonly firsts: number[] = [];
  private readonly lasts: number[] = [];

  /** Adds a range, and returns the parts of it that were there before. */
  add(first: number, last: number): readonly NumberRange[] {
    const { firsts, lasts } = this;
    const end = lasts.length;
    if (end > 0 && lasts[end - 1] === first - 1) {
      lasts[end - 1] = last;
      return nothing;
    }
    // The first range that reaches up to the new one, or beyond.
    const from = this.indexOfReaching(first - 1);
    let to = from;
    let [joinedFirst, joinedLast] = [first, last];
    const overlaps: NumberRange[] = [];
    for (; to < end && firsts[to]! <= last + 1; to += 1) {
      const [otherFirst, otherLast] = [firsts[to]!, lasts[to]!];
      const common = { first: Math.max(first, otherFirst), last: Math.min(last, otherLast) };
      if (common.first <= common.last) overlaps.push(common);
      joinedFirst = Math.min(joinedFirst, otherFirst);
      joinedLast = Math.max(joinedLast, otherLast);
    }
    if (to === from + 1) {
      firsts[from] = joinedFirst;
      lasts[from] = joinedLast;
    } else {
      firsts.splice(from, to - from, joinedFirst);
      lasts.splice(from, to - from, joinedLast);
    }
    return overlaps;
  }

  has(number: number): boolean {
    const index = this.indexOfReaching(number);
    return index < this.firsts.length && this.firsts[index]! <= number;
  }

  /** What is missing from 1 up to the highest. */
  *holes(): Generator<NumberRange> {
    let next = 1;
    for (let index = 0; index < this.firsts.length; index += 1) {
      if (this.firsts[index]! > next) yield { first: next, last: this.firsts[index]! - 1 };
      next = this.lasts[index]! + 1;
    }
  }

  /** The parts of a range that are not in the set. */
  *missingFrom({ first, last }: NumberRange): Generator<NumberRange> {
    let next = first;
    for (let index = this.indexOfReaching(first); index < this.firsts.length; index += 1) {
      if (this.firsts[index]! > last) break;
      if (this.firsts[index]! > next) yield { first: next, last: this.firsts[index]! - 1 };
      next = this.lasts[index]! + 1;
    }
    if (next <= last) yield { first: next, last };
  }

  /** The first range whose last number is not below this one. */
  private indexOfReaching(number: number): number {
    let [low, high] = [0, this.lasts.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.lasts[middle]! < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const pageSize = 4_096;

/** One bit for each number, in pages, so that a number far above the others costs no more than they do. */
export class BitSet {
  private readonly pages = new Map<number, Uint32Array>();

  add(number: number): void {
    const key = Math.floor(number / pageSize);
    let page = this.pages.get(key);
    if (page === undefined) {
      page = new Uint32Array(pageSize / 32);
      this.pages.set(key, page);
    }
    const bit = number % pageSize;
    page[bit >>> 5]! |= 1 << (bit & 31);
  }

  has(number: number): boolean {
    const bit = number % pageSize;
    const word = this.pages.get(Math.floor(number / pageSize))?.[bit >>> 5] ?? 0;
    return (word & (1 << (bit & 31))) !== 0;
  }

  /** In order. */
  *[Symbol.iterator](): Generator<number> {
    for (const key of [...this.pages.keys()].sort((one, other) => one - other)) {
      for (let bit = 0; bit < pageSize; bit += 1) {
        const number = key * pageSize + bit;
        if (this.has(number)) yield number;
      }
    }
  }
}
