/** Callers that take numbers from simulated processes, and the verdict over what they got. */

import { expect } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { type CallRecord, judge } from './judge.js';
import { dead, type Plan, type SimulatedProcess, SimulatedProcesses } from './simulated-processes.js';

export interface CallPlan extends Plan {
  readonly callsPerProcess: number;
}

/** Longest that the record of abandoned numbers takes in these runs, in virtual milliseconds. */
const recordDelayMs = 100;

export async function simulate(seed: number, plan: CallPlan) {
  const simulation = new SimulatedProcesses(seed, plan);
  const calls: CallRecord[] = [];
  const failed: { call: { callerDied: boolean; end: number }; process: SimulatedProcess }[] = [];
  const caller = async (index: number) => {
    const { clock, random } = simulation;
    for (let turn = 0; turn < plan.callsPerProcess; turn += 1) {
      const process = simulation.processes[index]!;
      const of = groupChat(`g${random.below(plan.conversations)}`);
      const count = random.chance(0.2) ? 1 + random.below(20) : 1;
      const start = clock.monotonicMs();
      const timeoutMs = random.chance(0.05) ? 5 : 30_000;
      let callerDied = false;
      const numbers = await Promise.race([
        process.generator.nextMany(of, count, { timeoutMs }),
        process.died,
      ]).catch((error) => {
        callerDied = error === dead;
        return undefined;
      });
      const call = { conversation: of.key, start, end: clock.monotonicMs(), numbers, count, callerDied };
      calls.push(call);
      if (numbers === undefined) failed.push({ call, process });
      if (random.chance(0.3)) await clock.sleep(random.next() * 20);
    }
  };
  await simulation.run(simulation.processes.flatMap((_, index) => [caller(index), caller(index)]));
  // A caller that gave up leaves numbers that its process records soon. If the process dies before that, the record dies
  // with it, as numbers in the hands of callers do (P3).
  for (const { call, process } of failed) {
    if (process.diedAtMs - call.end < recordDelayMs) call.callerDied = true;
  }
  const gaps = await simulation.gaps();
  return { verdict: judge(calls, gaps), calls, gaps, events: simulation.events };
}

export async function expectNoViolation(
  plan: CallPlan,
  seed: number,
  ignoreOrder = false,
): Promise<Awaited<ReturnType<typeof simulate>>> {
  const result = await simulate(seed, plan);
  const { duplicates, regressions, holes } = result.verdict;
  expect({ seed, duplicates, regressions: ignoreOrder ? [] : regressions, holes }).toEqual({
    seed,
    duplicates: [],
    regressions: [],
    holes: [],
  });
  return result;
}

/** A plan that leaves room for many runs. */
export const small = { processes: 3, conversations: 2, callsPerProcess: 30 };
