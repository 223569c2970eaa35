/** What the clients of a simulation do, told to the judge event by event. */

import { groupChat } from '../../../src/core/conversation.js';
import type { TrackedTake } from '../../../src/core/tracked-take.js';
import type { Random } from '../../support/random.js';
import { dead, type SimulatedProcess, type SimulatedProcesses } from '../../support/simulated-processes.js';
import type { OpenCall } from '../judge/judge.js';
import type { Mix } from '../schedule.js';
import type { SimulatedHistory } from './history.js';

export interface ClientsPlan {
  /** Callers of each process, and calls of each caller. */
  readonly callers: number;
  readonly calls: number;
  readonly readers: number;
  readonly mix: Mix;
  readonly conversations: number;
  readonly leaseMs: number;
}

/** What a process has not recorded yet when it dies, dies with it: what its callers left so shortly before. */
const recordDelayMs = 500;
const patientMs = 30_000;

interface Sent {
  readonly conversation: number;
  readonly messageId: string;
  readonly tracked: boolean;
}

export class SimulatedClients {
  /** Messages that were sent lately: some are sent again, by whichever process. */
  readonly #sent: Sent[] = [];
  #ids = 0;
  #calling = 0;

  constructor(
    private readonly simulation: SimulatedProcesses,
    private readonly plan: ClientsPlan,
    private readonly history: SimulatedHistory,
  ) {}

  /** Everything that the clients of all processes do. */
  start(): Promise<void>[] {
    const { callers, readers } = this.plan;
    const processes = [...this.simulation.processes.keys()];
    this.#calling = processes.length * callers;
    return [
      ...processes.flatMap((index) => Array.from({ length: callers }, () => this.#callRepeatedly(index))),
      ...Array.from({ length: readers }, (_, offset) => this.#readRepeatedly(offset)),
    ];
  }

  async #callRepeatedly(index: number): Promise<void> {
    const { random, clock } = this.simulation;
    for (let turn = 0; turn < this.plan.calls; turn += 1) {
      await this.#call(index);
      if (random.chance(0.3)) await clock.sleep(random.next() * 30);
    }
    this.#calling -= 1;
  }

  async #call(index: number): Promise<void> {
    const { random } = this.simulation;
    const { mix, conversations } = this.plan;
    const process = this.simulation.processes[index]!;
    const again = random.chance(0.3) ? this.#sent[this.#sent.length - 1 - random.below(6)] : undefined;
    const tracked = again?.tracked ?? random.chance(mix.tracked);
    const conversation = again?.conversation ?? random.below(conversations);
    const messageId = again?.messageId ?? (random.chance(mix.messageIds) ? this.#newId() : undefined);
    if (again === undefined && messageId !== undefined) this.#sent.push({ conversation, messageId, tracked });
    const count = messageId === undefined && random.chance(mix.many) ? 1 + random.below(20) : 1;
    const timeoutMs = random.chance(mix.impatient) ? 5 : patientMs;
    const of = groupChat(`g${conversation}`);
    const call = this.history.start(of.key, count, messageId, tracked);
    const startedAtMs = this.simulation.clock.monotonicMs();
    const options = { timeoutMs, ...(messageId !== undefined && { messageId }) };
    try {
      if (tracked) {
        const take = await Promise.race([process.generator.take(of, count, options), process.died]);
        this.history.numbers(call, take, take.open ? startedAtMs + this.plan.leaseMs : undefined);
        await Promise.race([this.#store(take, call, random), process.died]).catch(() => undefined);
      } else if (messageId !== undefined) {
        const issued = process.generator.next(of, { timeoutMs, messageId });
        const { number, repeated } = await Promise.race([issued, process.died]);
        this.history.numbers(call, { first: number, last: number, repeated });
      } else {
        const issued = process.generator.nextMany(of, count, { timeoutMs });
        this.history.numbers(call, await Promise.race([issued, process.died]));
      }
    } catch (error) {
      this.#failed(call, process, error);
    }
  }

  #failed(call: OpenCall, process: SimulatedProcess, error: unknown): void {
    if (error === dead) {
      this.history.died(call);
      return;
    }
    const code = (error as { code?: string }).code ?? String(error);
    this.history.failed(call, code);
    // Its process may have died before it recorded what the caller left.
    const atMs = this.simulation.clock.monotonicMs();
    process.died.catch(() => {
      if (process.diedAtMs - atMs < recordDelayMs) this.history.died(call);
    });
  }

  async #store(take: TrackedTake, call: OpenCall, random: Random): Promise<void> {
    const { clock } = this.simulation;
    // Most messages are stored soon, some long after the lease.
    await clock.sleep(random.next() * (random.chance(0.1) ? 2 * this.plan.leaseMs : 100));
    if (random.chance(0.1)) return;
    if (random.chance(0.1) && !take.repeated) {
      this.history.abandoned(call);
      await take.abandon({ timeoutMs: patientMs });
      return;
    }
    this.history.stored(call);
    const outcome = await take.settle({ timeoutMs: patientMs }).then(
      () => 'done',
      (error: { code?: string }) => (error.code === 'lease_expired' ? 'told' : String(error.code)),
    );
    this.history.settled(call, outcome);
  }

  async #readRepeatedly(offset: number): Promise<void> {
    const { clock, random, processes } = this.simulation;
    while (this.#calling > 0) {
      await clock.sleep(random.next() * 60);
      const of = groupChat(`g${random.below(this.plan.conversations)}`);
      const { generator, died } = processes[(random.below(processes.length) + offset) % processes.length]!;
      await Promise.race([generator.completeUpTo(of, { timeoutMs: 2_000 }), died]).then(
        (completeUpTo) => this.history.completeUpTo(of.key, completeUpTo),
        () => undefined,
      );
    }
  }

  /** Whoever reads last gives up what nobody has ended: only then it is recorded (P4). */
  async readAll(): Promise<void> {
    if (this.plan.mix.tracked === 0) return;
    const [{ generator }] = this.simulation.processes as [SimulatedProcess];
    const names = Array.from({ length: this.plan.conversations }, (_, index) => groupChat(`g${index}`));
    await Promise.all(
      names.map(async (of) => {
        const completeUpTo = await generator.completeUpTo(of, { timeoutMs: patientMs });
        this.history.completeUpTo(of.key, completeUpTo);
      }),
    );
  }

  #newId(): string {
    this.#ids += 1;
    return `m${this.#ids}`;
  }
}
