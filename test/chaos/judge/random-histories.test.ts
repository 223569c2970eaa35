/** Random histories: correct ones are clean, one planted violation is found, and a plain judge that looks at all pairs agrees. */

import { describe, expect, it } from 'vitest';
import { Random } from '../../support/random.js';
import { runs, seed } from '../../support/runs.js';
import { type DrawnHistory, drawHistory } from './drawn-history.js';
import type { ViolationKind } from './judge.js';
import { judged } from './written-history.js';

const seeds = Array.from({ length: Math.ceil(runs / 2) }, (_, run) => seed + run);

describe(`random histories (seed ${seed})`, () => {
  it('correct ones are clean', () => {
    let calls = 0;
    for (const drawn of seeds) {
      const verdict = judged(drawHistory(drawn));
      expect(verdict.violations, `seed ${drawn}`).toEqual([]);
      calls += verdict.counts.calls;
    }
    expect(calls / seeds.length).toBeGreaterThan(20);
  });

  it.each(Object.keys(plants()) as ViolationKind[])(
    '%s that is planted is found, and nothing else',
    (kind) => {
      let planted = 0;
      for (const drawn of seeds.slice(0, Math.ceil(runs / 10))) {
        const history = drawHistory(drawn);
        const plant = plants()[kind](history, new Random(drawn));
        if (plant === undefined) continue;
        planted += 1;
        const { highest } = history.chats.find(({ name }) => name === plant.conversation)!;
        const { violations } = judged({
          clients: [...history.clients, ...plant.clients],
          // Readers may pass all that was there before.
          gaps: [...history.gaps, `G ${plant.conversation} 1 ${highest} lease_expired`],
        });
        const found = new Set(violations.map((violation) => `${violation.kind} ${violation.conversation}`));
        expect([...found], `seed ${drawn}`).toEqual([`${kind} ${plant.conversation}`]);
      }
      expect(planted).toBeGreaterThan(0);
    },
  );

  it('of any numbers at all, a plain judge says the same', () => {
    const found = { duplicates: 0, smaller: 0, unexplained: 0, missing: 0 };
    for (const drawn of seeds) {
      const { calls, gaps, clients } = drawJunk(new Random(drawn));
      const verdict = judged({
        clients,
        gaps: gaps.map(([first, last]) => `G g ${first} ${last} word_lost`),
      });
      const { duplicates, missing, unexplained } = verdict.counts;
      const expected = plainly(calls, gaps);
      expect({ duplicates, missing, unexplained, smaller: verdict.found.P2 }, `seed ${drawn}`).toEqual(
        expected,
      );
      for (const key of Object.keys(found) as (keyof typeof found)[]) found[key] += expected[key];
    }
    // None of them agrees because there is nothing to find.
    for (const count of Object.values(found)) expect(count).toBeGreaterThan(0);
  });
});

interface Plant {
  readonly conversation: string;
  readonly clients: string[][];
}

/** One violation of each kind, at the end of a history. */
function plants(): Record<ViolationKind, (history: DrawnHistory, random: Random) => Plant | undefined> {
  return {
    P1: ({ clients, endsAt }, random) => {
      const got = callsOf(clients).filter(({ messageId }) => messageId === undefined);
      const one = got[random.below(got.length)];
      if (one === undefined) return undefined;
      // It starts before all others, so that its number is not too small.
      const number = one.first + random.below(one.last - one.first + 1);
      return plant(one.conversation, ['S 0 $ 1 0', `E 0 ${number} ${number} ${endsAt}`]);
    },
    P2: (history, random) => {
      const { at, next, conversation } = endOf(history, random);
      const larger = [`S 0 $ 1 ${at}`, `E 0 ${next + 1} ${next + 1} ${at + 1}`];
      return plant(conversation, larger, [`S 0 $ 1 ${at + 2}`, `E 0 ${next} ${next} ${at + 3}`]);
    },
    P4: (history, random) => {
      const { at, next, conversation } = endOf(history, random);
      // More than may have died with all callers.
      const first = next + 1_000;
      return plant(conversation, [`S 0 $ 1 ${at}`, `E 0 ${first} ${first} ${at + 1}`]);
    },
    P5: (history, random) => {
      const { at, next, conversation, renumbered } = endOf(history, random);
      const message = callsOf(history.clients).find(
        (call) =>
          call.conversation === conversation &&
          call.messageId !== undefined &&
          !renumbered.has(call.messageId),
      );
      if (message === undefined) return undefined;
      return plant(conversation, [`S 0 $ 1 ${at} ${message.messageId}`, `E 0 ${next} ${next} ${at + 1}`]);
    },
    passed: (history, random) => {
      const { take, at, next, conversation } = endOf(history, random);
      return plant(conversation, [...take, `P 0 ${at + 3}`], [`C $ ${next} ${at + 2}`]);
    },
    hasty: (history, random) => {
      const { take, at, conversation } = endOf(history, random);
      return plant(conversation, [...take, `P 0 ${at + 2}`, `D 0 told ${at + 3}`]);
    },
    unexplained: (history, random) => {
      const { take, at, next, conversation } = endOf(history, random);
      return plant(conversation, take, [`C $ ${next} ${at + 900}`]);
    },
  };
}

/** Where a history can go on in one of its conversations, and a tracked take that does so. */
function endOf({ chats, endsAt: at }: DrawnHistory, random: Random) {
  const { name: conversation, highest, renumbered } = chats[random.below(chats.length)]!;
  const next = highest + 1;
  const take = [`S 0 $ 1 ${at} - t`, `E 0 ${next} ${next} ${at + 1} o${at + 100}`];
  return { conversation, at, next, take, renumbered };
}

function plant(conversation: string, ...clients: string[][]): Plant {
  return {
    conversation,
    clients: clients.map((lines) => lines.map((line) => line.replace('$', () => conversation))),
  };
}

function callsOf(clients: readonly string[][]) {
  return clients.flatMap((lines) => {
    const starts = new Map(
      lines.filter((line) => line.startsWith('S')).map((line) => [line.split(' ')[1]!, line.split(' ')]),
    );
    return lines
      .filter((line) => line.startsWith('E'))
      .map((line) => {
        const [, call, first, last] = line.split(' ');
        const [, , conversation, , , messageId] = starts.get(call!)!;
        const id = messageId === '-' ? undefined : messageId;
        return { conversation: conversation!, first: Number(first), last: Number(last), messageId: id };
      });
  });
}

interface JunkCall {
  readonly start: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
  readonly messageId: string | undefined;
  readonly fate: 'numbers' | 'failed' | 'died';
}

type GapRange = readonly [first: number, last: number];

/** Calls of one conversation that get any numbers at all, in three files. */
function drawJunk(random: Random) {
  const ends = Array.from({ length: 1 + random.below(25) }, (_, index) => index * 10);
  const calls = ends.map((end): JunkCall => {
    const first = 1 + random.below(30);
    const messageId = random.chance(0.3) ? `m${random.below(4)}` : undefined;
    const count = messageId === undefined && random.chance(0.4) ? 1 + random.below(6) : 1;
    return {
      // Often the very moment in which another call ends.
      start: Math.max(0, end - 10 * random.below(6) - (random.chance(0.5) ? 5 : 0)),
      ...{ end, first, last: first + count - 1, messageId },
      fate: random.chance(0.85) ? 'numbers' : random.chance(0.5) ? 'failed' : 'died',
    };
  });
  const lines = calls.map((call, index) => ({ file: random.below(3), call, index }));
  const clients = [0, 1, 2].map((file) => {
    const own = lines.filter((line) => line.file === file);
    const moments = own.flatMap(({ call: { start, end, first, last, messageId, fate }, index }) => [
      { at: start, text: `S ${index} g ${last - first + 1} ${start} ${messageId ?? '-'}` },
      ...(fate === 'numbers' ? [{ at: end, text: `E ${index} ${first} ${last} ${end}` }] : []),
      ...(fate === 'failed' ? [{ at: end, text: `F ${index} timeout ${end}` }] : []),
    ]);
    // Stable, so that a call does not end before it starts; and starts are first at the same moment.
    const rank = (text: string) => (text.startsWith('S') ? 0 : 1);
    moments.sort((one, other) => one.at - other.at || rank(one.text) - rank(other.text));
    return [...moments.map(({ text }) => text), 'X 1000'];
  });
  const gaps = Array.from({ length: random.below(4) }, (): GapRange => {
    const first = 1 + random.below(30);
    return [first, first + random.below(5)];
  });
  return { calls, gaps, clients };
}

/** All pairs of calls, and all numbers, one by one. Calls are in the order in which they end. */
function plainly(calls: readonly JunkCall[], gaps: readonly GapRange[]) {
  const replied = calls.filter(({ fate }) => fate === 'numbers');
  const fresh = replied.filter(
    (call, index) =>
      call.messageId === undefined ||
      !replied
        .slice(0, index)
        .some((before) => before.messageId === call.messageId && before.first === call.first),
  );
  const isIn = (number: number, { first, last }: JunkCall) => first <= number && number <= last;
  let duplicates = 0;
  let smaller = 0;
  for (const [index, call] of fresh.entries()) {
    for (let number = call.first; number <= call.last; number += 1)
      if (fresh.slice(0, index).some((before) => isIn(number, before))) duplicates += 1;
    if (fresh.some((before) => before.end < call.start && before.last >= call.first)) smaller += 1;
  }
  let missing = 0;
  let unexplained = 0;
  const highest = Math.max(0, ...fresh.map(({ last }) => last));
  for (let number = 1; number <= highest; number += 1) {
    if (fresh.some((call) => isIn(number, call))) continue;
    missing += 1;
    if (!gaps.some(([first, last]) => first <= number && number <= last)) unexplained += 1;
  }
  const died = calls.filter(({ fate }) => fate === 'died');
  const lost = died.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return { duplicates, smaller, missing, unexplained: unexplained <= lost ? 0 : unexplained };
}
