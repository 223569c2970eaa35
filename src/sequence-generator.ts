import type { GeneratorOptions } from './core/options.js';
import { SequenceGenerator as CoreGenerator } from './core/sequence-generator.js';
import { systemClock } from './system-clock.js';

/**
 * Issues the sequence numbers of conversations: 1, 2, 3 … in each, never one twice, never backwards.
 *
 * Every call is tried inside until its deadline; what stood in the way then is the code of its error.
 *
 * @example
 * ```ts
 * import { groupChat, MemoryCounterStore, MemoryLedger, SequenceGenerator } from 'tidemark';
 * const sequences = new SequenceGenerator({ counters: new MemoryCounterStore(), ledger: new MemoryLedger() });
 * console.log(await sequences.next(groupChat('g1'))); // 1
 * console.log(await sequences.next(groupChat('g1'))); // 2
 * console.log(await sequences.nextMany(groupChat('g1'), 3)); // { first: 3, last: 5 }
 * console.log(await sequences.current(groupChat('g1'))); // 5
 * await sequences.close();
 * ```
 */
export class SequenceGenerator extends CoreGenerator {
  /**
   * @param options - the two stores, and everything else by default; see {@link GeneratorOptions}
   * @throws TidemarkError `invalid_argument`
   */
  constructor(options: GeneratorOptions) {
    super({ clock: systemClock, ...options });
  }
}
