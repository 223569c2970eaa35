/** Which conversation gets the next number. The same seed gives the same picks. */

import { Random } from '../../test/support/random.js';

export type Distribution = 'uniform' | 'zipf';

export const zipfExponent = 1.1;
/** So many picks are drawn before the run and then repeated: drawing one takes a search. */
const zipfPicks = 1 << 22;

/** Picks the index of the next conversation. */
export function picker(distribution: Distribution, conversations: number, seed: number): () => number {
  if (conversations === 1) return () => 0;
  const random = new Random(seed);
  if (distribution === 'uniform') return () => random.uint32() % conversations;
  const picks = zipf(conversations, random);
  let at = 0;
  return () => {
    at = (at + 1) % zipfPicks;
    return picks[at]!;
  };
}

function zipf(conversations: number, random: Random): Uint32Array {
  const upTo = new Float64Array(conversations);
  let total = 0;
  for (let index = 0; index < conversations; index += 1) {
    total += 1 / (index + 1) ** zipfExponent;
    upTo[index] = total;
  }
  const picks = new Uint32Array(zipfPicks);
  for (let pick = 0; pick < zipfPicks; pick += 1) {
    const wanted = random.next() * total;
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
