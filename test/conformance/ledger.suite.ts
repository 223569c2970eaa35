import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeHandBack, describeHold } from './ledger.suite.draining.js';
import { describeGenerations, describeKeepAlive, describeRenames } from './ledger.suite.generations.js';
import { describeCompleteMarks } from './ledger.suite.marks.js';
import { describeClosing, describeModel } from './ledger.suite.model.js';
import { describeGaps, describeKeys, describeListing } from './ledger.suite.reading.js';
import { describeBatches, describeDecisions } from './ledger.suite.reserving.js';
import { LedgerRun, type LedgerSuite } from './ledger.suite.run.js';

export type { LedgerSuite } from './ledger.suite.run.js';

/**
 * The conformance suite of the ledger port. Every adapter runs it on the real store.
 *
 * One ledger serves all tests of a run; each test has conversations of its own.
 */
export function runLedgerSuite(suite: LedgerSuite): void {
  describe(`ledger: ${suite.name}`, () => {
    const run = new LedgerRun(suite);
    beforeAll(() => run.start(), 120_000);
    afterAll(() => run.stop(), 60_000);

    describeGenerations(run);
    describeRenames(run);
    describeKeepAlive(run);
    describeDecisions(run);
    describeBatches(run);
    describeKeys(run);
    describeGaps(run);
    describeCompleteMarks(run);
    describeHandBack(run);
    describeHold(run);
    describeListing(run);
    describeModel(run);
    describeClosing(run);

    it('skips only tests that exist', () => {
      expect(run.unknownSkips()).toEqual([]);
    });
  });
}
