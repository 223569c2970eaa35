/** One run: clients take numbers, things break as the schedule says, everything is mended, and the judge reads. */

import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TidemarkError } from '../../src/errors.js';
import { Clients } from './clients.js';
import type { FaultName } from './fault-kinds.js';
import { faultKinds } from './fault-kinds.js';
import type { PeerName } from './issuers/issuer.js';
import { tableOf } from './issuers/tables.js';
import { openForOperator } from './issuers/tidemark.js';
import type { Verdict } from './judge/judge.js';
import { gapsFile, judgeFolder } from './judge/judge-folder.js';
import { type Fault, faultsOf, lossSpacingMs, type Schedule } from './schedule.js';
import { ClusterSystem } from './systems/cluster.js';
import { EmbeddedSystem } from './systems/embedded.js';
import type { LedgerServer, RunLedger } from './systems/ledger-server.js';
import { SentinelSystem } from './systems/sentinel.js';
import { StandaloneSystem } from './systems/standalone.js';
import { type Infliction, type Inflictions, NotPossible, type System } from './systems/system.js';

/** Deadline of the clients' calls. */
const callTimeoutMs = 10_000;
/** By then every client must get numbers, at first and after everything is mended. */
const flowTimeoutMs = 90_000;
const repliesAtFirst = 20;
const repliesInTheEnd = 30;
/** Clients end by themselves so long after the last fault, whatever becomes of the runner. */
const longestEndMs = 300_000;
const clockJumpsMs = [-86_400_000, -5_000, 5_000, 86_400_000];

export interface RunOptions {
  /** Gets the histories, the gaps and the schedule. */
  readonly folder: string;
  /** What the run's database is made on; not needed for an embedded generator. */
  readonly ledgerServer: LedgerServer | undefined;
  readonly issuer?: PeerName;
  /** The client program of another tree. */
  readonly program?: string;
  readonly onStart?: (clients: Clients) => void;
}

export interface RunResult {
  readonly schedule: Schedule;
  readonly verdict: Verdict;
  /** What went wrong beside the numbers: nobody got one, a client did not end, an error that nobody expects. */
  readonly problems: readonly string[];
  /** Which faults were made, and which could not be made here, and why. */
  readonly made: readonly FaultName[];
  readonly notMade: readonly string[];
  readonly tookMs: number;
}

export function isGuilty({ verdict, problems }: RunResult): boolean {
  return !verdict.isClean || problems.length > 0;
}

export async function runSchedule(schedule: Schedule, options: RunOptions): Promise<RunResult> {
  const startedAtMs = performance.now();
  const { folder, ledgerServer, issuer = 'tidemark' } = options;
  const histories = path.join(folder, 'history');
  await mkdir(histories, { recursive: true });
  await writeFile(path.join(histories, 'run.json'), JSON.stringify(schedule, undefined, 2));
  const ledger = await ledgerServer?.ledger(tableOf[issuer]);
  const system = await startSystem(schedule, ledger, folder);
  try {
    const run = new Run(schedule, system, histories, options);
    await run.finish();
    const verdict = judgeFolder(histories, { excuses: schedule.excuses });
    const { problems, made, notMade } = run;
    return { schedule, verdict, problems, made, notMade, tookMs: performance.now() - startedAtMs };
  } finally {
    await system.stop();
    await ledger?.stop();
  }
}

function startSystem(schedule: Schedule, ledger: RunLedger | undefined, folder: string): Promise<System> {
  if (schedule.topology === 'embedded') return EmbeddedSystem.start(folder);
  if (ledger === undefined) throw new Error(`${schedule.topology} needs a ledger server`);
  if (schedule.topology === 'standalone') return StandaloneSystem.start(schedule, ledger, folder);
  if (schedule.topology === 'sentinel') return SentinelSystem.start(ledger);
  return ClusterSystem.start(ledger, [...conversationsOf(schedule)]);
}

function conversationsOf({ workload }: Schedule): Set<string> {
  return new Set(Array.from({ length: workload.conversations }, (_, index) => `group:g${index}`));
}

class Run {
  readonly problems: string[] = [];
  readonly made: FaultName[] = [];
  readonly notMade: string[] = [];
  readonly #clients: Clients;
  readonly #inflictions: Inflictions;
  /** What people use today records none. */
  readonly #recordsGaps: boolean;

  constructor(
    private readonly schedule: Schedule,
    private readonly system: System,
    private readonly histories: string,
    { issuer = 'tidemark', program, onStart }: RunOptions,
  ) {
    this.#recordsGaps = issuer === 'tidemark';
    this.#clients = new Clients({
      issuer,
      workload: schedule.workload,
      seed: schedule.seed,
      timeoutMs: callTimeoutMs,
      maxDurationMs: schedule.lengthMs + longestEndMs,
      storesFor: (slot) => system.storesFor(slot),
      folder: histories,
      ...(program !== undefined && { program }),
    });
    onStart?.(this.#clients);
    this.#inflictions = { ...system.inflictions, ...this.#clientFaults(), drain: () => this.#drain() };
  }

  async finish(): Promise<void> {
    try {
      await this.#flows('at first', repliesAtFirst);
      const endMs = performance.now() + this.schedule.lengthMs;
      await Promise.all(
        (['clients', 'operators', 'counters', 'ledger'] as const).map((group) => this.#break(group)),
      );
      await sleep(Math.max(0, endMs - performance.now()));
      await this.#flows('in the end', repliesInTheEnd);
      this.problems.push(...(await this.#clients.finish()));
    } finally {
      this.#clients.kill();
    }
    this.problems.push(...this.#clients.crashes);
    const gaps = this.#recordsGaps ? await this.system.gaps(conversationsOf(this.schedule)) : [];
    const lines = gaps.map(
      ({ conversation, first, last, reason }) => `G ${conversation} ${first} ${last} ${reason}\n`,
    );
    await writeFile(path.join(this.histories, gapsFile), lines.join(''));
  }

  async #flows(when: string, replies: number): Promise<void> {
    const inTime = await this.#clients.running(replies, flowTimeoutMs);
    if (!inTime)
      this.problems.push(`${when}, not every client got ${replies} numbers within ${flowTimeoutMs} ms`);
  }

  async #break(group: Parameters<typeof faultsOf>[1]): Promise<void> {
    const startedAtMs = performance.now();
    let mayLoseAtMs = 0;
    for (const fault of faultsOf(this.schedule, group)) {
      const losesWords = faultKinds[fault.kind].losesWords === true;
      // A fault that had to wait for others must not come closer to the next than the schedule has it (P2).
      const atMs = losesWords ? Math.max(fault.atMs, mayLoseAtMs) : fault.atMs;
      await sleep(Math.max(0, atMs - (performance.now() - startedAtMs)));
      await this.#inflict(fault, this.#inflictions[fault.kind]);
      if (losesWords) mayLoseAtMs = performance.now() - startedAtMs + lossSpacingMs;
    }
  }

  async #inflict(fault: Fault, infliction: Infliction | undefined): Promise<void> {
    try {
      if (infliction === undefined) throw new NotPossible('there is no way to do this here');
      await infliction(fault);
      this.made.push(fault.kind);
    } catch (error) {
      if (!(error instanceof NotPossible)) throw error;
      this.notMade.push(`${fault.kind}: ${error.message}`);
    }
  }

  /** An operator drains everything, as before a planned move, whatever else happens at this moment. */
  async #drain(): Promise<void> {
    const generator = openForOperator(this.system.storesFor(0), callTimeoutMs);
    try {
      await generator.drainAll({ timeoutMs: callTimeoutMs });
    } catch (error) {
      if (!(error instanceof TidemarkError && error.retryable)) throw error;
    } finally {
      await generator.close();
    }
  }

  #clientFaults(): Inflictions {
    const clients = this.#clients;
    const slotOf = ({ pick }: Fault) => Math.floor(pick * clients.slots.length);
    return {
      'kill-client': (fault) => clients.replace(slotOf(fault), 'SIGKILL', fault.durationMs),
      'restart-client': (fault) => clients.replace(slotOf(fault), 'stop', fault.durationMs),
      'pause-client': (fault) => clients.pause(slotOf(fault), fault.durationMs),
      'client-clock-jump': async (fault) => {
        const jumpMs = clockJumpsMs[Math.floor(fault.pick * 100) % clockJumpsMs.length]!;
        clients.turnClock(slotOf(fault), jumpMs);
        await sleep(fault.durationMs);
        clients.turnClock(slotOf(fault), -jumpMs);
      },
    };
  }
}

/** How often each fault was made. */
export function countFaults(results: readonly RunResult[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of Object.keys(faultKinds)) counts[name] = 0;
  for (const { made } of results) for (const name of made) counts[name]! += 1;
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
}
