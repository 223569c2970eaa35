/**
 * A cluster that changes under load: slots move to another primary and back, a node is added and gets slots, and loses its
 * primary's seat in between. The judge reads what the processes wrote.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type PrivateCluster, startCluster } from '../support/cluster.js';
import { type Load, startLoad } from '../support/load.js';
import { type MariaDbServer, startMariaDb, temporaryFolder } from '../support/servers.js';

let maria: MariaDbServer;
let cluster: PrivateCluster;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  [maria, cluster, folder] = await Promise.all([
    startMariaDb(),
    // A primary that loses its last slot stays one.
    startCluster({ args: ['--cluster-allow-replica-migration', 'no'] }),
    temporaryFolder(),
  ]);
});
afterEach(async () => {
  await Promise.all([maria.stop(), cluster.stop(), folder.remove()]);
});

function load(): Load {
  return startLoad(folder.path, {
    redis: cluster.url,
    mysql: maria.url,
    processCount: 3,
    conversations: 300,
    callers: 20,
    pinned: true,
    maxDurationMs: 120_000,
  });
}

it('slots move there and back, a node is added, a primary is lost: no duplicate, nothing backwards, every hole explained', async () => {
  const running = load();
  await running.running(100);
  const [first, second] = [await cluster.primaryOf(0), await cluster.primaryOf(16_383)];
  await cluster.moveSlots({ first: 0, last: 999 }, first, second);
  await running.running(50);
  await cluster.moveSlots({ first: 0, last: 999 }, second, first);
  await running.running(50);
  const added = await cluster.addNode();
  await cluster.moveSlots({ first: 2_000, last: 2_499 }, first, added);
  await running.running(50);
  await cluster.failOver(second);
  await running.running(50);
  await sleep(500);
  const { verdict, gaps, failures, events, stderr } = await running.finish();
  console.log(
    `${verdict.numbers} numbers of ${verdict.conversations} conversations, ${verdict.missing} missing and explained,`,
    `${gaps.length} gaps; failures`,
    failures,
    'events',
    events,
  );
  const { duplicates, regressions, holes } = verdict;
  expect({ duplicates, regressions, holes }).toEqual({ duplicates: [], regressions: [], holes: [] });
  expect({ stderr, failures }).toEqual({ stderr: '', failures: {} });
  // The slots that moved are of primaries with other histories: without takeovers the test would prove nothing.
  expect(events['takeover']).toBeGreaterThan(20);
}, 120_000);
