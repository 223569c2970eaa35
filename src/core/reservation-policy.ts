/** How large the next block is. Pure. */

/** Most numbers of one block: two of them fit into a counter word. */
export const maxBlockSize = 4_500;

/** Always the same size, or a size that follows demand. Sizes are 1 to 4,500 numbers. */
export type ReservationPolicy =
  | { readonly kind: 'fixed'; readonly size: number }
  | {
      readonly kind: 'adaptive';
      /** Size of a conversation's first block, and the smallest. */
      readonly initial: number;
      /** The largest size. */
      readonly max: number;
      /** A block that lasted less than this doubles the next one, in milliseconds. */
      readonly growBelowMs: number;
      /** A block that lasted more than this halves the next one, in milliseconds. */
      readonly shrinkAboveMs: number;
    };

/** Starts with 64, doubles below a minute, halves above ten, at most 4,500. */
export const defaultReservationPolicy: ReservationPolicy = {
  kind: 'adaptive',
  initial: 64,
  max: maxBlockSize,
  growBelowMs: 60_000,
  shrinkAboveMs: 600_000,
};

/** Whether a word with so much left needs its next block: less than half of the last one is left. */
export function isLow(remaining: number, blockSize: number): boolean {
  return remaining * 2 < blockSize;
}

/** How large blocks are, for all that is known before the first was seen. */
export function firstBlockSize(policy: ReservationPolicy): number {
  return policy.kind === 'fixed' ? policy.size : policy.initial;
}

/** The block before this one: its size, and how long ago it was reserved; undefined for the first block. */
export interface PreviousBlock {
  readonly size: number;
  readonly ageMs: number;
  /** False when it was lost instead of used up: then it says nothing about demand. */
  readonly usedUp: boolean;
}

/** The size of the next block: at least `need`, whatever the policy says. */
export function nextBlockSize(
  policy: ReservationPolicy,
  previous: PreviousBlock | undefined,
  need: number,
): number {
  return Math.max(need, wantedSize(policy, previous));
}

function wantedSize(policy: ReservationPolicy, previous: PreviousBlock | undefined): number {
  if (policy.kind === 'fixed') return policy.size;
  if (previous === undefined) return policy.initial;
  let size = previous.size;
  if (previous.ageMs > policy.shrinkAboveMs) size = Math.floor(size / 2);
  // A clock that went back gives a negative age; it says nothing about demand.
  else if (previous.usedUp && previous.ageMs >= 0 && previous.ageMs < policy.growBelowMs) size *= 2;
  return Math.min(policy.max, Math.max(policy.initial, size));
}
