/**
 * A map of bounded size that forgets what was set or asked for longest ago: in two generations, of which the older one is
 * dropped whole. Nothing is deleted by itself, because a map keeps a hole for each deleted entry until it is copied.
 */
export class RecentMap<Value> {
  readonly #maxYoung: number;
  #young = new Map<string, Value>();
  #old: ReadonlyMap<string, Value> = new Map<string, Value>();

  /** @param maxSize - most entries, 2 or more; the last half of them is never forgotten */
  constructor(maxSize: number) {
    this.#maxYoung = Math.floor(maxSize / 2);
  }

  get(key: string): Value | undefined {
    if (this.#young.size === 0) return undefined;
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: string, value: Value): void {
    if (this.#young.size >= this.#maxYoung && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }
}
