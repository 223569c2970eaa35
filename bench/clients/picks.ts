/** Which conversation gets the next number. The same seed gives the same picks. */

export type Distribution = 'uniform' | 'zipf';

export const zipfExponent = 1.1;
/** So many picks are drawn before the run and then repeated: drawing one takes a search. */
const zipfPicks = 1 << 22;

/** Picks the index of the next conversation. */
export function picker(distribution: Distribution, conversations: number, seed: number): () => number {
  if (conversations === 1) return () => 0;
  const random = randomUint32(seed);
  if (distribution === 'uniform') return () => random() % conversations;
  const picks = zipf(conversations, random);
  let at = 0;
  return () => {
    at = (at + 1) % zipfPicks;
    return picks[at]!;
  };
}

function zipf(conversations: number, random: () => number): Uint32Array {
  const upTo = new Float64Array(conversations);
  let total = 0;
  for (let index = 0; index < conversations; index += 1) {
    total += 1 / (index + 1) ** zipfExponent;
    upTo[index] = total;
  }
  const picks = new Uint32Array(zipfPicks);
  for (let pick = 0; pick < zipfPicks; pick += 1) {
    const wanted = (random() / 2 ** 32) * total;
    let low = 0;
    let high = conversations - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (upTo[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    picks[pick] = low;
  }
  return picks;
}

/** Mulberry32: integers from 0 to 2^32 − 1. */
export function randomUint32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}
