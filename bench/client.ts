/** A client process: makes calls to one peer and measures them. One process for each peer, so that CPU time is its own. */

import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import path from 'node:path';
import { build, type Histogram } from 'hdr-histogram-js';
import type { ClientAnswer, ClientCommand, ClientRun, ClientSetup } from './messages.js';
import { openPeer, type Peer } from './peers.js';
import { picker, randomUint32, type Workload, workloads } from './workloads.js';

/** Calls under way while conversations are prepared. */
const preparationUnderWay = 1_000;
const highestLatencyUs = 60_000_000;

/**
 * A conversation gets these many numbers before the rounds, in three steps, and up to `spread` more. Blocks of 64, 128
 * and 256 numbers follow each other so, and every conversation is somewhere in its third: refills are spread evenly
 * over the rounds, as they are after some time of real use.
 */
const preparation = { steps: [40, 100], spread: 180 };

class Client {
  readonly #peer: Peer;
  readonly #setup: ClientSetup;
  readonly #pick: () => number;
  readonly #histogram: Histogram = build({
    bitBucketSize: 32,
    highestTrackableValue: highestLatencyUs,
    numberOfSignificantValueDigits: 3,
    autoResize: false,
  });
  /** The last number of each conversation: the next one must be larger. */
  readonly #last: Float64Array;
  #profiler: Session | undefined;

  constructor(peer: Peer, setup: ClientSetup) {
    const { distribution }: Workload = workloads[setup.workload];
    this.#peer = peer;
    this.#setup = setup;
    this.#pick = picker(distribution, setup.conversations, setup.seed);
    this.#last = new Float64Array(setup.conversations);
  }

  async run(command: ClientCommand): Promise<ClientRun> {
    if (command.command === 'cold') return this.#cold();
    if (command.command === 'close') {
      await this.#writeProfile();
      await this.#peer.close();
      return this.#measured(0, async () => undefined);
    }
    if (command.command === 'warm') await this.#prepare();
    else await this.#startProfile();
    const untilMs = performance.now() + command.seconds * 1_000;
    const { underWay } = this.#setup;
    return this.#measured(underWay, async () => {
      while (performance.now() < untilMs) await this.#call(this.#pick());
    });
  }

  #cold(): Promise<ClientRun> {
    const { conversations } = this.#setup;
    let next = 0;
    return this.#measured(Math.min(conversations, preparationUnderWay), async () => {
      while (next < conversations) {
        const index = next;
        next += 1;
        await this.#call(index);
      }
    });
  }

  async #prepare(): Promise<void> {
    const random = randomUint32(this.#setup.seed + 1);
    for (const step of preparation.steps) await this.#forAll((index) => this.#peer.nextMany(index, step));
    await this.#forAll((index) => this.#peer.nextMany(index, 1 + (random() % preparation.spread)));
  }

  async #forAll(run: (index: number) => Promise<unknown>): Promise<void> {
    let next = 0;
    const worker = async () => {
      while (next < this.#setup.conversations) {
        const index = next;
        next += 1;
        await run(index);
      }
    };
    await Promise.all(Array.from({ length: preparationUnderWay }, worker));
  }

  /** Rounds only: the profile shows the steady state. */
  async #startProfile(): Promise<void> {
    if (this.#setup.profileFolder === undefined || this.#profiler !== undefined) return;
    this.#profiler = new Session();
    this.#profiler.connect();
    await this.#profiler.post('Profiler.enable');
    await this.#profiler.post('Profiler.start');
  }

  async #writeProfile(): Promise<void> {
    if (this.#profiler === undefined) return;
    const { profile } = await this.#profiler.post('Profiler.stop');
    const file = path.join(
      this.#setup.profileFolder!,
      `${this.#setup.workload}-${this.#setup.peer}.cpuprofile`,
    );
    writeFileSync(file, JSON.stringify(profile));
  }

  async #call(index: number): Promise<void> {
    const startMs = performance.now();
    const issued = await this.#peer.next(index);
    this.#histogram.recordValue(Math.round((performance.now() - startMs) * 1_000));
    const number = typeof issued === 'number' ? issued : issued.number;
    // Both peers promise it, so a benchmark that breaks it measures something else.
    if (number <= this.#last[index]!) {
      throw new Error(`conversation ${index} got ${number} after ${this.#last[index]}`);
    }
    this.#last[index] = number;
  }

  async #measured(callers: number, caller: () => Promise<void>): Promise<ClientRun> {
    const histogram = this.#histogram;
    histogram.reset();
    this.#peer.takeEvents();
    const cpuBefore = process.cpuUsage();
    const startMs = performance.now();
    await Promise.all(Array.from({ length: callers }, caller));
    const elapsedMs = performance.now() - startMs;
    const cpu = process.cpuUsage(cpuBefore);
    return {
      numbers: histogram.totalCount,
      elapsedMs,
      p50Us: histogram.getValueAtPercentile(50),
      p99Us: histogram.getValueAtPercentile(99),
      p999Us: histogram.getValueAtPercentile(99.9),
      maxUs: histogram.maxValue,
      cpuUs: cpu.user + cpu.system,
      heapMiB: Math.round(process.memoryUsage().heapUsed / 2 ** 20),
      events: this.#peer.takeEvents(),
    };
  }
}

function answer(message: ClientAnswer): void {
  process.send!(message);
}

function failed(error: unknown): void {
  answer({
    status: 'failed',
    message: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
}

async function main(): Promise<void> {
  const setup = JSON.parse(process.argv[2]!) as ClientSetup;
  const client = new Client(await openPeer(setup), setup);
  process.on('message', (command: ClientCommand) => {
    client.run(command).then((run) => {
      answer({ status: 'done', run });
      if (command.command === 'close') process.disconnect();
    }, failed);
  });
  // A benchmark that was ended takes its clients with it.
  process.on('disconnect', () => process.exit());
  answer({ status: 'ready' });
}

main().catch(failed);
