/**
 * The decision table under any interleaving: callers that look, reserve and grant one step at a time, on counter stores
 * that lose words, are replaced by others, and go on living beside their successors.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Grant } from '../../src/core/counter-store.js';
import { type CounterWord, ceilingOf, maxRemaining } from '../../src/core/counter-word.js';
import type { LedgerEntry, NewGap } from '../../src/core/ledger.js';
import {
  decideFreeze,
  decideHandBack,
  decideReservation,
  freezeMs,
  installWindowMs,
} from '../../src/core/recovery.js';

const runs = Number(process.env['TIDEMARK_RUNS'] ?? 1_000);
const seed = Number(process.env['TIDEMARK_SEED'] ?? 1);
const conversation = 'group:g';
const callerCount = 3;

type StepKind = (typeof stepKinds)[number];
const stepKinds = [
  'take',
  'look',
  'reserve',
  'grant',
  'refill',
  'lose',
  'replace',
  'follow',
  'wait',
  'drain',
  'freeze',
  'remove',
  'handBack',
  'idle',
  'forget',
] as const;
const work: readonly StepKind[] = ['take', 'take', 'take', 'refill', 'look', 'reserve', 'grant'];

interface Step {
  readonly kind: StepKind;
  readonly caller: number;
  readonly n: number;
}

interface Caller {
  generation: number;
  look: { saw: CounterWord | undefined; atMs: number; generation: number } | undefined;
  grants: { grant: Grant; generation: number }[];
  /** What it is just draining from a store that others use, too: the word as it was frozen, then as it was removed. */
  draining: { word: CounterWord; generation: number; removed: boolean } | undefined;
}

/** One conversation: a ledger entry, a word in each generation's store, and the callers. */
class World {
  nowMs = 1_000_000;
  entry: LedgerEntry | undefined;
  readonly gaps: NewGap[] = [];
  readonly words = new Map<number, CounterWord>();
  readonly issued = new Set<number>();
  readonly callers: Caller[];
  newest = 1;
  /** The ledger has lost something that no caller has put back yet. */
  unhealed = false;
  fenced = 0;
  forgotten = 0;
  handedBack = 0;
  #frozen: { readonly generation: number; readonly untilMs: number } | undefined;
  readonly #before: (LedgerEntry | undefined)[] = [];

  constructor() {
    this.callers = Array.from({ length: callerCount }, () => ({
      generation: 1,
      look: undefined,
      grants: [],
      draining: undefined,
    }));
  }

  run({ kind, caller: index, n }: Step): void {
    const caller = this.callers[index]!;
    const steps: Record<StepKind, () => void> = {
      take: () => this.#take(caller, 1 + (n % 5)),
      look: () => {
        const saw = this.words.get(caller.generation);
        caller.look = { saw, atMs: this.nowMs, generation: caller.generation };
      },
      reserve: () => this.#reserve(caller, n),
      // A grant may run late. An extend may even run again; an install is sent once and runs at most once, because a
      // word that was lost right after it would otherwise come back as it was.
      grant: () => {
        const at = n % Math.max(1, caller.grants.length);
        const one = caller.grants[at];
        if (one === undefined) return;
        if (one.grant.mode === 'install') caller.grants.splice(at, 1);
        this.#grant(one);
      },
      // What a caller does when nobody comes in between.
      refill: () => {
        for (const kind of ['look', 'reserve', 'grant'] as const) this.run({ kind, caller: index, n });
      },
      lose: () => {
        if (!this.unhealed) this.words.delete(caller.generation);
      },
      replace: () => {
        if (this.unhealed) return;
        this.newest += 1;
        caller.generation = this.newest;
      },
      follow: () => {
        caller.generation = this.newest;
      },
      wait: () => {
        this.nowMs += (n % 4) * 400;
      },
      drain: () => this.#drain(caller),
      freeze: () => this.#freeze(caller),
      remove: () => this.#remove(caller),
      handBack: () => this.#handBack(caller),
      // What a caller does with an idle word when nobody comes in between.
      idle: () => {
        for (const kind of ['freeze', 'remove', 'handBack'] as const) this.run({ kind, caller: index, n });
      },
      forget: () => this.#forget(n),
    };
    steps[kind]();
    this.#check();
  }

  #take(caller: Caller, count: number): void {
    const word = this.words.get(caller.generation);
    if (word === undefined || word.remaining < count) return;
    const taken = { last: word.last + count, remaining: word.remaining - count };
    this.words.set(caller.generation, taken);
    for (let number = word.last + 1; number <= taken.last; number += 1) {
      if (this.issued.has(number)) throw new Error(`number ${number} is issued twice`);
      this.issued.add(number);
    }
    // I1. What the ledger has forgotten is known again once it is healed.
    if (!this.unhealed && taken.last > (this.entry?.ceiling ?? 0))
      throw new Error('issued above the ceiling');
  }

  #reserve(caller: Caller, n: number): void {
    const { look } = caller;
    if (look === undefined) return;
    caller.look = undefined;
    const { outcome, entry } = decideReservation(
      this.entry,
      {
        conversation,
        generation: look.generation,
        saw: look.saw,
        need: 1 + (n % 7),
        policy: { kind: 'fixed', size: 1 + (n % 9) },
      },
      this.nowMs,
    );
    if (outcome.status === 'fenced') {
      this.fenced += 1;
      expect(entry).toBeUndefined();
      expect(outcome.newerGeneration).toBeGreaterThan(look.generation);
    }
    if (entry !== undefined) {
      expect(entry.ceiling, 'I2').toBeGreaterThanOrEqual(this.entry?.ceiling ?? 0);
      expect(entry.generation).toBeGreaterThanOrEqual(this.entry?.generation ?? 0);
      expect(entry.floor).toBeLessThanOrEqual(entry.ceiling);
      this.#before.push(this.entry);
      this.entry = entry;
    }
    if (outcome.status !== 'reserved') return;
    // Whoever comes between a freeze and the end of it would leave a gap.
    const isFrozen = this.#frozen?.generation === look.generation && this.nowMs < this.#frozen.untilMs;
    expect(isFrozen, 'reserved though it is frozen').toBe(false);
    expect(outcome.block.end).toBeGreaterThan(outcome.block.start);
    if (outcome.gap !== undefined) this.gaps.push(outcome.gap);
    const { block, mode } = outcome;
    const grant = { conversation, block, mode, expiresAtStoreTimeMs: look.atMs + installWindowMs };
    caller.grants.push({ grant, generation: look.generation });
  }

  /** What grant.lua does. */
  #grant({ grant, generation }: { grant: Grant; generation: number }): void {
    const { start, end } = grant.block;
    const word = this.words.get(generation);
    if (grant.mode === 'install') {
      if (this.nowMs > grant.expiresAtStoreTimeMs) return;
      if (word === undefined || ceilingOf(word) < start) {
        this.words.set(generation, { last: start, remaining: end - start });
        return;
      }
    }
    if (word === undefined || ceilingOf(word) !== start || word.remaining + end - start > maxRemaining)
      return;
    this.words.set(generation, { last: word.last, remaining: word.remaining + end - start });
  }

  /** A private store ends: its words are removed and handed back, and what its callers had sent is gone with it. */
  #drain(caller: Caller): void {
    const word = this.words.get(caller.generation);
    if (word === undefined || this.unhealed) return;
    this.words.delete(caller.generation);
    for (const one of this.callers)
      one.grants = one.grants.filter((sent) => sent.generation !== caller.generation);
    const { entry } = this;
    if (entry?.generation !== caller.generation || entry.ceiling !== ceilingOf(word)) return;
    this.entry = decideHandBack(entry, caller.generation, { conversation, word }, this.nowMs);
    this.#before.length = 0;
  }

  /** A shared store goes on: the word is frozen, then removed, then handed back, and what was sent before may still arrive. */
  #freeze(caller: Caller): void {
    const { generation } = caller;
    const word = this.words.get(generation);
    caller.draining = undefined;
    if (word === undefined) return;
    const frozen = decideFreeze(this.entry, generation, { conversation, word }, this.nowMs);
    if (frozen === undefined) return;
    this.entry = frozen;
    this.#frozen = { generation, untilMs: this.nowMs + freezeMs };
    caller.draining = { word, generation, removed: false };
  }

  #remove(caller: Caller): void {
    const { draining } = caller;
    if (draining === undefined || draining.removed) return;
    const word = this.words.get(draining.generation);
    this.words.delete(draining.generation);
    caller.draining = word && { ...draining, word, removed: true };
  }

  #handBack(caller: Caller): void {
    const { draining } = caller;
    if (!draining?.removed) return;
    caller.draining = undefined;
    const lowered = decideHandBack(
      this.entry,
      draining.generation,
      { conversation, word: draining.word },
      this.nowMs,
    );
    if (lowered === undefined) return;
    this.entry = lowered;
    this.#frozen = undefined;
    this.handedBack += 1;
  }

  /** The ledger goes back to an earlier entry, while Redis is whole, nothing is under way, and no old primary lives. */
  #forget(n: number): void {
    const word = this.words.get(this.newest);
    const isQuiet = this.callers.every((one) => one.generation === this.newest && one.look === undefined);
    if (word === undefined || !isQuiet || this.entry?.generation !== this.newest) return;
    if (ceilingOf(word) !== this.entry.ceiling || this.#before.length === 0) return;
    for (const one of this.callers) one.grants = [];
    this.entry = this.#before[n % this.#before.length];
    this.#before.length = 0;
    this.unhealed = true;
    this.forgotten += 1;
  }

  #check(): void {
    const word = this.words.get(this.newest);
    if (this.unhealed && word !== undefined && (this.entry?.ceiling ?? 0) >= ceilingOf(word))
      this.unhealed = false;
  }

  /** Numbers below the highest one that were neither issued nor recorded in a gap, nor can still be issued. */
  unexplained(): number[] {
    const highest = Math.max(0, ...this.issued);
    const inGap = (number: number) => this.gaps.some(({ first, last }) => first <= number && number <= last);
    const inWord = (number: number) =>
      [...this.words.values()].some((word) => word.last < number && number <= ceilingOf(word));
    const holes: number[] = [];
    for (let number = 1; number < highest; number += 1) {
      if (!this.issued.has(number) && !inGap(number) && !inWord(number)) holes.push(number);
    }
    return holes;
  }
}

/** A schedule is a list of integers: cheap to make, and a failing one shrinks to a few small steps. */
function decode(code: number, faults: readonly StepKind[]): Step {
  const kinds = code % 8 === 7 ? faults : work;
  const rest = Math.floor(code / 8);
  return {
    kind: kinds[rest % kinds.length]!,
    caller: Math.floor(rest / 64) % callerCount,
    n: Math.floor(rest / 1_024),
  };
}

function explore(faults: readonly StepKind[], judge: (world: World) => void): World[] {
  const worlds: World[] = [];
  const schedules = fc.array(fc.nat(2 ** 24), { minLength: 20, maxLength: 400, size: 'max' });
  const property = fc.property(schedules, (schedule) => {
    const world = new World();
    const steps = schedule.map((code) => decode(code, faults));
    try {
      for (const one of steps) world.run(one);
      judge(world);
    } catch (error) {
      const told = steps.map(({ kind, caller, n }) => `${kind} ${caller} ${n}`).join('\n');
      throw new Error(`${String(error)}\nthe steps:\n${told}`, { cause: error });
    }
    worlds.push(world);
  });
  fc.assert(property, { numRuns: runs, seed });
  // Worlds in which nothing happens would prove nothing.
  expect(worlds.reduce((sum, world) => sum + world.issued.size, 0) / worlds.length).toBeGreaterThan(20);
  return worlds;
}

const handedBackIn = (worlds: readonly World[]) => worlds.reduce((sum, world) => sum + world.handedBack, 0);
const gapsOf = (worlds: readonly World[]) => worlds.reduce((sum, world) => sum + world.gaps.length, 0);

describe(`the decision table under any interleaving (seed ${seed})`, () => {
  it('without faults nothing is issued twice, and nothing is skipped', () => {
    // A caller whose look is too old to install may record a gap; the word that lives goes on all the same.
    explore(['wait', 'follow'], (world) => {
      const highest = Math.max(0, ...world.issued);
      const skipped = highest - world.issued.size;
      if (world.gaps.length === 0) expect(skipped).toBe(0);
      expect(world.unexplained()).toEqual([]);
    });
  });

  it('with lost words nothing is issued twice, and what is skipped is in a gap', () => {
    const worlds = explore(['wait', 'wait', 'lose'], (world) => expect(world.unexplained()).toEqual([]));
    expect(gapsOf(worlds)).toBeGreaterThan(runs / 10);
  });

  it('with lost words, new generations and old primaries that live on, too', () => {
    const faults = ['wait', 'lose', 'replace', 'follow', 'follow'] as const;
    const worlds = explore(faults, (world) => expect(world.unexplained()).toEqual([]));
    expect(gapsOf(worlds)).toBeGreaterThan(runs);
    expect(worlds.some((world) => world.fenced > 0)).toBe(true);
  });

  it('with words handed back, too', () => {
    const faults = ['wait', 'drain', 'replace', 'follow', 'follow'] as const;
    explore(faults, (world) => expect(world.unexplained()).toEqual([]));
  });

  it('with words of a shared store that are drained while late grants live on, too', () => {
    const faults = ['wait', 'freeze', 'remove', 'handBack', 'idle', 'idle', 'idle'] as const;
    const worlds = explore(faults, (world) => expect(world.unexplained()).toEqual([]));
    expect(handedBackIn(worlds)).toBeGreaterThan(runs);
  });

  it('with shared stores that are drained, lost words, new generations and old primaries that live on', () => {
    const faults = ['wait', 'freeze', 'remove', 'handBack', 'idle', 'lose', 'replace', 'follow'] as const;
    const worlds = explore(faults, (world) => expect(world.unexplained()).toEqual([]));
    expect(handedBackIn(worlds)).toBeGreaterThan(runs / 10);
  });

  it('with a ledger that forgets while Redis is whole, nothing is issued twice', () => {
    const worlds = explore(['wait', 'forget', 'follow', 'lose'], () => undefined);
    expect(worlds.some((world) => world.forgotten > 0)).toBe(true);
  });
});
