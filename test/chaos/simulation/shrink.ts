/** Finds a smaller plan that shows the same violation. */

import type { ViolationKind } from '../judge/judge.js';
import type { DrawnPlan } from './plan.js';
import { simulate } from './simulate.js';

const maxAttempts = 400;

/** Drops what is not needed, one thing after the other, until nothing can be dropped. */
export async function shrink(seed: number, plan: DrawnPlan, kind: ViolationKind): Promise<DrawnPlan> {
  let smallest = plan;
  let attempts = 0;
  for (let progress = true; progress && attempts < maxAttempts; ) {
    progress = false;
    for (const candidate of smaller(smallest)) {
      attempts += 1;
      if (attempts > maxAttempts || !(await shows(seed, candidate, kind))) continue;
      smallest = candidate;
      progress = true;
      break;
    }
  }
  return smallest;
}

async function shows(seed: number, plan: DrawnPlan, kind: ViolationKind): Promise<boolean> {
  const { verdict } = await simulate(seed, plan).catch(() => ({ verdict: { violations: [] } }));
  return verdict.violations.some((violation) => violation.kind === kind);
}

function* smaller(plan: DrawnPlan): Generator<DrawnPlan> {
  const { schedule, clients, rates } = plan;
  for (const index of schedule.keys())
    yield { ...plan, schedule: schedule.filter((_, other) => other !== index) };
  if (clients.calls > 1) {
    yield { ...plan, clients: { ...clients, calls: clients.calls >> 1 } };
    yield { ...plan, clients: { ...clients, calls: clients.calls - 1 } };
  }
  if (clients.readers > 0) yield { ...plan, clients: { ...clients, readers: clients.readers - 1 } };
  if (clients.callers > 1) yield { ...plan, clients: { ...clients, callers: 1 } };
  if (plan.conversations > 1) yield { ...plan, conversations: 1 };
  if (plan.processes > 1) yield { ...plan, processes: plan.processes - 1 };
  for (const name of ['many', 'messageIds', 'tracked', 'impatient'] as const) {
    if (clients.mix[name] > 0) yield { ...plan, clients: { ...clients, mix: { ...clients.mix, [name]: 0 } } };
  }
  for (const name of ['lostAfter', 'lostBefore', 'unavailable', 'ledgerFails', 'slowMs'] as const) {
    if ((rates[name] ?? 0) > 0) yield { ...plan, rates: { ...rates, [name]: 0 } };
  }
}
