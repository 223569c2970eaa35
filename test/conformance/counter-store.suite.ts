import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TidemarkError } from '../../src/errors.js';
import { describeReceiptKeys, describeReceipts, describeRestoring } from './counter-store.suite.claims.js';
import {
  describeDrain,
  describeGrants,
  describeHistory,
  describeReads,
} from './counter-store.suite.grants.js';
import { describeExpiry, describeHold } from './counter-store.suite.leases.js';
import { asRequests, type CounterStoreSuite, Run } from './counter-store.suite.run.js';
import { describeConcurrency, describeForeign, describeTakes } from './counter-store.suite.takes.js';
import {
  describeForeignClaims,
  describeGenerations,
  describeTracking,
} from './counter-store.suite.tracking.js';

/** The conformance suite of the counter store port. Every adapter runs it on the real store. */
export function run(suite: CounterStoreSuite): void {
  const skipped = new Map(suite.skip?.map(({ test, reason }) => [test, reason]));
  describe(`counter store: ${suite.name}`, () => {
    const r = new Run();
    beforeAll(async () => {
      r.fixture = await suite.create();
      await r.refreshEpoch();
    });
    afterAll(() => r.fixture.stop());
    const test = (name: string, body: () => Promise<void>): void => {
      const reason = skipped.get(name);
      skipped.delete(name);
      if (reason === undefined) it(name, body);
      else it.skip(`${name} (${reason})`, body);
    };

    describeTakes(test, r);
    describeForeign(test, r);
    describeGrants(test, r);
    describeReads(test, r);
    describeReceipts(test, r);
    describeReceiptKeys(test, r);
    describeRestoring(test, r);
    describeTracking(test, r);
    describeHold(test, r);
    describeExpiry(test, r);
    describeGenerations(test, r);
    describeForeignClaims(test, r);
    describeDrain(test, r);
    describeConcurrency(test, r);
    describeHistory(test, r);
    it('skips only tests that exist', () => expect([...skipped.keys()]).toEqual([]));
    // The last one: nothing works behind it.
    test('rejects calls after close', async () => {
      await r.store.close();
      await r.store.close();
      const calls = [
        r.store.history(0),
        r.store.take(r.epoch, asRequests([['group:g', 1]])),
        r.store.grant(r.epoch, []),
        r.store.read(r.epoch, ['group:g']),
        r.store.restoreReceipts(r.epoch, []),
        r.store.track(r.epoch, [], 1),
        r.store.readOpen(r.epoch, []),
        r.store.renew(r.epoch, []),
        r.store.settle(r.epoch, []),
        r.store.expire(r.epoch, []),
        r.store.drain(r.epoch, []),
        r.store.idle(0, r.epoch, 0, new AbortController().signal)[Symbol.asyncIterator]().next(),
      ];
      for (const call of calls) {
        const error = await call.then(
          () => undefined,
          (reason: unknown) => reason,
        );
        expect(error).toBeInstanceOf(TidemarkError);
        expect((error as TidemarkError).code).toBe('closed');
      }
    });
  });
}
