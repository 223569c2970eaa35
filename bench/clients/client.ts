/** A client process: makes calls to one peer and measures them. One process for each peer, so that CPU time is its own. */

import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { Random } from '../../test/support/random.js';
import { type CallLoops, runLoops } from './call-loops.js';
import { GarbageMeter, memoryInUse } from './garbage.js';
import { Latencies } from './latencies.js';
import type { ClientAnswer, ClientCommand, ClientRequest, ClientRun, ClientSetup } from './messages.js';
import { openPeer, type Peer } from './peers.js';
import { picker } from './picks.js';

/** Calls under way while conversations are aged. */
const agingUnderWay = 1_000;
/**
 * A conversation gets these many numbers before the rounds, in three steps, and up to `spread` more. Blocks of 64, 128
 * and 256 numbers follow each other so, and every conversation is somewhere in its third: refills are spread evenly
 * over the rounds, as they are after some time of real use.
 */
const aging = { steps: [40, 100], spread: 180 };

/**
 * Then a few calls, not too many at once: what the peer put off while it was asked for so many blocks is done before the
 * rounds.
 */
const settlingPasses = 2;
const settlingUnderWay = 100;

class MeasuredPeer {
  readonly #peer: Peer;
  readonly #setup: ClientSetup;
  readonly #pick: () => number;
  readonly #latencies = new Latencies();
  readonly #lastNumbers: Float64Array;
  #profiler: Session | undefined;

  constructor(peer: Peer, setup: ClientSetup) {
    this.#peer = peer;
    this.#setup = setup;
    this.#pick = picker(setup.distribution, setup.conversations, setup.seed);
    this.#lastNumbers = new Float64Array(setup.conversations);
  }

  async run(command: ClientCommand): Promise<ClientRun> {
    if (command.command === 'connect') {
      const run = await this.#measured({ underWay: 1, pick: inTurn(0, 1) });
      // Only here: to collect garbage between rounds would make them unlike real use.
      return { ...run, memoryBytes: memoryInUse() };
    }
    if (command.command === 'age') return this.#age();
    if (command.command === 'pass') {
      const { first, count, underWay } = command;
      return this.#measured({ underWay, pick: inTurn(first, count) });
    }
    await this.#startProfile();
    const untilMs = performance.now() + command.seconds * 1_000;
    return this.#measured({ underWay: command.underWay, pick: this.#pick, untilMs });
  }

  async close(): Promise<void> {
    await this.#writeProfile();
    await this.#peer.close();
  }

  async #age(): Promise<ClientRun> {
    const { nextMany } = this.#peer;
    const { conversations, seed } = this.#setup;
    if (nextMany === undefined) return this.#measured({ underWay: 1, pick: inTurn(0, 0) });
    const random = new Random(seed + 1);
    const counts = [...aging.steps.map((step) => () => step), () => 1 + (random.uint32() % aging.spread)];
    let run: ClientRun | undefined;
    for (const count of counts) {
      const call = (index: number) => nextMany(index, count());
      run = await this.#measured({ call, underWay: agingUnderWay, pick: inTurn(0, conversations) });
    }
    const call = (index: number) => nextMany(index, 1);
    for (let pass = 0; pass < settlingPasses; pass += 1)
      run = await this.#measured({ call, underWay: settlingUnderWay, pick: inTurn(0, conversations) });
    return run!;
  }

  async #measured(
    loops: Pick<CallLoops, 'underWay' | 'pick'> & Partial<Pick<CallLoops, 'call' | 'untilMs'>>,
  ): Promise<ClientRun> {
    const { next, nextMany, takeEvents = () => ({}) } = this.#peer;
    const { batch } = this.#setup;
    const latencies = this.#latencies;
    latencies.reset();
    takeEvents();
    const garbage = new GarbageMeter();
    const cpuBefore = process.cpuUsage();
    const times = await runLoops({
      call: batch === 1 ? next : (index) => nextMany!(index, batch),
      untilMs: Number.POSITIVE_INFINITY,
      latencies,
      lastNumbers: this.#lastNumbers,
      ...loops,
    });
    const cpu = process.cpuUsage(cpuBefore);
    return {
      numbers: latencies.count * batch,
      elapsedMs: times.elapsedMs,
      ...(times.first1000Ms !== undefined && { first1000Ms: times.first1000Ms }),
      p50Us: latencies.percentileUs(50),
      p99Us: latencies.percentileUs(99),
      p999Us: latencies.percentileUs(99.9),
      cpuUs: cpu.user + cpu.system,
      garbageBytes: garbage.stop(),
      events: takeEvents(),
    };
  }

  /** Rounds only: the profile shows the steady state. */
  async #startProfile(): Promise<void> {
    if (this.#setup.profileFile === undefined || this.#profiler !== undefined) return;
    this.#profiler = new Session();
    this.#profiler.connect();
    await this.#profiler.post('Profiler.enable');
    await this.#profiler.post('Profiler.start');
  }

  async #writeProfile(): Promise<void> {
    if (this.#profiler === undefined) return;
    const { profile } = await this.#profiler.post('Profiler.stop');
    writeFileSync(this.#setup.profileFile!, JSON.stringify(profile));
  }
}

/** Each of `count` conversations once. */
function inTurn(first: number, count: number): () => number {
  let next = first;
  return () => (next < first + count ? next++ : -1);
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
  const measured = new MeasuredPeer(await openPeer(setup), setup);
  process.on('message', (request: ClientRequest) => {
    if (request.command === 'close') measured.close().then(() => process.disconnect(), failed);
    else measured.run(request).then((run) => answer({ status: 'done', run }), failed);
  });
  // A benchmark that was ended takes its clients with it.
  process.on('disconnect', () => process.exit());
  answer({ status: 'ready' });
}

main().catch(failed);
