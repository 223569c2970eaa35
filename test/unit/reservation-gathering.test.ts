import { expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { g1, simulated } from '../support/generators.js';

const reservation = { kind: 'fixed', size: 10 } as const;

/** A simulated generator that counts the transactions of its ledger. */
function counted() {
  const world = simulated({ reservation });
  const batches: number[] = [];
  const beganAtMs: number[] = [];
  const reserve = world.ledger.reserve.bind(world.ledger);
  world.ledger.reserve = (requests) => {
    batches.push(requests.length);
    beganAtMs.push(world.clock.monotonicMs());
    return reserve(requests);
  };
  return { ...world, batches, beganAtMs };
}

it('refills that nobody waits for are gathered into one transaction', async () => {
  const { clock, sequences, batches } = counted();
  const groups = Array.from({ length: 20 }, (_, index) => groupChat(`g${index}`));
  await clock.run(Promise.all(groups.map((group) => sequences.nextMany(group, 5))));
  batches.length = 0;
  // The sixth number leaves less than half of each block. They come one after the other, within a few milliseconds.
  await clock.run(
    (async () => {
      for (const group of groups) await sequences.next(group);
      await clock.sleep(50);
    })(),
  );
  expect(batches.reduce((sum, size) => sum + size, 0)).toBe(20);
  expect(batches.length).toBeLessThan(10);
  await clock.run(sequences.close());
});

it('a refill that is gathered does not tarry when a call waits for it', async () => {
  const { clock, sequences, batches, beganAtMs } = counted();
  await clock.run(sequences.nextMany(g1, 6));
  batches.length = 0;
  const startedAtMs = clock.monotonicMs();
  expect(await clock.run(sequences.nextMany(g1, 5))).toEqual({ first: 7, last: 11 });
  expect(batches).toEqual([1]);
  // Earlier than refills are gathered for: with the answer that the block is too short.
  expect(beganAtMs.at(-1)! - startedAtMs).toBeLessThan(9);
  await clock.run(sequences.close());
});
