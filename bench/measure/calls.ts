/** Rounds of calls: each peer in turn, with every number of conversations and of calls under way that is asked for. */

import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { startMariaDb, temporaryFolder } from '../../test/support/servers.js';
import type { BenchOptions } from '../options.js';
import type { Figures, Step } from '../results.js';
import { mariaDbArgs } from '../servers/meters.js';
import { usesMysql } from '../servers/peer-servers.js';
import type { CallWorkload, WorkloadName } from '../workloads.js';
import { Measured } from './measured.js';

/** Longest warm-up with the workload itself, after every conversation was used. */
const maxWarmUpSeconds = 3;
/** What a conversation takes at most in all servers and clients together, with room to spare. */
const memoryBytesPerConversation = 600;

export type Report = (progress: string) => void;

export async function measureCalls(
  name: WorkloadName,
  workload: CallWorkload,
  options: BenchOptions,
  report: Report,
): Promise<Step[]> {
  const steps: Step[] = [];
  for (const conversations of workload.conversations ?? [options.conversations]) {
    if (conversations > options.largest) continue;
    if (conversations * memoryBytesPerConversation > os.freemem()) {
      report(`${conversations} conversations do not fit into memory; left out`);
      continue;
    }
    steps.push(...(await withConversations(conversations, name, workload, options, report)));
  }
  return steps;
}

async function withConversations(
  conversations: number,
  workloadName: WorkloadName,
  workload: CallWorkload,
  options: BenchOptions,
  report: Report,
): Promise<Step[]> {
  const { distribution, batch, peers } = workload;
  const { seed, profileFolder } = options;
  const folder = await temporaryFolder();
  if (profileFolder !== undefined) await mkdir(profileFolder, { recursive: true });
  const mariaDb = peers.some(usesMysql) ? await startMariaDb({ args: mariaDbArgs }) : undefined;
  const measured: Measured[] = [];
  try {
    for (const name of peers) {
      const profileFile =
        profileFolder && path.join(profileFolder, `${workloadName}-${conversations}-${name}.cpuprofile`);
      const setup = { conversations, distribution, batch, seed, mariaDb, folder: folder.path, profileFile };
      measured.push(await Measured.start({ name, ...setup }));
    }
    if (workload.isFirstUse) return [await firstUse(measured, conversations, options, report)];
    for (const peer of measured) {
      report(`${peer.title}: ${peer.conversations} conversations are brought into use`);
      await peer.fill();
    }
    const steps: Step[] = [];
    for (const underWay of workload.underWay ?? [options.underWay]) {
      steps.push(await rounds(measured, conversations, underWay, options, report));
    }
    return steps;
  } finally {
    await Promise.allSettled(measured.map((peer) => peer.stop()));
    await mariaDb?.stop();
    await folder.remove();
  }
}

/** All clients stay for the whole time, those that are not measured idle; rounds alternate. */
async function rounds(
  measured: readonly Measured[],
  conversations: number,
  underWay: number,
  options: BenchOptions,
  report: Report,
): Promise<Step> {
  const { seconds } = options;
  const warmUp = { command: 'round', seconds: Math.min(maxWarmUpSeconds, seconds), underWay } as const;
  for (const peer of measured) await peer.run(warmUp);
  for (const peer of measured) peer.forget();
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const peer of measured) {
      const figures = await peer.round({ command: 'round', seconds, underWay });
      report(line(peer, `${peer.underWay(underWay)} under way, round ${round}`, figures));
    }
  }
  return stepOf(measured, conversations, underWay, seconds);
}

/** Each round uses its share of the conversations, once each. */
async function firstUse(
  measured: readonly Measured[],
  conversations: number,
  options: BenchOptions,
  report: Report,
): Promise<Step> {
  const { underWay } = options;
  // The first share is the warm-up.
  const count = Math.floor(conversations / (options.rounds + 1));
  for (const peer of measured) await peer.run({ command: 'pass', first: 0, count, underWay });
  for (const peer of measured) peer.forget();
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const peer of measured) {
      const figures = await peer.round({ command: 'pass', first: round * count, count, underWay });
      report(line(peer, `round ${round}`, figures));
    }
  }
  return stepOf(measured, conversations, underWay, 0);
}

export function stepOf(
  measured: readonly Measured[],
  conversations: number,
  underWay: number,
  seconds: number,
): Step {
  const results = measured.map((peer) => [peer.name, peer.takeResult(underWay)] as const);
  return { conversations, underWay, seconds, peers: Object.fromEntries(results) };
}

export function line(peer: Measured, what: string, { perSecond, p99Us }: Figures): string {
  const p99 = p99Us === undefined ? '' : `, p99 ${p99Us.toLocaleString('en-US')} µs`;
  return `${peer.title.padEnd(24)} ${what}: ${perSecond!.toLocaleString('en-US')} a second${p99}`;
}
