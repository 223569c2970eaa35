import { describe, expect, it } from 'vitest';
import { maxRemaining, maxSequenceNumber } from '../../src/core/counter-word.js';
import type { LedgerEntry, ReserveRequest } from '../../src/core/ledger.js';
import {
  decideFreeze,
  decideHandBack,
  decideReservation,
  freezeMs,
  installWindowMs,
} from '../../src/core/recovery.js';
import { defaultReservationPolicy } from '../../src/core/reservation-policy.js';

const nowMs = 1_700_000_000_000;
const longAgoMs = nowMs - 5_000;

function entry(
  ceiling: number,
  floor: number,
  generation: number,
  more: Partial<LedgerEntry> = {},
): LedgerEntry {
  return {
    conversation: 'group:g',
    ceiling,
    floor,
    generation,
    blockSize: 10,
    reservedAtMs: longAgoMs,
    frozenUntilMs: 0,
    ...more,
  };
}

function request(
  generation: number,
  saw?: readonly [number, number],
  more: Partial<ReserveRequest> = {},
): ReserveRequest {
  return {
    conversation: 'group:g',
    generation,
    saw: saw && { last: saw[0], remaining: saw[1] },
    need: 1,
    policy: { kind: 'fixed', size: 10 },
    ...more,
  };
}

const written = (ceiling: number, floor: number, generation: number, blockSize = 10): LedgerEntry =>
  entry(ceiling, floor, generation, { blockSize, reservedAtMs: nowMs });

/** The rows of the table at the top of recovery.ts, in its order. */
const rows: readonly {
  name: string;
  entry: LedgerEntry | undefined;
  request: ReserveRequest;
  outcome: object;
  writes: LedgerEntry | undefined;
}[] = [
  {
    name: 'newer generation, no word: fenced',
    entry: entry(10, 0, 3),
    request: request(2),
    outcome: { status: 'fenced', newerGeneration: 3 },
    writes: undefined,
  },
  {
    name: 'newer generation, a word above the ledger: fenced all the same (I6)',
    entry: entry(10, 0, 3),
    request: request(2, [90, 10]),
    outcome: { status: 'fenced', newerGeneration: 3 },
    writes: undefined,
  },
  {
    name: 'no entry, no word: new',
    entry: undefined,
    request: request(1),
    outcome: {
      status: 'reserved',
      kind: 'new',
      mode: 'install',
      block: { start: 0, end: 10 },
      blockSize: 10,
    },
    writes: written(10, 0, 1),
  },
  {
    name: 'no entry, a word: healed',
    entry: undefined,
    request: request(1, [90, 10]),
    outcome: { status: 'reserved', kind: 'healed', mode: 'extend', block: { start: 100, end: 110 } },
    writes: written(110, 90, 1),
  },
  {
    name: 'ceiling below the word: healed',
    entry: entry(50, 45, 1),
    request: request(1, [90, 10]),
    outcome: { status: 'reserved', kind: 'healed', mode: 'extend', block: { start: 100, end: 110 } },
    writes: written(110, 90, 1),
  },
  {
    name: 'ceiling below the word, older generation: healed, and the generation raised',
    entry: entry(50, 45, 1),
    request: request(4, [90, 10]),
    outcome: { status: 'reserved', kind: 'healed', mode: 'extend', block: { start: 100, end: 110 } },
    writes: written(110, 90, 4),
  },
  {
    name: 'ceiling equal: extended',
    entry: entry(10, 0, 1),
    request: request(1, [7, 3]),
    outcome: { status: 'reserved', kind: 'extended', mode: 'extend', block: { start: 10, end: 20 } },
    writes: written(20, 7, 1),
  },
  {
    name: 'ceiling equal, a look older than the floor: extended, and the floor stays',
    entry: entry(10, 9, 1),
    request: request(1, [7, 3]),
    outcome: { status: 'reserved', kind: 'extended', block: { start: 10, end: 20 } },
    writes: written(20, 9, 1),
  },
  {
    name: 'same generation, ceiling above the word: adopted',
    entry: entry(20, 7, 1, { reservedAtMs: nowMs }),
    request: request(1, [9, 1]),
    outcome: {
      status: 'reserved',
      kind: 'adopted',
      mode: 'extend',
      block: { start: 10, end: 20 },
      blockSize: 10,
    },
    writes: undefined,
  },
  {
    name: 'same generation, ceiling far above the word: adopted as far as a word can hold',
    entry: entry(50_000, 0, 1),
    request: request(1, [100, 50]),
    outcome: { status: 'reserved', kind: 'adopted', block: { start: 150, end: 100 + maxRemaining } },
    writes: undefined,
  },
  {
    name: 'older generation, ceiling above the word: takeover',
    entry: entry(20, 7, 1),
    request: request(2, [9, 1]),
    outcome: {
      status: 'reserved',
      kind: 'takeover',
      mode: 'install',
      block: { start: 20, end: 30 },
      gap: { conversation: 'group:g', first: 8, last: 20, reason: 'history_lost', generation: 2 },
    },
    writes: written(30, 20, 2),
  },
  {
    name: 'older generation, no word: takeover at once, however young the reservation',
    entry: entry(20, 7, 1, { reservedAtMs: nowMs }),
    request: request(2),
    outcome: {
      status: 'reserved',
      kind: 'takeover',
      mode: 'install',
      block: { start: 20, end: 30 },
      gap: { first: 8, last: 20, reason: 'history_lost', generation: 2 },
    },
    writes: written(30, 20, 2),
  },
  {
    name: 'same generation, no word, reserved a moment ago: busy',
    entry: entry(10, 0, 1, { reservedAtMs: nowMs - installWindowMs }),
    request: request(1),
    outcome: { status: 'busy' },
    writes: undefined,
  },
  {
    name: 'same generation, no word: takeover (I7)',
    entry: entry(10, 0, 1, { reservedAtMs: nowMs - installWindowMs - 1 }),
    request: request(1),
    outcome: {
      status: 'reserved',
      kind: 'takeover',
      mode: 'install',
      block: { start: 10, end: 20 },
      gap: { first: 1, last: 10, reason: 'word_lost', generation: 1 },
    },
    writes: written(20, 10, 1),
  },
];

describe('the decision table', () => {
  for (const row of rows) {
    it(row.name, () => {
      const decision = decideReservation(row.entry, row.request, nowMs);
      expect(decision.outcome).toMatchObject(row.outcome);
      expect(decision.entry).toEqual(row.writes);
      if (decision.outcome.status === 'reserved' && decision.outcome.kind !== 'takeover') {
        expect(decision.outcome.gap).toBeUndefined();
      }
    });
  }
});

describe('a word that is removed', () => {
  const word = (last: number, remaining: number) => ({ conversation: 'group:g', word: { last, remaining } });
  const frozen = decideFreeze(entry(10, 0, 1), 1, word(4, 6), nowMs)!;

  it('is frozen: nobody of its generation reserves', () => {
    expect(frozen).toEqual(entry(10, 0, 1, { frozenUntilMs: nowMs + freezeMs }));
    for (const saw of [undefined, [4, 6], [10, 0], [2, 1], [90, 10]] as const) {
      const ask = request(1, saw);
      expect(decideReservation(frozen, ask, nowMs + freezeMs - 1), String(saw)).toEqual({
        outcome: { status: 'busy' },
        entry: undefined,
      });
    }
  });

  it('is frozen for its time only; the reservation after it writes no freeze', () => {
    const { outcome, entry: after } = decideReservation(frozen, request(1, [4, 6]), nowMs + freezeMs);
    expect(outcome).toMatchObject({ kind: 'extended' });
    expect(after?.frozenUntilMs).toBe(0);
  });

  it('a freeze keeps neither a newer generation waiting nor the fence from an older one (I6)', () => {
    expect(decideReservation(frozen, request(2), nowMs)).toMatchObject({
      outcome: { kind: 'takeover', gap: { first: 1, last: 10, reason: 'history_lost' } },
      entry: { generation: 2, frozenUntilMs: 0 },
    });
    expect(decideReservation(frozen, request(0), nowMs).outcome).toMatchObject({ status: 'fenced' });
  });

  it('a freeze further ahead than it can last is of a clock that was set back, and counts for nothing', () => {
    const future = entry(10, 0, 1, { frozenUntilMs: nowMs + freezeMs + 1 });
    expect(decideReservation(future, request(1, [4, 6]), nowMs).outcome).toMatchObject({ kind: 'extended' });
    expect(decideFreeze(future, 1, word(4, 6), nowMs)?.frozenUntilMs).toBe(nowMs + freezeMs);
  });

  it('is frozen by one at a time, of its generation, with nothing outstanding', () => {
    expect(decideFreeze(frozen, 1, word(4, 6), nowMs + freezeMs - 1)).toBeUndefined();
    expect(decideFreeze(frozen, 1, word(4, 6), nowMs + freezeMs)).toBeDefined();
    for (const generation of [0, 2])
      expect(decideFreeze(entry(10, 0, 1), generation, word(4, 6), nowMs)).toBeUndefined();
    expect(decideFreeze(entry(20, 4, 1), 1, word(4, 6), nowMs)).toBeUndefined();
    expect(decideFreeze(undefined, 1, word(0, 0), nowMs)).toBeUndefined();
  });

  it('goes back to its last number, and the block size remembers what was left (I2, I14)', () => {
    const back = (...[last, remaining]: [number, number]) =>
      decideHandBack({ ...frozen, ceiling: last + remaining }, 1, word(last, remaining), nowMs);
    expect(back(4, 6)).toEqual(written(4, 4, 1));
    expect(back(4, 60)).toEqual(written(4, 4, 1, 60));
    expect(decideHandBack({ ...frozen, ceiling: 4, blockSize: 0 }, 1, word(4, 0), nowMs)?.blockSize).toBe(1);
    expect(decideHandBack(frozen, 2, word(4, 6), nowMs)).toBeUndefined();
    expect(decideHandBack(frozen, 1, word(4, 5), nowMs)).toBeUndefined();
    expect(decideHandBack(undefined, 1, word(0, 0), nowMs)).toBeUndefined();
  });

  it('I14: the next block passes the old ceiling, so a late grant of before fits nowhere', () => {
    // The word {120, 72} was drained. A duplicate of the grant (128, 192] is still on its way.
    const handedBack = decideHandBack(entry(192, 64, 1, { blockSize: 64 }), 1, word(120, 72), nowMs);
    expect(
      decideReservation(handedBack, request(1, undefined, { policy: { kind: 'fixed', size: 8 } }), nowMs),
    ).toMatchObject({
      outcome: { kind: 'takeover', block: { start: 120, end: 192 }, gap: undefined },
    });
  });

  it('I14: not even a look from before the drain cuts the next block short', () => {
    // The caller saw {0, 4500}. Since then the word became {4500, 9000}, which was drained.
    const handedBack = decideHandBack(entry(13_500, 0, 1), 1, word(4_500, 9_000), longAgoMs);
    expect(decideReservation(handedBack, request(1, [0, 4_500]), nowMs)).toMatchObject({
      outcome: { kind: 'extended', block: { start: 4_500, end: 13_500 } },
      entry: { ceiling: 13_500 },
    });
  });

  it('I14: a look at a word that was drained since is not taken for a ledger that lost something', () => {
    // The caller saw {329, 12}, which was drained. Healing would skip 330…341.
    const handedBack = decideHandBack(entry(341, 309, 1), 1, word(329, 12), nowMs)!;
    for (const saw of [
      [329, 12],
      [320, 21],
      [329, 0],
    ] as const) {
      const { outcome, entry: after } = decideReservation(handedBack, request(1, [...saw]), nowMs);
      expect({ outcome, after }).toEqual({ outcome: { status: 'busy' }, after: undefined });
    }
    // A word that went further than the ledger knows is no old look.
    expect(decideReservation(handedBack, request(1, [330, 11]), nowMs).outcome).toMatchObject({
      kind: 'healed',
    });
  });
});

describe('the edges of the table', () => {
  it('a block that was handed back is taken over at once, without a gap', () => {
    for (const generation of [1, 2]) {
      const handedBack = entry(4, 4, 1, { reservedAtMs: nowMs });
      const { outcome, entry: after } = decideReservation(handedBack, request(generation), nowMs);
      expect(outcome).toMatchObject({ kind: 'takeover', block: { start: 4, end: 14 }, gap: undefined });
      expect(after).toEqual(written(14, 4, generation));
    }
  });

  it('P1, I8: a block that may still be installed is not adopted, or its install would issue it again (seed 189763766)', () => {
    // A looked before (12, 19] was installed, and took over: (19, 24]. Its install is late; B sees the word that lives.
    const takenOver = entry(24, 19, 1, { reservedAtMs: nowMs - installWindowMs });
    expect(decideReservation(takenOver, request(1, [12, 7]), nowMs).outcome).toEqual({ status: 'busy' });
    expect(decideReservation(takenOver, request(1, [12, 7]), nowMs + 1).outcome).toMatchObject({
      kind: 'adopted',
      block: { start: 19, end: 24 },
    });
  });

  it('a reservation from the future is not waited for longer than one from the past', () => {
    const future = (ms: number) => entry(10, 0, 1, { reservedAtMs: nowMs + ms });
    expect(decideReservation(future(installWindowMs), request(1), nowMs).outcome.status).toBe('busy');
    expect(decideReservation(future(installWindowMs + 1), request(1), nowMs).outcome).toMatchObject({
      kind: 'takeover',
    });
  });

  it('a block is as large as what is needed, and never more than a word can hold', () => {
    const needed = decideReservation(undefined, request(1, undefined, { need: 1_000 }), nowMs).outcome;
    expect(needed).toMatchObject({ block: { start: 0, end: 1_000 }, blockSize: 1_000 });
    const huge = request(1, [0, 8_000], { policy: { kind: 'fixed', size: 4_500 } });
    expect(decideReservation(entry(8_000, 0, 1), huge, nowMs).outcome).toMatchObject({
      kind: 'extended',
      block: { start: 8_000, end: maxRemaining },
    });
  });

  it('only a block that was used up makes the next one larger', () => {
    const policy = defaultReservationPolicy;
    const young = { blockSize: 64, reservedAtMs: nowMs - 2_000 };
    const next = (stored: LedgerEntry, ask: ReserveRequest) =>
      decideReservation(stored, ask, nowMs).entry?.blockSize;
    expect(next(entry(64, 0, 1, young), request(1, [60, 4], { policy }))).toBe(128);
    expect(next(entry(64, 0, 1, young), request(2, undefined, { policy }))).toBe(64);
    expect(next(entry(64, 0, 1, young), request(1, [90, 4], { policy }))).toBe(64);
  });

  it('the last block of a conversation is cut at 10^12 - 1, and then it is exhausted', () => {
    const near = maxSequenceNumber - 3;
    const cut = decideReservation(entry(near, 0, 1), request(1, [near, 0]), nowMs);
    expect(cut.outcome).toMatchObject({ kind: 'extended', block: { start: near, end: maxSequenceNumber } });
    expect(cut.entry?.ceiling).toBe(maxSequenceNumber);
    const full = entry(maxSequenceNumber, near, 1);
    for (const ask of [request(1, [maxSequenceNumber, 0]), request(1), request(2)]) {
      expect(decideReservation(full, ask, nowMs)).toEqual({
        outcome: { status: 'exhausted' },
        entry: undefined,
      });
    }
  });
});

describe('the ledger is healed whatever the word looks like', () => {
  it('P1: at the end of the series, too: a later takeover must not begin below what was issued', () => {
    const behind = entry(maxSequenceNumber - 999, 0, 1);
    const healed = decideReservation(behind, request(1, [maxSequenceNumber, 0]), nowMs);
    expect(healed.outcome).toEqual({ status: 'exhausted' });
    expect(healed.entry).toMatchObject({ ceiling: maxSequenceNumber, floor: maxSequenceNumber });
    expect(decideReservation(healed.entry, request(2), nowMs).outcome).toEqual({ status: 'exhausted' });
  });

  it('P6: with a full word, that has no room for another block', () => {
    const healed = decideReservation(entry(64, 0, 1), request(1, [0, maxRemaining]), nowMs);
    expect(healed.outcome).toMatchObject({
      status: 'reserved',
      kind: 'healed',
      block: { start: 9_000, end: 9_000 },
    });
    expect(healed.entry).toMatchObject({ ceiling: 9_000 });
  });
});
