import { expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { embedded, failure, g1 } from '../support/generators.js';

it('an immediate take does not overtake calls that wait', async () => {
  const { sequences } = embedded();
  // The first waits for its block, so the others have to wait behind it.
  const first = [sequences.next(g1), sequences.nextMany(g1, 3), sequences.next(g1)];
  expect(await Promise.all(first)).toEqual([1, { first: 2, last: 4 }, 5]);
  expect(await Promise.all([sequences.next(g1), sequences.next(g1)])).toEqual([6, 7]);
  const mixed = [sequences.next(g1, { messageId: 'm' }), sequences.next(g1), sequences.nextMany(g1, 2)];
  expect(await Promise.all(mixed)).toEqual([{ number: 8, repeated: false }, 9, { first: 10, last: 11 }]);
  await sequences.close();
});

it('an immediate take asks for the next block, and calls that need it wait', async () => {
  const { ledger, sequences } = embedded({ reservation: { kind: 'fixed', size: 10 } });
  const numbers = await Promise.all(Array.from({ length: 100 }, () => sequences.next(g1)));
  expect(numbers).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
  const one: number[] = [];
  while (one.length < 100) one.push(await sequences.next(g1));
  expect(one).toEqual(Array.from({ length: 100 }, (_, index) => index + 101));
  const [entry] = await ledger.load([g1.key]);
  expect(entry!.ceiling).toBeGreaterThanOrEqual(200);
  await sequences.close();
});

it('callers that never wait leave timers and sockets their turn', async () => {
  const { sequences } = embedded();
  await sequences.next(g1);
  let turns = 0;
  const count = () => {
    turns += 1;
    if (turns < 1_000) setImmediate(count);
  };
  setImmediate(count);
  for (let calls = 0; calls < 100_000; calls += 1) await sequences.next(g1);
  expect(turns).toBeGreaterThanOrEqual(10);
  await sequences.close();
});

it('a policy that throws fails its call before anything is taken', async () => {
  let broken = false;
  const { sequences } = embedded({
    reservationFor: () => {
      if (broken) throw new Error('no policy today');
      return undefined;
    },
  });
  const other = groupChat('other');
  expect(await sequences.next(other)).toBe(1);
  broken = true;
  const error = await failure(sequences.next(other));
  expect(error.code).toBe('invalid_argument');
  broken = false;
  expect(await sequences.next(other)).toBe(2);
  await sequences.close();
});

it('another history in the store is found out before anything else is taken', async () => {
  const { counters, sequences, ledger } = embedded();
  expect([await sequences.next(g1), await sequences.next(g1)]).toEqual([1, 2]);
  counters.lose();
  expect(await sequences.next(g1)).toBe(65);
  expect(await ledger.gaps(g1.key, { from: 1, to: 64, limit: 10 })).toMatchObject([{ first: 1, last: 64 }]);
  await sequences.close();
  expect((await failure(sequences.next(g1))).code).toBe('closed');
});
