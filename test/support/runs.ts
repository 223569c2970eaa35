/**
 * How often randomised tests run, and from which seed: always the same one, so that what they say of a tree does not change
 * with the day. `TIDEMARK_RUNS` and `TIDEMARK_SEED` change them; fast-check prints the seed and the path of a failure, and
 * `TIDEMARK_SEED` replays it.
 */
export const runs = Number(process.env['TIDEMARK_RUNS'] ?? 1_000);
export const seed = Number(process.env['TIDEMARK_SEED'] ?? 1);

/** Parameters for `fc.assert`. */
export const randomised = { numRuns: runs, seed };
