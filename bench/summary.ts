/** From the rounds to one table: medians, spread and ratios. Pure. */

import type { ClientRun } from './messages.js';
import type { ServerCounters } from './meters.js';

/** One run of one peer: what the client measured, and what the servers did meanwhile. */
export interface PeerRun {
  readonly client: ClientRun;
  readonly servers: ServerCounters;
}

/** What is reported of a run. */
export interface Figures {
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly clientCpuUsPerNumber: number;
  readonly redisCpuUsPerNumber: number;
  readonly mariaDbCpuUsPerNumber: number;
  readonly ledgerRowsPer1000: number;
  readonly ledgerTransactionsPer1000: number;
}

export type FigureName = keyof Figures;

/** A median with the smallest and the largest value. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export type FigureSpreads = Readonly<Record<FigureName, Spread>>;

export function figuresOf({ client, servers }: PeerRun): Figures {
  const per = (amount: number) => (client.numbers === 0 ? 0 : rounded(amount / client.numbers));
  return {
    perSecond: Math.round((client.numbers * 1_000) / client.elapsedMs),
    p50Us: client.p50Us,
    p99Us: client.p99Us,
    p999Us: client.p999Us,
    clientCpuUsPerNumber: per(client.cpuUs),
    redisCpuUsPerNumber: per(servers.redisCpuUs),
    mariaDbCpuUsPerNumber: per(servers.mariaDbCpuUs),
    ledgerRowsPer1000: per(servers.ledgerRows * 1_000),
    ledgerTransactionsPer1000: per(servers.ledgerTransactions * 1_000),
  };
}

export function spreadsOf(rounds: readonly Figures[]): FigureSpreads {
  return overFigures((name) => spreadOf(rounds.map((round) => round[name])));
}

/** One peer divided by the other, round by round: what disturbs the machine then disturbs both. */
export function ratiosOf(tested: readonly Figures[], beside: readonly Figures[]): Partial<FigureSpreads> {
  const ratios: Partial<Record<FigureName, Spread>> = {};
  for (const name of figureNames) {
    if (beside.some((round) => round[name] === 0)) continue;
    ratios[name] = spreadOf(tested.map((round, index) => rounded(round[name] / beside[index]![name])));
  }
  return ratios;
}

/** What so many primaries carry when each has a core of its own and nothing else limits them. Computed, not measured. */
export function carriedPerSecond(redisCpuUsPerNumber: number, primaries: number): number {
  return redisCpuUsPerNumber === 0 ? 0 : Math.round((primaries * 1e6) / redisCpuUsPerNumber);
}

export const figureNames: readonly FigureName[] = [
  'perSecond',
  'p50Us',
  'p99Us',
  'p999Us',
  'clientCpuUsPerNumber',
  'redisCpuUsPerNumber',
  'mariaDbCpuUsPerNumber',
  'ledgerRowsPer1000',
  'ledgerTransactionsPer1000',
];

function overFigures(of: (name: FigureName) => Spread): FigureSpreads {
  return Object.fromEntries(figureNames.map((name) => [name, of(name)])) as Record<FigureName, Spread>;
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median =
    sorted.length % 2 === 1 ? sorted[middle]! : rounded((sorted[middle - 1]! + sorted[middle]!) / 2);
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
