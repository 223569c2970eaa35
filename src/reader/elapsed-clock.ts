/** Counts the time that passes. A clock that is set back only stops it for a moment. */
export class ElapsedClock {
  readonly #read: () => number;
  #reading: number;
  #elapsedMs = 0;

  constructor(read: () => number) {
    this.#read = read;
    this.#reading = read();
  }

  /** Milliseconds since the clock was made. */
  nowMs(): number {
    const reading = this.#read();
    if (Number.isFinite(reading)) {
      if (reading > this.#reading) this.#elapsedMs += reading - this.#reading;
      this.#reading = reading;
    }
    return this.#elapsedMs;
  }

  /** How long ago a moment of the clock's own reading was. */
  ageMs(readingMs: number): number {
    this.nowMs();
    return this.#reading - readingMs;
  }
}
