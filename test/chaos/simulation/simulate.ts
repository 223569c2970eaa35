/** One run of the real core on a virtual clock, over simulated stores that fail as planned. */

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TidemarkEvent } from '../../../src/core/events.js';
import type { Gap } from '../../../src/core/ledger.js';
import { type Fault, type Plan, SimulatedProcesses } from '../../support/simulated-processes.js';
import type { Excuses, Verdict } from '../judge/judge.js';
import { gapsFile } from '../judge/judge-folder.js';
import { type ClientsPlan, SimulatedClients } from './clients.js';
import { SimulatedHistory } from './history.js';

export interface SimulationPlan extends Plan {
  readonly clients: Omit<ClientsPlan, 'conversations'>;
  readonly excuses: Excuses;
}

export interface Simulated {
  readonly verdict: Verdict;
  readonly events: readonly TidemarkEvent[];
  readonly gaps: readonly Gap[];
  /** Those that happened before the clients were done. */
  readonly faults: readonly Fault[];
  readonly history: SimulatedHistory;
  /** Virtual milliseconds. */
  readonly lastedMs: number;
}

/** The same seed and plan, the same run. */
export async function simulate(seed: number, plan: SimulationPlan, keepsLines = false): Promise<Simulated> {
  const { leaseMs } = plan.clients;
  const simulation: SimulatedProcesses = new SimulatedProcesses(seed, {
    ...plan,
    options: { leaseMs, ...plan.options },
    onEvent: (event) => {
      history.event(event.type);
      if (event.type === 'receipt_lost') history.receiptLost(event.conversation, event.messageId);
    },
  });
  const { clock, events } = simulation;
  const history = new SimulatedHistory(() => clock.monotonicMs(), keepsLines, plan.excuses);
  const clients = new SimulatedClients(
    simulation,
    { ...plan.clients, conversations: plan.conversations },
    history,
  );
  await simulation.run(clients.start(), () => clients.readAll());
  const gaps = await simulation.gaps();
  const verdict = history.verdict(gaps);
  return { verdict, events, gaps, faults: simulation.faults, history, lastedMs: clock.monotonicMs() };
}

/** Writes a history as clients do, for the judge's other tools. */
export function writeHistory(folder: string, { lines, gapLines }: SimulatedHistory): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, 'client-0.log'), lines.map((line) => `${line}\n`).join(''));
  writeFileSync(path.join(folder, gapsFile), gapLines.map((line) => `${line}\n`).join(''));
}
