/** Messages that wait for an earlier one: at most `max`, the lowest ones. */
export class HeldMessages<Message> {
  readonly #max: number;
  readonly #messages = new Map<number, Message>();
  /** The numbers in order: the lowest and the highest are at hand. */
  readonly #numbers: number[] = [];

  constructor(max: number) {
    this.#max = max;
  }

  get lowest(): number | undefined {
    return this.#numbers[0];
  }

  has(number: number): boolean {
    return this.#messages.has(number);
  }

  /** Returns the number that had to go: this one, a higher one, or none. */
  hold(number: number, message: Message): number | undefined {
    const isFull = this.#numbers.length >= this.#max;
    if (isFull && number > this.#numbers.at(-1)!) return number;
    const dropped = isFull ? this.#numbers.pop()! : undefined;
    if (dropped !== undefined) this.#messages.delete(dropped);
    this.#messages.set(number, message);
    this.#numbers.splice(this.#placeOf(number), 0, number);
    return dropped;
  }

  /** Removes and returns the messages that follow `position` without a hole. */
  takeRun(position: number): { number: number; message: Message }[] {
    let length = 0;
    while (this.#numbers[length] === position + 1 + length) length += 1;
    if (length === 0) return [];
    return this.#numbers.splice(0, length).map((number) => {
      const message = this.#messages.get(number)!;
      this.#messages.delete(number);
      return { number, message };
    });
  }

  #placeOf(number: number): number {
    let low = 0;
    let high = this.#numbers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#numbers[middle]! < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
