const firstDelayMs = 250;
const longestDelayMs = 5_000;

/** After this time an offer or a question that nothing was heard of no longer stands in the way of the next. */
export const lapseMs = 30_000;

/** How long to leave the server alone after `tries` that brought nothing: doubles, up to a bound. */
export function retryDelayMs(tries: number): number {
  return Math.min(longestDelayMs, firstDelayMs * 2 ** Math.min(tries, 20));
}

/** Counts the tries for one number, which is the head of the hole, after the first. */
export class HeadTries {
  #head = 0;
  #tries = 0;

  count(head: number): void {
    this.#tries = head === this.#head ? this.#tries + 1 : 0;
    this.#head = head;
  }

  delayMs(head: number): number {
    return retryDelayMs(head === this.#head ? this.#tries : 0);
  }
}
