import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryRoot } from '../support/compiled.js';
import { type FaultName, faultKinds, kindsOf } from './fault-kinds.js';
import type { Excuses } from './judge/judge.js';
import {
  drawSchedule,
  faultsOf,
  lossSpacingMs,
  type Schedule,
  type Topology,
  topologies,
} from './schedule.js';

const seeds = Array.from({ length: 600 }, (_, seed) => seed);
const allOf = (topology: Topology) => seeds.map((seed) => drawSchedule(seed, topology));

describe.each(topologies)('schedules: %s', (topology) => {
  const schedules = allOf(topology);

  it('the same seed and options, the same schedule; another seed, another one', () => {
    expect(allOf(topology)).toEqual(schedules);
    const different = new Set(schedules.map((schedule) => JSON.stringify({ ...schedule, seed: 0 })));
    expect(different.size).toBe(schedules.length);
  });

  it('every fault that it can have comes, and no other', () => {
    const drawn = new Set(schedules.flatMap(({ faults }) => faults.map(({ kind }) => kind)));
    expect([...drawn].sort()).toEqual([...kindsOf(topology)].sort());
  });

  it('faults begin in time, last as long as their kind may, and hit something', () => {
    for (const { faults, lengthMs, seed } of schedules)
      for (const { kind, atMs, durationMs, pick } of faults) {
        const [shortest, longest] = faultKinds[kind].durationMs;
        const where = `seed ${seed}, ${kind}`;
        expect(durationMs >= shortest && durationMs <= longest, where).toBe(true);
        expect(pick >= 0 && pick < 1 && atMs >= 0, where).toBe(true);
        if (faultKinds[kind].losesWords !== true) expect(atMs, where).toBeLessThan(lengthMs);
      }
  });

  it('words are not lost twice in short time, and only ever by the group of the counters', () => {
    for (const schedule of schedules) {
      const losses = schedule.faults.filter(({ kind }) => faultKinds[kind].losesWords);
      for (const [index, { kind, atMs }] of losses.entries()) {
        // Those of one group wait for each other, so that what is spaced here is spaced in a run.
        expect(faultKinds[kind].group).toBe('counters');
        const before = losses[index - 1];
        if (before === undefined) continue;
        const since = atMs - (before.atMs + before.durationMs);
        expect(since, `seed ${schedule.seed}`).toBeGreaterThanOrEqual(lossSpacingMs);
      }
    }
  });

  it('no run loses both words and entries, and with words nobody goes on without the ledger', () => {
    for (const { faults, workload, seed } of schedules) {
      const does = (trait: 'losesWords' | 'losesEntries' | 'ledgerAway') =>
        faults.some(({ kind }) => faultKinds[kind][trait]);
      expect(does('losesWords') && does('losesEntries'), `seed ${seed}`).toBe(false);
      if (does('losesWords') && does('ledgerAway'))
        expect(workload.ledgerOutage, `seed ${seed}`).toBe('refuse');
    }
  });
});

it('what is asked for is not left to the seed', () => {
  const only: FaultName[] = ['kill-client', 'flush', 'kill-ledger'];
  const options = { only, lengthMs: 700, persistence: 'rdb', workload: { clients: 9 } } as const;
  const schedule = drawSchedule(1, 'standalone', options);
  expect(schedule.faults.map(({ kind }) => kind).sort()).toEqual([...only].sort());
  expect(schedule).toMatchObject({ lengthMs: 700, persistence: 'rdb', workload: { clients: 9 } });
  const among = drawSchedule(1, 'standalone', { among: ['kill-client', 'pause-client'], count: 20 });
  expect(among.faults).toHaveLength(20);
  expect(new Set(among.faults.map(({ kind }) => kind))).toEqual(new Set(['kill-client', 'pause-client']));
});

it('the faults of a group are in the order in which they happen, and each is in one group', () => {
  const schedule = drawSchedule(1, 'standalone', { count: 40 });
  const groups = (['clients', 'operators', 'counters', 'ledger'] as const).map((group) =>
    faultsOf(schedule, group),
  );
  expect(groups.flat()).toHaveLength(40);
  for (const faults of groups)
    expect(faults).toEqual(schedule.faults.filter((fault) => faults.includes(fault)));
});

describe('excuses', () => {
  const nothing: Excuses = { order: false, silentReceipts: false, reading: false };
  const everything: Excuses = { order: true, silentReceipts: true, reading: true };
  const guarantees = readFileSync(path.join(repositoryRoot, 'docs/guarantees.md'), 'utf8').replace(
    /\s+/g,
    ' ',
  );
  const splitBrain = [
    '*Split brain.* Processes on an isolated old',
    '*Split brain.* An isolated old primary can',
  ];
  const forgotten = 'Receipts were lost with the history unchanged: `FLUSHALL`, or an eviction';
  const receipts = { ...nothing, silentReceipts: true };

  /** With exactly these faults a run is excused, and this is where the documentation says so. */
  const excused: readonly (readonly [Topology, readonly FaultName[], Excuses, readonly string[]])[] = [
    ['standalone', ['split-brain'], everything, splitBrain],
    ['standalone', ['switch-over'], everything, splitBrain],
    ['sentinel', ['hang-primary'], everything, splitBrain],
    ['cluster', ['hang-primary'], everything, splitBrain],
    ['sentinel', ['isolate-primary'], everything, splitBrain],
    ['sentinel', ['kill-primary', 'kill-sentinel'], everything, splitBrain],
    ['sentinel', ['kill-primary', 'pause-sentinel'], everything, splitBrain],
    [
      'cluster',
      ['kill-primary', 'move-slots'],
      everything,
      ["*A slot that comes back to a cluster's primary,*"],
    ],
    [
      ...(['standalone', ['counter-clock-jump'], { ...receipts, reading: true }] as const),
      [
        'by the clock of Redis: set forward, it ends early',
        'Leases end by the clock of Redis: set forward, it ends them',
      ],
    ],
    ...(['standalone', 'sentinel', 'cluster'] as const).flatMap((topology) =>
      (['flush', 'delete-words', 'evict-words'] as const).map(
        (kind) => [topology, [kind], receipts, [forgotten]] as const,
      ),
    ),
    ['standalone', ['restart-counters', 'kill-client'], receipts, ['the process that knew has died']],
    ...(['kill-client', 'restart-client', 'pause-client'] as const).map(
      (kind) => ['embedded', [kind], receipts, ['Embedded: a restart forgets message ids.']] as const,
    ),
  ];

  it.each(excused)('%s, %j', (topology, only, excuses, documented) => {
    expect(drawSchedule(1, topology, { only }).excuses).toEqual(excuses);
    for (const text of documented) expect(guarantees).toContain(text);
  });

  it('any other fault by itself excuses nothing', () => {
    for (const topology of topologies)
      for (const kind of kindsOf(topology)) {
        const isExcused = excused.some(
          ([of, only]) => of === topology && only.length === 1 && only[0] === kind,
        );
        const { excuses } = drawSchedule(1, topology, { only: [kind] });
        if (!isExcused) expect(excuses, `${topology} ${kind}`).toEqual(nothing);
      }
  });

  it('there are runs without any, on every topology, in which words are lost', () => {
    const isStrict = ({ excuses, faults }: Schedule) =>
      !Object.values(excuses).includes(true) && faults.some(({ kind }) => faultKinds[kind].losesWords);
    for (const topology of topologies.filter((name) => name !== 'embedded'))
      expect(allOf(topology).filter(isStrict).length, topology).toBeGreaterThan(20);
  });
});
