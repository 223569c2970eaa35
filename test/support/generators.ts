/** Generators for unit tests: in memory on the real clock, or simulated on a virtual one. */

import { expect } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import type { GeneratorOptions } from '../../src/core/options.js';
import { SequenceGenerator as CoreGenerator } from '../../src/core/sequence-generator.js';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { TidemarkError } from '../../src/errors.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { Random } from './random.js';
import { SimulatedCounterStore } from './simulated-counter-store.js';
import { noFaults } from './simulated-faults.js';
import { SimulatedLedger } from './simulated-ledger.js';
import { type SimulatedCluster, SimulatedRedis } from './simulated-redis.js';
import { VirtualClock } from './virtual-clock.js';

export const g1 = groupChat('g1');

/** A generator in memory. */
export function embedded(options: Partial<GeneratorOptions> = {}) {
  const counters = new MemoryCounterStore();
  const ledger = new MemoryLedger();
  const events: TidemarkEvent[] = [];
  const sequences = new SequenceGenerator({
    counters,
    ledger,
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { counters, ledger, events, sequences };
}

/** A generator over simulated stores without faults. */
export function simulated(options: Partial<GeneratorOptions> = {}) {
  return simulatedOver(new SimulatedRedis(), options);
}

/** The same over several primaries. */
export function simulatedOver<Redis extends SimulatedRedis | SimulatedCluster>(
  redis: Redis,
  options: Partial<GeneratorOptions> = {},
) {
  const clock = new VirtualClock();
  const random = new Random(1);
  const counters = new SimulatedCounterStore(redis, clock, random, noFaults);
  const ledger = new SimulatedLedger(clock, random, noFaults);
  const events: TidemarkEvent[] = [];
  const sequences = new CoreGenerator({
    clock,
    counters,
    ledger,
    onEvent: (event) => events.push(event),
    ...options,
  });
  return { clock, redis, counters, ledger, events, sequences };
}

/** The error that the work ends with. */
export function failure(work: Promise<unknown>): Promise<TidemarkError> {
  return work.then(
    () => {
      throw new Error('it succeeded');
    },
    (error: unknown) => {
      expect(error).toBeInstanceOf(TidemarkError);
      return error as TidemarkError;
    },
  );
}
