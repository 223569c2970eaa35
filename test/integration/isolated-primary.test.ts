/**
 * A primary is cut off together with some processes, and goes on answering them, while its replica is promoted elsewhere.
 * Both groups of processes reach the ledger. The judge: no number twice (P1), no unexplained hole (P4). That numbers of the
 * old primary are smaller than those that were replied elsewhere meanwhile (P2), is what the fence check keeps short.
 */

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import { TidemarkError } from '../../src/errors.js';
import { openTidemark, type TuningOptions } from '../../src/open.js';
import type { SequenceGenerator } from '../../src/sequence-generator.js';
import { type CallRecord, judge } from '../support/judge.js';
import { gapsOf, startLoad } from '../support/load.js';
import { nowUs } from '../support/load-log.js';
import type { TcpProxy } from '../support/proxy.js';
import { replicate } from '../support/replicate.js';
import { type MariaDbServer, type RedisServer, startMariaDb, temporaryFolder } from '../support/servers.js';
import { Started } from '../support/started.js';
import { waitUntil } from '../support/wait.js';
import { sql } from './mysql-support.js';

const conversations = Array.from({ length: 20 }, (_, index) => groupChat(`g${index}`));

let maria: MariaDbServer;
let mysql: string;
let old: RedisServer;
let replica: RedisServer;
const started = new Started();

beforeAll(async () => {
  maria = await startMariaDb();
});
afterAll(() => maria.stop());
beforeEach(async () => {
  [old, replica, mysql] = await Promise.all([
    started.redisToReplicate(),
    started.redisToReplicate(),
    maria.createDatabase(),
  ]);
  await replicate(replica, old);
});
afterEach(() => started.stop());

/** A process that takes numbers of all conversations, one call after the other in each of some callers. */
class Worker {
  readonly calls: CallRecord[] = [];
  readonly failures: string[] = [];
  readonly events: { readonly event: TidemarkEvent; readonly atUs: number }[] = [];
  readonly #sequences: SequenceGenerator;
  readonly proxy: TcpProxy;
  #isOver = false;
  #work: Promise<unknown> | undefined;

  constructor(proxy: TcpProxy, tuning: TuningOptions = {}) {
    this.proxy = proxy;
    this.#sequences = openTidemark({
      redis: { url: `redis://127.0.0.1:${proxy.port}`, replyTimeoutMs: 500 },
      mysql,
      timeoutMs: 30_000,
      // So large that a block would last far longer than any test.
      reservation: { kind: 'fixed', size: 4_500 },
      onEvent: (event) => this.events.push({ event, atUs: nowUs() }),
      ...tuning,
    });
    started.add({ stop: () => this.stop() });
  }

  start(callers = 4): this {
    this.#work = Promise.all(Array.from({ length: callers }, (_, caller) => this.#run(caller)));
    return this;
  }

  /** Waits for so many more numbers. */
  async running(more = 50): Promise<void> {
    const before = this.calls.length;
    await waitUntil(`${more} more numbers`, async () => this.calls.length >= before + more);
  }

  /** Leads to another server from now on. */
  moveTo(server: RedisServer): void {
    this.proxy.targetPort = server.port;
    this.proxy.cutAll();
  }

  /** When it was first told of something. */
  async sawAtUs(isIt: (event: TidemarkEvent) => boolean): Promise<number> {
    const find = () => this.events.find(({ event }) => isIt(event));
    await waitUntil('the event', async () => find() !== undefined);
    return find()!.atUs;
  }

  /** When it had its last number before a moment. */
  lastReplyUs(beforeUs: number): number {
    return Math.max(...this.calls.map(({ end }) => end!).filter((atUs) => atUs < beforeUs));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.race([this.#work, sleep(1_000)]);
    await this.#sequences.close();
    await this.#work;
  }

  async #run(caller: number): Promise<void> {
    for (let turn = caller; !this.#isOver; turn += 1) {
      const of = conversations[turn % conversations.length]!;
      const start = nowUs();
      try {
        const number = await this.#sequences.next(of);
        const numbers = { first: number, last: number };
        this.calls.push({ conversation: of.key, start, end: nowUs(), numbers, count: 1 });
      } catch (error) {
        if (!this.#isOver) this.failures.push(error instanceof TidemarkError ? error.code : String(error));
      }
      await sleep(5);
    }
  }
}

/** Two workers on the old primary; then the replica is promoted, and one of them leaves for it. */
async function split(
  tuning: TuningOptions,
): Promise<{ isolated: Worker; moved: Worker; registeredUs: number }> {
  const isolated = new Worker(await started.proxyTo(old.port), tuning).start();
  const moved = new Worker(await started.proxyTo(old.port), tuning).start();
  await Promise.all([isolated.running(200), moved.running(200)]);
  await replica.command('REPLICAOF', 'NO', 'ONE');
  moved.moveTo(replica);
  const registeredUs = await moved.sawAtUs((event) => event.type === 'generation' && event.generation === 2);
  return { isolated, moved, registeredUs };
}

/** No number twice, no unexplained hole, and no failure. */
async function expectSound(workers: readonly Worker[]): Promise<void> {
  await Promise.all(workers.map((worker) => worker.stop()));
  const calls = workers.flatMap((worker) => worker.calls);
  const { duplicates, holes, regressions } = judge(calls, await recordedGaps());
  console.log(`${calls.length} numbers, ${regressions.length} smaller than others that were replied before`);
  expect({ duplicates, holes }).toEqual({ duplicates: [], holes: [] });
  expect(workers.flatMap((worker) => worker.failures)).toEqual([]);
}

function recordedGaps() {
  return gapsOf(mysql, new Set(conversations.map(({ key }) => key)));
}

const isFenced = (event: TidemarkEvent) => event.type === 'fenced';

describe('how long the old primary is used', () => {
  it.each([1_000, 200])('with a look every %d ms', async (fenceCheckMs) => {
    const { isolated, moved, registeredUs } = await split({ fenceCheckMs });
    const fencedUs = await isolated.sawAtUs(isFenced);
    const windowMs = (isolated.lastReplyUs(fencedUs + 50_000) - registeredUs) / 1_000;
    console.log(`fenceCheckMs ${fenceCheckMs}: the last number of the old primary came after ${windowMs} ms`);
    expect(windowMs).toBeLessThan(fenceCheckMs + 500);
    // It found out by itself: no refill was due.
    expect(isolated.events.find(({ event }) => isFenced(event))!.event).toMatchObject({
      conversation: undefined,
      generation: 1,
      newerGeneration: 2,
    });
    const issued = isolated.calls.length;
    await moved.running(300);
    expect(isolated.calls.length - issued).toBeLessThan(5);

    isolated.moveTo(replica);
    await isolated.running(300);
    await expectSound([isolated, moved]);
    // Everything that began after the fence is in order (P2).
    const later = [...isolated.calls, ...moved.calls].filter(({ start }) => start > fencedUs + 50_000);
    expect(judge(later, []).regressions).toEqual([]);
  });

  it('without the check, until a refill is due', async () => {
    const { isolated, moved, registeredUs } = await split({
      fenceCheckMs: 0,
      reservation: { kind: 'fixed', size: 300 },
    });
    const fencedUs = await isolated.sawAtUs(isFenced);
    const windowMs = (isolated.lastReplyUs(fencedUs) - registeredUs) / 1_000;
    console.log(`without the check: ${windowMs} ms`);
    expect(windowMs).toBeGreaterThan(2_000);
    expect(isolated.events.find(({ event }) => isFenced(event))!.event).toMatchObject({
      conversation: expect.stringMatching(/^group:/),
    });
    isolated.moveTo(replica);
    await isolated.running();
    await expectSound([isolated, moved]);
  });
});

describe('who goes on', () => {
  it('an isolated process whose address leads elsewhere by now, although its connection lives', async () => {
    const { isolated, moved } = await split({ fenceCheckMs: 200 });
    const fencedUs = await isolated.sawAtUs(isFenced);
    isolated.proxy.targetPort = replica.port;
    await isolated.running();
    // It tries the address anew once a second.
    const firstUs = Math.min(
      ...isolated.calls.map(({ end }) => end!).filter((end) => end > fencedUs + 50_000),
    );
    expect(firstUs - fencedUs).toBeLessThan(3_000_000);
    await expectSound([isolated, moved]);
  });

  it('processes on the old primary, when nobody was seen on the new one for 5 s', async () => {
    const { isolated, moved, registeredUs } = await split({ fenceCheckMs: 200 });
    await isolated.sawAtUs(isFenced);
    await moved.running();
    await replica.kill();
    const leftUs = nowUs();
    const onUs = await isolated.sawAtUs((event) => event.type === 'generation' && event.generation === 3);
    console.log(
      `the new primary lived ${(leftUs - registeredUs) / 1_000} ms, on after ${(onUs - leftUs) / 1_000} ms`,
    );
    expect(onUs - leftUs).toBeGreaterThan(4_000_000);
    expect(onUs - leftUs).toBeLessThan(7_000_000);
    await isolated.running();
    moved.moveTo(old);
    await moved.running();
    await expectSound([isolated, moved]);
    const rows = await sql(
      mysql,
      "SELECT DISTINCT generation FROM tidemark_gaps WHERE reason = 'history_lost'",
    );
    expect(rows.map(({ generation }) => generation).sort()).toEqual([2, 3]);
  });
});

it('two processes in each group, with the settings that everybody has', async () => {
  const folder = await temporaryFolder();
  started.add({ stop: () => folder.remove() });
  const groups = await Promise.all(
    ['isolated', 'moved'].map(async (name, index) => {
      const proxy = await started.proxyTo(old.port);
      await mkdir(path.join(folder.path, name));
      const options = { redis: `redis://127.0.0.1:${proxy.port}`, mysql, processCount: 2, seed: index };
      return { proxy, load: startLoad(path.join(folder.path, name), options) };
    }),
  );
  const [isolated, moved] = [groups[0]!, groups[1]!];
  const move = ({ proxy }: { proxy: TcpProxy }) => {
    proxy.targetPort = replica.port;
    proxy.cutAll();
  };
  await Promise.all(groups.map(({ load }) => load.running()));
  await replica.command('REPLICAOF', 'NO', 'ONE');
  move(moved);
  await isolated.load.seen('fenced', 2);
  await moved.load.running();
  move(isolated);
  await Promise.all(groups.map(({ load }) => load.running()));
  const results = await Promise.all(groups.map(({ load }) => load.finish()));
  const { duplicates, holes, numbers, regressions } = judge(
    results.flatMap(({ calls }) => calls),
    results.flatMap(({ gaps }) => gaps),
  );
  console.log(`${numbers} numbers, ${regressions.length} smaller than others that were replied before`);
  expect({ duplicates, holes }).toEqual({ duplicates: [], holes: [] });
  expect(results.map(({ failures, stderr }) => ({ failures, stderr }))).toEqual([
    { failures: {}, stderr: '' },
    { failures: {}, stderr: '' },
  ]);
});
