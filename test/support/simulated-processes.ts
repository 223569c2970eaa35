/** Several generators over one simulated Redis and one simulated ledger, and the faults that happen to them. */

import { groupChat } from '../../src/core/conversation.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import type { Gap } from '../../src/core/ledger.js';
import type { GeneratorOptions } from '../../src/core/options.js';
import { SequenceGenerator } from '../../src/core/sequence-generator.js';
import { Random } from './random.js';
import { SimulatedCounterStore } from './simulated-counter-store.js';
import type { FaultRates } from './simulated-faults.js';
import { SimulatedLedger } from './simulated-ledger.js';
import { SimulatedCluster, SimulatedRedis } from './simulated-redis.js';
import { ProcessClock, VirtualClock } from './virtual-clock.js';

export interface Plan {
  readonly processes: number;
  readonly conversations: number;
  readonly rates: FaultRates;
  readonly options?: Partial<GeneratorOptions>;
  /** A fault of Redis, the ledger or a process as a whole, once in so many virtual milliseconds; 0 for none. */
  readonly faultEveryMs: number;
  /** The least time between two faults, in virtual milliseconds. */
  readonly faultSpacingMs?: number;
  readonly faults: readonly Fault[];
  /** Exactly these instead, each so long after the one before ended. */
  readonly schedule?: readonly TimedFault[];
  readonly onEvent?: (event: TidemarkEvent) => void;
  /** How long after the last call what callers left may be recorded, in virtual milliseconds; 5,000 by default. */
  readonly settleMs?: number;
  /** Several primaries instead of one. */
  readonly cluster?: boolean;
}

export interface TimedFault {
  readonly kind: Fault;
  readonly afterMs: number;
}

export type Fault =
  | 'failOver'
  | 'restart'
  | 'flush'
  | 'redisDown'
  | 'ledgerDown'
  | 'lostWord'
  | 'splitBrain'
  | 'crash'
  | 'rename'
  | 'drain'
  | 'moveSlot'
  | 'nodeFailOver'
  | 'isolatedNode'
  | 'loseEntries'
  | 'storeClockJump'
  | 'ledgerClockJump'
  | 'pause';

/** One generator and the promise that rejects when its process dies. */
export interface SimulatedProcess {
  counters: SimulatedCounterStore;
  generator: SequenceGenerator;
  died: Promise<never>;
  die: () => void;
  diedAtMs: number;
  readonly clock: ProcessClock;
}

export class SimulatedProcesses {
  readonly random: Random;
  readonly clock = new VirtualClock();
  readonly ledger: SimulatedLedger;
  readonly events: TidemarkEvent[] = [];
  /** What has happened so far. */
  readonly faults: Fault[] = [];
  /** When processes died. */
  readonly deaths: number[] = [];
  readonly processes: SimulatedProcess[];
  readonly #plan: Plan;
  readonly #cluster: SimulatedCluster | undefined;
  #primary = new SimulatedRedis();
  #running = true;

  constructor(seed: number, plan: Plan) {
    this.#plan = plan;
    this.random = new Random(seed);
    this.#cluster = plan.cluster ? new SimulatedCluster() : undefined;
    this.ledger = new SimulatedLedger(this.clock, this.random, plan.rates);
    this.processes = Array.from({ length: plan.processes }, () => this.#startProcess());
  }

  /**
   * Runs the callers while things break, and lets the generators end.
   *
   * @param atEnd - what is still done when nothing breaks any more, and everything left behind is recorded
   */
  async run(callers: readonly Promise<void>[], atEnd?: () => Promise<void>): Promise<void> {
    const { clock } = this;
    const breaking = this.#breakThings();
    await clock.run(Promise.all(callers));
    this.#running = false;
    await clock.run(breaking);
    // Whoever is suspended goes on; what callers left is recorded in the background.
    const resumeAtMs = Math.max(...this.processes.map((process) => process.clock.resumesAtMs));
    const suspendedMs = Math.max(0, resumeAtMs - clock.monotonicMs());
    await clock.run(clock.sleep(suspendedMs + (this.#plan.settleMs ?? 5_000)));
    if (atEnd !== undefined) await clock.run(atEnd());
    await clock.run(Promise.all(this.processes.map(({ generator }) => generator.close())));
  }

  async gaps(): Promise<readonly Gap[]> {
    const all = { from: 1, to: 1e12 - 1, limit: 10_000 };
    const names = Array.from({ length: this.#plan.conversations }, (_, index) => `group:g${index}`);
    return (await Promise.all(names.map((name) => this.ledger.gaps(name, all)))).flat();
  }

  #startProcess(): SimulatedProcess {
    const { random, ledger } = this;
    const clock = new ProcessClock(this.clock);
    const counters = new SimulatedCounterStore(
      this.#cluster ?? this.#primary,
      clock,
      random,
      this.#plan.rates,
    );
    const generator = new SequenceGenerator({
      clock,
      counters,
      ledger,
      timeoutMs: 30_000,
      ledgerOutage: 'refuse',
      onEvent: (event) => {
        this.events.push(event);
        this.#plan.onEvent?.(event);
      },
      reservation: { kind: 'adaptive', initial: 4, max: 32, growBelowMs: 50, shrinkAboveMs: 500 },
      ...this.#plan.options,
    });
    let die = () => {};
    const died = new Promise<never>((_, reject) => {
      die = () => reject(dead);
    });
    died.catch(() => undefined);
    return { counters, generator, died, die, diedAtMs: Number.POSITIVE_INFINITY, clock };
  }

  async #breakThings(): Promise<void> {
    const { faultEveryMs, faultSpacingMs = 0, faults, schedule } = this.#plan;
    for (const { kind, afterMs } of schedule ?? []) {
      await this.clock.sleep(afterMs);
      if (!this.#running) return;
      if (this.random.chance(0.5)) for (const node of this.#nodes) node.replicate();
      await this.#break(kind);
    }
    if (schedule !== undefined) return;
    while (this.#running && faultEveryMs > 0) {
      await this.clock.sleep(faultSpacingMs + this.random.next() * 2 * faultEveryMs);
      if (this.random.chance(0.5)) for (const node of this.#nodes) node.replicate();
      await this.#break(faults[this.random.below(faults.length)]!);
    }
  }

  async #break(fault: Fault): Promise<void> {
    const { random } = this;
    this.faults.push(fault);
    const redis = this.#primary;
    if (fault === 'failOver') redis.failOver();
    else if (fault === 'flush') redis.flush();
    else if (fault === 'lostWord')
      redis.words.delete([...redis.words.keys()][random.below(redis.words.size)] ?? '');
    else if (fault === 'restart') {
      redis.words.clear();
      redis.restart();
    } else if (fault === 'crash') this.#crash(random.below(this.processes.length));
    else if (fault === 'splitBrain') await this.#splitBrain();
    else if (fault === 'rename') this.#anyNode().rename();
    else if (fault === 'drain') await this.#drain();
    else if (fault === 'moveSlot') this.#cluster!.move(this.#anySlot(), this.#anyNode());
    else if (fault === 'nodeFailOver') this.#cluster!.failOver(this.#anyNode());
    else if (fault === 'isolatedNode') await this.#isolateNode();
    else if (fault === 'loseEntries') this.ledger.lose(() => random.chance(0.7));
    else if (fault === 'storeClockJump') for (const node of this.#nodes) node.clockOffsetMs += this.#jumpMs();
    else if (fault === 'ledgerClockJump') this.ledger.clockOffsetMs += this.#jumpMs();
    else if (fault === 'pause') {
      const { clock } = this.processes[random.below(this.processes.length)]!;
      clock.pause(random.next() * (random.chance(0.3) ? 3_000 : 200));
    } else {
      const victim = fault === 'redisDown' ? redis : this.ledger;
      victim.up = false;
      await this.clock.sleep(random.next() * 200);
      victim.up = true;
    }
  }

  #jumpMs(): number {
    const farMs = this.random.chance(0.5) ? 3_000 : 3_600_000;
    return (this.random.next() * 2 - 1) * farMs;
  }

  get #nodes(): readonly SimulatedRedis[] {
    return this.#cluster?.nodes ?? [this.#primary];
  }

  #anyNode(): SimulatedRedis {
    return this.#nodes[this.random.below(this.#nodes.length)]!;
  }

  #anySlot(): number {
    return this.random.below(SimulatedCluster.slots);
  }

  async #drain(): Promise<void> {
    const { generator } = this.processes[this.random.below(this.processes.length)]!;
    const of = groupChat(`g${this.random.below(this.#plan.conversations)}`);
    await generator.drain(of, { timeoutMs: 500 }).catch(() => undefined);
  }

  /** A replica takes over from a node, and some processes go on with the old one for a while. */
  async #isolateNode(): Promise<void> {
    const cluster = this.#cluster!;
    const node = this.#anyNode();
    const slots = [...cluster.owners.keys()].filter((slot) => cluster.owners[slot] === node);
    const isolated = this.processes.filter(() => this.random.chance(0.5));
    for (const { counters } of isolated) for (const slot of slots) counters.isolatedOn.set(slot, node);
    cluster.failOver(node);
    await this.clock.sleep(this.#isolationMs());
    for (const { counters } of isolated) counters.isolatedOn.clear();
  }

  #isolationMs(): number {
    return this.random.next() * (this.random.chance(0.3) ? 1_500 : 300);
  }

  #crash(index: number): void {
    const process = this.processes[index]!;
    process.counters.kill();
    process.diedAtMs = this.clock.monotonicMs();
    this.deaths.push(process.diedAtMs);
    process.die();
    this.processes[index] = this.#startProcess();
  }

  /** Some processes stay on the old primary for a while, and believe in it. */
  async #splitBrain(): Promise<void> {
    this.#primary = this.#primary.split();
    for (const { counters } of this.processes) if (this.random.chance(0.5)) counters.redis = this.#primary;
    await this.clock.sleep(this.#isolationMs());
    for (const { counters } of this.processes) counters.redis = this.#primary;
  }
}

/** What a call ends with whose process dies. */
export const dead = new Error('the process died');
