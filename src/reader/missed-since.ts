/** A number is missed since something at or above it was first heard of. */
interface Mark {
  readonly upTo: number;
  readonly sinceMs: number;
}

/** Most marks kept. */
const maxMarks = 64;

/** Since when numbers are missed: marks in the order of their numbers, which is the order of their times. */
export class MissedSince {
  readonly #marks: Mark[] = [];
  #end: number;

  constructor(after: number) {
    this.#end = after;
  }

  /** The highest number that is known to exist. */
  get end(): number {
    return this.#end;
  }

  /** Numbers up to this exist. */
  reach(upTo: number, nowMs: number): void {
    if (upTo <= this.#end) return;
    this.#end = upTo;
    if (this.#marks.at(-1)?.sinceMs === nowMs) this.#marks.pop();
    this.#marks.push({ upTo, sinceMs: nowMs });
    if (this.#marks.length > maxMarks) this.#merge();
  }

  /** The mark of a number up to the end. */
  of(number: number): Mark {
    return this.#marks.find((mark) => mark.upTo >= number)!;
  }

  forget(upTo: number): void {
    const kept = this.#marks.findIndex((mark) => mark.upTo > upTo);
    this.#marks.splice(0, kept < 0 ? this.#marks.length : kept);
  }

  /** Numbers may count as missed later than they were, so they are waited for a little longer; the lowest mark stays exact. */
  #merge(): void {
    let closest = 1;
    const distance = (index: number): number => this.#marks[index + 1]!.sinceMs - this.#marks[index]!.sinceMs;
    for (let index = 2; index + 1 < this.#marks.length; index += 1) {
      if (distance(index) <= distance(closest)) closest = index;
    }
    this.#marks.splice(closest, 1);
  }
}
