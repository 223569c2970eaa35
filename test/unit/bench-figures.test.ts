import { describe, expect, it } from 'vitest';
import { runLoops } from '../../bench/clients/call-loops.js';
import { allocatedBytes } from '../../bench/clients/garbage.js';
import { Latencies } from '../../bench/clients/latencies.js';
import { picker } from '../../bench/clients/picks.js';
import { ledgerWritesPer1000 } from '../../bench/measure/private-chats.js';
import type { PeerResult } from '../../bench/results.js';
import { figuresOf, ratioOf, spread, spreadOf } from '../../bench/summary.js';

const noServers = {
  redisCpuUs: undefined,
  mariaDbCpuUs: undefined,
  ledgerRows: undefined,
  ledgerCommits: undefined,
};

function peer(rates: readonly number[]): PeerResult {
  const rounds = rates.map((perSecond) => ({ perSecond }));
  return { title: 'a peer', conversations: 1, underWay: 1, rounds, footprint: {}, events: {} };
}

describe('latencies', () => {
  it('are exact below 2,048 µs', () => {
    const latencies = new Latencies();
    for (let us = 1; us <= 2_000; us += 1) latencies.record(us);
    expect([50, 99, 99.9].map((percent) => latencies.percentileUs(percent))).toEqual([1_000, 1_980, 1_998]);
  });

  it('are a thousandth too low at most above', () => {
    for (const us of [2_047, 2_048, 2_049, 5_000, 123_457, 59_999_999, 2 ** 31 - 1]) {
      const latencies = new Latencies();
      latencies.record(us);
      const read = latencies.percentileUs(100);
      expect(read).toBeLessThanOrEqual(us);
      expect(read).toBeGreaterThan(us * 0.999);
    }
  });

  it('begin anew after a reset', () => {
    const latencies = new Latencies();
    latencies.record(70);
    latencies.reset();
    latencies.record(3);
    expect([latencies.count, latencies.percentileUs(100)]).toEqual([1, 3]);
  });
});

describe('the callers', () => {
  const run = (numbers: readonly number[]) => {
    let at = 0;
    const call = async () => numbers[at++]!;
    const pick = () => (at < numbers.length ? 0 : -1);
    const latencies = new Latencies();
    const loops = { underWay: 1, untilMs: Number.POSITIVE_INFINITY, lastNumbers: new Float64Array(1) };
    return runLoops({ call, pick, latencies, ...loops }).then(() => latencies.count);
  };

  it('go on until there is nothing to pick', async () => {
    expect(await run([1, 2, 5])).toBe(3);
  });

  it('fail when a number is not larger than the one before', async () => {
    await expect(run([1, 2, 2])).rejects.toThrow('got 2 after 2');
    await expect(run([Number.NaN])).rejects.toThrow('got NaN after 0');
  });
});

describe('garbage', () => {
  it('is what the heap grew by between collections', () => {
    const collections = [
      { beforeBytes: 150, afterBytes: 20 },
      { beforeBytes: 70, afterBytes: 30 },
    ];
    expect(allocatedBytes(100, collections, 45)).toBe(50 + 50 + 15);
  });
});

describe('picks', () => {
  it('are the same with the same seed', () => {
    const draw = (seed: number) => Array.from({ length: 20 }, picker('uniform', 1_000, seed));
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it('of Zipf prefer the first conversations, by the exponent 1.1', () => {
    const pick = picker('zipf', 1_000, 1);
    const counts = new Uint32Array(1_000);
    for (let draw = 0; draw < 400_000; draw += 1) counts[pick()]! += 1;
    expect(counts[0]! / counts[9]!).toBeGreaterThan(10 ** 1.1 * 0.9);
    expect(counts[0]! / counts[9]!).toBeLessThan(10 ** 1.1 * 1.1);
  });
});

describe('figures', () => {
  it('are divided by the numbers, and lack what was not measured', () => {
    const servers = { ...noServers, redisCpuUs: 300, ledgerRows: 2 };
    const figures = figuresOf({ numbers: 200, elapsedMs: 50, p50Us: 7, events: {} }, servers);
    expect(figures).toEqual({
      perSecond: 4_000,
      p50Us: 7,
      redisCpuUsPerNumber: 1.5,
      ledgerRowsPer1000: 10,
    });
  });

  it('are told as the median with the smallest and the largest', () => {
    expect(spread([5, undefined, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
    expect(spread([4, 1])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(spread([undefined])).toBeUndefined();
    expect(spreadOf(peer([2, 9, 4]), 'perSecond')?.median).toBe(4);
    expect(spreadOf(peer([2]), 'p99Us')).toBeUndefined();
  });

  it('of two peers are divided round by round', () => {
    // The second round disturbed both.
    expect(ratioOf(peer([10, 2, 9]), peer([5, 1, 3]), 'perSecond')).toEqual({ median: 2, min: 2, max: 3 });
    expect(ratioOf(peer([10]), peer([0]), 'perSecond')).toBeUndefined();
  });
});

describe('simulated private chats', () => {
  it('write the ledger once for 64 numbers, and once for the first', () => {
    const perBlock = 1_000 / 64;
    expect(ledgerWritesPer1000(1_000, 1)).toBeCloseTo(perBlock, 1);
    // A year has few blocks here: the half that is in reserve at its end makes a difference.
    expect(ledgerWritesPer1000(10, 1)).toBeGreaterThan(perBlock);
    expect(ledgerWritesPer1000(10, 1)).toBeLessThan(perBlock + 0.5);
  });
});
