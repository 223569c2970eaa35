/** From rounds to medians, spread and ratios. Pure. */

import type { ClientRun } from './clients/messages.js';
import type { FigureName, Figures, Footprint, PeerResult } from './results.js';
import type { ServerCounters } from './servers/meters.js';

/** A median with the smallest and the largest value. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What is reported of a run: what the client measured, and what the servers did meanwhile. */
export function figuresOf(client: ClientRun, servers: ServerCounters): Figures {
  const per = (amount: number | undefined) =>
    amount === undefined || client.numbers === 0 ? undefined : rounded(amount / client.numbers);
  const figures: Record<FigureName, number | undefined> = {
    perSecond: Math.round((client.numbers * 1_000) / client.elapsedMs),
    p50Us: client.p50Us,
    p99Us: client.p99Us,
    p999Us: client.p999Us,
    clientCpuUsPerNumber: per(client.cpuUs),
    redisCpuUsPerNumber: per(servers.redisCpuUs),
    mariaDbCpuUsPerNumber: per(servers.mariaDbCpuUs),
    ledgerRowsPer1000: per(times1000(servers.ledgerRows)),
    ledgerCommitsPer1000: per(times1000(servers.ledgerCommits)),
    garbageBytesPerNumber: per(client.garbageBytes),
    first1000Ms: client.first1000Ms === undefined ? undefined : rounded(client.first1000Ms),
  };
  return Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));
}

function times1000(count: number | undefined): number | undefined {
  return count === undefined ? undefined : count * 1_000;
}

/** Undefined when no round has the figure. */
export function spreadOf(peer: PeerResult | undefined, name: FigureName): Spread | undefined {
  return spread((peer?.rounds ?? []).map((round) => round[name]));
}

/** One peer divided by the other, round by round: what disturbs the machine then disturbs both. */
export function ratioOf(
  tested: PeerResult | undefined,
  beside: PeerResult | undefined,
  name: FigureName,
): Spread | undefined {
  return spread(
    (tested?.rounds ?? []).map((round, index) => quotient(round[name], beside?.rounds[index]?.[name])),
  );
}

export function footprintRatio(
  tested: PeerResult | undefined,
  beside: PeerResult | undefined,
  name: keyof Footprint,
): Spread | undefined {
  return spread([quotient(tested?.footprint[name], beside?.footprint[name])]);
}

export function spread(values: readonly (number | undefined)[]): Spread | undefined {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return undefined;
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median: rounded(median), min: sorted[0]!, max: sorted.at(-1)! };
}

function quotient(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined || other === 0 ? undefined : rounded(one / other);
}

/** Four digits: no figure here is known any better. */
export function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
