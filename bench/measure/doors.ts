/**
 * The doors of the server, embedded, beside a Redis of this machine. redis-benchmark sends INCR of 100,000 keys to both;
 * gRPC and HTTP with one number for each call, and with many.
 */

import { startCommand } from '../../test/support/command.js';
import { freePort, startRedis, temporaryFolder } from '../../test/support/servers.js';
import { waitUntil } from '../../test/support/wait.js';
import type { BenchOptions } from '../options.js';
import type { Figures, PeerResult, Step } from '../results.js';
import { incrPerSecond } from '../servers/redis-benchmark.js';
import type { Report } from './calls.js';
import { batchPerSecond, singlePerSecond, streamPerSecond, unaryPerSecond } from './door-loads.js';

const connections = 50;
const pipeline = 64;
const keys = 100_000;
/** 400,000 requests: each conversation has a number then. */
const warmUpSeconds = 1.6;
const serverTimeoutMs = 3_600_000;
/** Requests of redis-benchmark for each second that a round is to take, about what the slower side reaches. */
const requestsPerSecond = { deep: 250_000, single: 15_000 };

/** How a door is measured. Returns numbers per second. */
interface DoorLoad {
  readonly name: string;
  readonly title: string;
  readonly underWay: number;
  readonly perSecond: (seconds: number) => Promise<number>;
}

export async function measureDoors(options: BenchOptions, report: Report): Promise<Step[]> {
  const folder = await temporaryFolder();
  const redis = await startRedis();
  const ports = { resp: await freePort(), grpc: await freePort(), http: await freePort() };
  const address = (port: number) => `127.0.0.1:${port}`;
  const doors = Object.entries(ports).flatMap(([door, port]) => [`--${door}`, address(port)]);
  const server = startCommand(['serve', '--data', folder.path, ...doors], { timeoutMs: serverTimeoutMs });
  try {
    await waitUntil('the server listens', async () => server.stdoutSoFar().includes('Ctrl-C'));
    const loads = doorLoads(redis.port, ports);
    // Every conversation has been seen: the first number of each is a reservation, and no INCR.
    for (const port of [redis.port, ports.resp]) await incr(port, 'deep', warmUpSeconds);
    for (const load of loads.slice(2)) await load.perSecond(Math.min(1, options.seconds));
    const rounds = new Map(loads.map((load) => [load, [] as Figures[]]));
    for (let round = 1; round <= options.rounds; round += 1) {
      for (const load of loads) {
        const perSecond = Math.round(await load.perSecond(options.seconds));
        rounds.get(load)!.push({ perSecond });
        report(`${load.title.padEnd(40)} round ${round}: ${perSecond.toLocaleString('en-US')} a second`);
      }
    }
    const peers = loads.map((load): [string, PeerResult] => {
      const { name, title, underWay } = load;
      const result = { title, conversations: keys, underWay, footprint: {}, events: {} };
      return [name, { ...result, rounds: rounds.get(load)! }];
    });
    const { seconds } = options;
    return [{ conversations: keys, underWay: 0, seconds, peers: Object.fromEntries(peers) }];
  } finally {
    server.child.kill('SIGTERM');
    await server.result;
    await redis.stop();
    await folder.remove();
  }
}

function doorLoads(
  redis: number,
  { resp, grpc, http }: Record<'resp' | 'grpc' | 'http', number>,
): DoorLoad[] {
  const depths = { deep: `${connections} × ${pipeline} under way`, single: `${connections} × 1 under way` };
  const ofIncr = (side: string, port: number, depth: keyof typeof depths): DoorLoad => ({
    name: `${port === redis ? 'redis' : 'resp'}-${depth}`,
    title: `${side}, INCR, ${depths[depth]}`,
    underWay: connections * (depth === 'deep' ? pipeline : 1),
    perSecond: (seconds) => incr(port, depth, seconds),
  });
  const other = (
    name: string,
    title: string,
    underWay: number,
    port: number,
    load: (port: number, seconds: number) => Promise<number>,
  ): DoorLoad => ({ name, title, underWay, perSecond: (seconds) => load(port, seconds) });
  return [
    ofIncr('redis-server', redis, 'deep'),
    ofIncr('Redis protocol', resp, 'deep'),
    ofIncr('redis-server', redis, 'single'),
    ofIncr('Redis protocol', resp, 'single'),
    other('grpc-unary', 'gRPC, one number a call', 256, grpc, unaryPerSecond),
    other('grpc-stream', 'gRPC, a stream of 128 a message', 1_024, grpc, streamPerSecond),
    other('http-single', 'HTTP, one number a call', 64, http, singlePerSecond),
    other('http-batch', 'HTTP, 100 conversations a call', 1_600, http, batchPerSecond),
  ];
}

function incr(port: number, depth: 'deep' | 'single', seconds: number): Promise<number> {
  return incrPerSecond({
    ...{ port, key: 'seq:group:__rand_int__', keys, connections },
    pipeline: depth === 'deep' ? pipeline : 1,
    requests: Math.ceil(requestsPerSecond[depth] * seconds),
  });
}
