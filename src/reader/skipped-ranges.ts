/** Most ranges remembered. */
const maxRanges = 100;

/** The last ranges that were skipped, so that a message that comes later is known for what it is. */
export class SkippedRanges {
  readonly #ranges: { first: number; last: number }[] = [];

  /** Ranges come in order. */
  add(first: number, last: number): void {
    const before = this.#ranges.at(-1);
    if (before?.last === first - 1) before.last = last;
    else this.#ranges.push({ first, last });
    this.#forgetLowest();
  }

  /** True the first time that a skipped number comes. */
  take(number: number): boolean {
    const index = this.#ranges.findIndex(({ first, last }) => first <= number && number <= last);
    if (index < 0) return false;
    const { first, last } = this.#ranges[index]!;
    const rest = [
      { first, last: number - 1 },
      { first: number + 1, last },
    ];
    this.#ranges.splice(index, 1, ...rest.filter((range) => range.first <= range.last));
    this.#forgetLowest();
    return true;
  }

  #forgetLowest(): void {
    if (this.#ranges.length > maxRanges) this.#ranges.shift();
  }
}
