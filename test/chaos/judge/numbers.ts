/** Sets of numbers of one conversation, small where the numbers follow each other. */

export interface NumberRange {
  readonly first: number;
  readonly last: number;
}

/** Ranges that do not touch, in order. Adding at the end costs nothing, elsewhere a binary search. */
export class RangeSet {
  private readonly firsts: number[] = [];
  private readonly lasts: number[] = [];

  get highest(): number {
    return this.lasts.at(-1) ?? 0;
  }

  /** Adds a range, and returns the part of it that was there before, if any: the first one. */
  add(first: number, last: number): NumberRange | undefined {
    const end = this.lasts.length;
    if (end > 0 && this.lasts[end - 1] === first - 1) {
      this.lasts[end - 1] = last;
      return undefined;
    }
    // The first range that reaches up to the new one, or beyond.
    const from = this.indexOfReaching(first - 1);
    let to = from;
    let [joinedFirst, joinedLast] = [first, last];
    let overlap: NumberRange | undefined;
    for (; to < end && this.firsts[to]! <= last + 1; to += 1) {
      const [otherFirst, otherLast] = [this.firsts[to]!, this.lasts[to]!];
      const [commonFirst, commonLast] = [Math.max(first, otherFirst), Math.min(last, otherLast)];
      if (overlap === undefined && commonFirst <= commonLast)
        overlap = { first: commonFirst, last: commonLast };
      joinedFirst = Math.min(joinedFirst, otherFirst);
      joinedLast = Math.max(joinedLast, otherLast);
    }
    this.firsts.splice(from, to - from, joinedFirst);
    this.lasts.splice(from, to - from, joinedLast);
    return overlap;
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

/** One bit for each number, for sets without order in them. */
export class BitSet {
  private words = new Uint32Array(4);

  add(number: number): void {
    const index = number >>> 5;
    if (index >= this.words.length) {
      const words = new Uint32Array(Math.max(index + 1, this.words.length * 2));
      words.set(this.words);
      this.words = words;
    }
    this.words[index]! |= 1 << (number & 31);
  }

  has(number: number): boolean {
    const word = this.words[number >>> 5];
    return word !== undefined && (word & (1 << (number & 31))) !== 0;
  }

  *[Symbol.iterator](): Generator<number> {
    for (const [index, word] of this.words.entries()) {
      if (word === 0) continue;
      for (let bit = 0; bit < 32; bit += 1) if (word & (1 << bit)) yield index * 32 + bit;
    }
  }
}
