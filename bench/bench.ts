/** One benchmark: private servers, a client process for each peer, rounds in turn. */

import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { type RedisServer, temporaryFolder } from '../test/support/servers.js';
import { ClientProcess } from './client-process.js';
import type { ClientCommand } from './messages.js';
import { difference, Meters } from './meters.js';
import type { BenchOptions } from './options.js';
import { startServers } from './peer-servers.js';
import type { PeerName } from './peers.js';
import { type FigureSpreads, type Figures, figuresOf, type PeerRun, ratiosOf, spreadsOf } from './summary.js';
import { type Workload, type WorkloadName, workloads } from './workloads.js';

/** Longest warm-up with the workload itself, after every conversation was prepared. */
const maxWarmUpSeconds = 3;
const redisBenchmarkTimeoutMs = 60_000;

export interface PeerResult {
  readonly steady: FigureSpreads;
  readonly cold: Figures;
  readonly rounds: readonly Figures[];
  /** What Tidemark reported during the rounds, by event; empty for other peers. */
  readonly events: Readonly<Record<string, number>>;
}

export interface BenchResult {
  readonly workload: { readonly name: WorkloadName; readonly title: string };
  readonly settings: Pick<BenchOptions, 'rounds' | 'seconds' | 'underWay' | 'conversations' | 'seed'>;
  readonly machine: {
    readonly cores: number;
    readonly cpu: string;
    readonly node: string;
    readonly redis: string;
    readonly mariaDb: string | undefined;
  };
  /** What `redis-benchmark -P 64` reaches with INCR over as many keys; undefined where it is not installed. */
  readonly redisLimitPerSecond: number | undefined;
  /** What was measured, and what beside it. */
  readonly names: Peers<PeerName>;
  readonly peers: Peers<PeerResult>;
  /** The one divided by the other, of the rounds. */
  readonly ratios: Partial<FigureSpreads>;
}

type Report = (progress: string) => void;

export async function runBench(options: BenchOptions, report: Report): Promise<BenchResult> {
  const workload: Workload = workloads[options.workload];
  report('starting private servers');
  const servers = await startServers(workload);
  const [tested, beside] = workload.peers;
  const folder = await temporaryFolder();
  const meters = { tested: await Meters.open(servers.tested), beside: await Meters.open(servers.beside) };
  const { workload: name, conversations, underWay, seed, profileFolder } = options;
  if (profileFolder !== undefined) await mkdir(profileFolder, { recursive: true });
  const shared = { workload: name, conversations, underWay, seed, profileFolder };
  const start = (peer: keyof Peers<never>, name: PeerName) => {
    const { redisUrl, mysqlUrl } = servers[peer];
    const folderOfPeer = path.join(folder.path, name);
    return ClientProcess.start({ ...shared, redisUrl, mysqlUrl, peer: name, folder: folderOfPeer });
  };
  const clients: ClientProcess[] = [];
  try {
    const redisLimitPerSecond = await redisLimit(servers.beside.redis[0]!, conversations, report);
    clients.push(await start('tested', tested));
    clients.push(await start('beside', beside));
    const names = { tested, beside };
    const processes = { tested: clients[0]!, beside: clients[1]! };
    const peers = await measure(processes, names, meters, options, report);
    const { rounds, seconds } = options;
    return {
      workload: { name, title: workload.title },
      settings: { rounds, seconds, underWay, conversations, seed },
      machine: { ...machine(), ...(await meters.beside.versions()) },
      redisLimitPerSecond,
      names,
      peers,
      ratios: ratiosOf(peers.tested.rounds, peers.beside.rounds),
    };
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await Promise.all([meters.tested.close(), meters.beside.close()]);
    await servers.stop();
    await folder.remove();
  }
}

type Peers<T> = Readonly<Record<'tested' | 'beside', T>>;

/** Both clients stay for the whole time, the one that is not measured idle; rounds alternate. */
async function measure(
  clients: Peers<ClientProcess>,
  names: Peers<PeerName>,
  meters: Peers<Meters>,
  options: BenchOptions,
  report: Report,
): Promise<Peers<PeerResult>> {
  const run = async (
    peer: keyof Peers<never>,
    command: Exclude<ClientCommand, { command: 'close' }>,
    title: string,
  ) => {
    const before = await meters[peer].read();
    const client = await clients[peer].run(command);
    const result: PeerRun = { client, servers: difference(await meters[peer].read(), before) };
    const { perSecond, p99Us } = figuresOf(result);
    report(
      `${names[peer].padEnd(11)} ${title.padEnd(10)} ${perSecond.toLocaleString('en-US')} a second, p99 ${p99Us} µs`,
    );
    return result;
  };
  const both = ['tested', 'beside'] as const;
  const cold = new Map<keyof Peers<never>, PeerRun>();
  for (const peer of both) cold.set(peer, await run(peer, { command: 'cold' }, 'first pass'));
  const warmUp = { command: 'warm', seconds: Math.min(maxWarmUpSeconds, options.seconds) } as const;
  for (const peer of both) await run(peer, warmUp, 'warm-up');
  const rounds: Peers<PeerRun[]> = { tested: [], beside: [] };
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const peer of both) {
      const command = { command: 'round', seconds: options.seconds } as const;
      rounds[peer].push(await run(peer, command, `round ${round}`));
    }
  }
  const result = (peer: keyof Peers<never>): PeerResult => {
    const figures = rounds[peer].map(figuresOf);
    return {
      steady: spreadsOf(figures),
      cold: figuresOf(cold.get(peer)!),
      rounds: figures,
      events: eventsOf(rounds[peer]),
    };
  };
  return { tested: result('tested'), beside: result('beside') };
}

function eventsOf(runs: readonly PeerRun[]): Record<string, number> {
  const events: Record<string, number> = {};
  for (const { client } of runs) {
    for (const [type, count] of Object.entries(client.events)) events[type] = (events[type] ?? 0) + count;
  }
  return events;
}

function machine() {
  const cpus = os.cpus();
  return { cores: cpus.length, cpu: cpus[0]?.model.trim() ?? 'unknown', node: process.versions.node };
}

/** What Redis can do here when a client written in C asks nothing but INCR, 64 commands at a time. */
async function redisLimit(redis: RedisServer, keys: number, report: Report): Promise<number | undefined> {
  const load = ['-c', '16', '-P', '64', '-n', '1500000', '-r', String(keys)];
  const args = ['-p', String(redis.port), ...load, '--csv', 'INCR', 'limit:__rand_int__'];
  try {
    const { stdout } = await promisify(execFile)('redis-benchmark', args, {
      timeout: redisBenchmarkTimeoutMs,
    });
    const limit = Number(stdout.trim().split('\n').at(-1)?.split(',')[1]?.replaceAll('"', ''));
    report(`redis-benchmark -P 64: ${limit.toLocaleString('en-US')} a second`);
    return Number.isFinite(limit) ? limit : undefined;
  } catch {
    report('redis-benchmark did not run; the limit of the machine is left out');
    return undefined;
  } finally {
    await redis.command('FLUSHALL');
  }
}
