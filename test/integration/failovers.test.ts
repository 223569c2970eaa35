/**
 * Load on a thousand conversations while primaries are killed and replaced, one after the other: behind Sentinel, in a
 * cluster of three primaries with a replica each, and on Valkey. The judge reads what the processes wrote; and numbers flow
 * again soon after the new primary is up.
 *
 * `TIDEMARK_SECONDS` is how long each load lasts, 60 with `npm run failovers`; one failover every ten seconds.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startCluster } from '../support/cluster.js';
import { type Load, type LoadResult, startLoad } from '../support/load.js';
import { nowUs } from '../support/load-log.js';
import { valkeyExecutable } from '../support/redis-executables.js';
import { startSentinels } from '../support/sentinels.js';
import { type MariaDbServer, startMariaDb, temporaryFolder } from '../support/servers.js';

const seconds = Number(process.env['TIDEMARK_SECONDS'] ?? 14);
const betweenFailoversMs = Math.min(10_000, seconds * 500);
/** From the moment when the new primary is up until somebody whose numbers it keeps gets one. */
const maxPauseMs = 2_000;
const timeoutMs = (seconds + 60) * 1_000;

let maria: MariaDbServer;
let mysql: string;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let servers: { stop(): Promise<void> } | undefined;

beforeAll(async () => {
  maria = await startMariaDb();
});
afterAll(() => maria.stop());
beforeEach(async () => {
  mysql = await maria.createDatabase();
  folder = await temporaryFolder();
});
afterEach(async () => {
  await servers?.stop();
  servers = undefined;
  await folder.remove();
});

/** When a primary was killed, when another one served in its place, and which conversations. */
interface Replaced {
  readonly killedUs: number;
  readonly promotedUs: number;
  readonly isServed: (conversation: string) => boolean;
}

async function run(redis: string, failOver: (load: Load) => Promise<Replaced>): Promise<void> {
  const load = startLoad(folder.path, {
    redis,
    mysql,
    processCount: 3,
    conversations: 1_000,
    callers: 30,
    pinned: true,
    maxDurationMs: timeoutMs,
  });
  await load.running(100);
  const replaced: Replaced[] = [];
  const endMs = performance.now() + seconds * 1_000;
  while (performance.now() + betweenFailoversMs < endMs) {
    const startedMs = performance.now();
    replaced.push(await failOver(load));
    await sleep(Math.max(1_000, betweenFailoversMs - (performance.now() - startedMs)));
  }
  await sleep(Math.max(0, endMs - performance.now()));
  await load.running(50);
  judgeResult(await load.finish(), replaced);
}

function judgeResult(result: LoadResult, replaced: readonly Replaced[]): void {
  const { verdict, failures, events, gaps } = result;
  const pauses = replaced.map((one) => firstReplyAfterMs(result, one)).sort((a, b) => a - b);
  const median = pauses[Math.floor(pauses.length / 2)]!;
  const outages = replaced.map(({ killedUs, promotedUs, isServed }) => {
    return Math.round(
      result.longestPauseMs({ fromUs: killedUs - 1e6, toUs: promotedUs + 8e6, of: isServed }),
    );
  });
  console.log(
    `${verdict.numbers} numbers of ${verdict.conversations} conversations, ${replaced.length} failovers,`,
    `${verdict.missing} missing and explained, ${gaps.length} gaps; numbers flow again after`,
    `${pauses.map((pause) => Math.round(pause)).join(', ')} ms (median ${Math.round(median)}),`,
    `without a number for ${outages.join(', ')} ms in all; failures`,
    failures,
    'events',
    events,
  );
  const { duplicates, regressions, holes } = verdict;
  expect({ duplicates, regressions, holes }).toEqual({ duplicates: [], regressions: [], holes: [] });
  expect(result.stderr).toBe('');
  expect(replaced.length).toBeGreaterThan(0);
  expect(median).toBeLessThan(maxPauseMs);
}

function firstReplyAfterMs({ calls }: LoadResult, { promotedUs, isServed }: Replaced): number {
  let firstUs = Number.POSITIVE_INFINITY;
  for (const { end, numbers, conversation } of calls)
    if (numbers !== undefined && end! > promotedUs && end! < firstUs && isServed(conversation))
      firstUs = end!;
  return (firstUs - promotedUs) / 1_000;
}

async function behindSentinels(executable?: string): Promise<void> {
  const sentinels = await startSentinels(executable === undefined ? {} : { executable });
  servers = sentinels;
  await run(sentinels.url, async () => {
    const old = await sentinels.primary();
    const killedUs = nowUs();
    await sentinels.kill();
    const promotedUs = nowUs();
    // It comes back empty, as a primary, until the sentinels make it a replica.
    await old.start();
    return { killedUs, promotedUs, isServed: () => true };
  });
}

async function inCluster(executable?: string): Promise<void> {
  const cluster = await startCluster(executable === undefined ? {} : { executable });
  servers = cluster;
  const keys = Array.from({ length: 1_000 }, (_, index) => `group:g${index}`);
  const slots = await cluster.slotsOf(keys);
  const slotOf = new Map(keys.map((key, index) => [key, slots[index]!]));
  let turn = 0;
  await run(cluster.url, async () => {
    const third = turn % 3;
    turn += 1;
    const primary = await cluster.primaryOf(Math.floor((third * 16_384) / 3) + 1);
    const killedUs = nowUs();
    await cluster.kill(primary);
    const promotedUs = nowUs();
    await primary.start();
    const isServed = (key: string) => Math.floor((slotOf.get(key)! * 3) / 16_384) === third;
    return { killedUs, promotedUs, isServed };
  });
}

describe(`load of ${seconds} s with a failover every ${betweenFailoversMs / 1_000} s`, () => {
  it('Sentinel: no duplicate, nothing backwards, no unexplained hole', () => behindSentinels(), timeoutMs);

  it('cluster of three primaries and three replicas', () => inCluster(), timeoutMs);

  const valkey = valkeyExecutable();
  it.skipIf(valkey === undefined)(
    'Valkey behind Sentinel',
    () => behindSentinels(valkey!.executable),
    timeoutMs,
  );

  it.skipIf(valkey === undefined)('a cluster of Valkey', () => inCluster(valkey!.executable), timeoutMs);
});
