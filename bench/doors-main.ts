/**
 * `npm run -s bench:doors`: the doors of the server, embedded, beside a Redis of this machine, in one run.
 *
 * redis-benchmark sends INCR of 100,000 random keys to both, with 64 commands under way in each of 50 connections and with one;
 * gRPC with one call each, and as a stream. Rounds are interleaved, and medians reported: the machine is shared.
 */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { create } from '@bufbuild/protobuf';
import { type ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import {
  type NextStreamRequest,
  NextStreamRequestSchema,
  type NextStreamResponse,
} from '../src/contract/generated/tidemark_pb.js';
import { startCommand } from '../test/support/command.js';
import { ask, connect } from '../test/support/grpc-client.js';
import { freePort, startRedis, temporaryFolder } from '../test/support/servers.js';
import { waitUntil } from '../test/support/wait.js';

const run = promisify(execFile);
const rounds = 5;
const warmRequests = 400_000;
const sides = { deep: { pipeline: 64, requests: 1_000_000 }, single: { pipeline: 1, requests: 60_000 } };
const grpcMs = 3_000;
const conversations = 100;
const itemsPerMessage = 128;

async function main(): Promise<void> {
  const folder = await temporaryFolder();
  const redis = await startRedis({ args: ['--save', '', '--appendonly', 'no'] });
  const [resp, grpc] = [await freePort(), await freePort()];
  const address = (port: number) => `127.0.0.1:${port}`;
  const server = startCommand(
    ['serve', '--data', folder.path, '--resp', address(resp), '--grpc', address(grpc), '--http', 'off'],
    { timeoutMs: 600_000 },
  );
  try {
    await waitUntil('the server listens', async () => server.stdoutSoFar().includes('Ctrl-C'));
    // Every conversation has been seen: the first number of each is a reservation, and no INCR.
    for (const port of [redis.port, resp]) await incrPerSecond(port, 64, warmRequests);
    const measured = { redis: { deep: [], single: [] }, gateway: { deep: [], single: [] } } as Rates;
    const calls = { unary: [] as number[], stream: [] as number[] };
    for (let round = 0; round < rounds; round += 1) {
      for (const [side, { pipeline, requests }] of Object.entries(sides) as [
        keyof typeof sides,
        typeof sides.deep,
      ][]) {
        measured.redis[side].push(await incrPerSecond(redis.port, pipeline, requests));
        measured.gateway[side].push(await incrPerSecond(resp, pipeline, requests));
      }
      calls.unary.push(await unaryPerSecond(address(grpc)));
      calls.stream.push(await streamPerSecond(address(grpc)));
    }
    report(measured, calls);
  } finally {
    server.child.kill('SIGTERM');
    await server.result;
    await redis.stop();
    await folder.remove();
  }
}

type Rates = Record<'redis' | 'gateway', Record<keyof typeof sides, number[]>>;

async function incrPerSecond(port: number, pipeline: number, requests: number): Promise<number> {
  const { stdout } = await run('redis-benchmark', [
    ...['-p', String(port), '-n', String(requests), '-P', String(pipeline), '-c', '50', '-r', '100000'],
    ...['--csv', 'INCR', 'seq:group:__rand_int__'],
  ]);
  return Number(/^"INCR[^"]*","([\d.]+)"/m.exec(stdout)?.[1]);
}

async function unaryPerSecond(address: string): Promise<number> {
  const client = connect(address);
  let numbers = 0;
  const startedAtMs = performance.now();
  const call = async (index: number) => {
    while (performance.now() - startedAtMs < grpcMs) {
      await ask(client, 'next', { conversation: `group:g${index % conversations}` });
      numbers += 1;
    }
  };
  await Promise.all(Array.from({ length: 256 }, (_, index) => call(index)));
  client.close();
  return (numbers * 1_000) / (performance.now() - startedAtMs);
}

function streamPerSecond(address: string): Promise<number> {
  const client = connect(address);
  const stream = (
    client as unknown as {
      nextStream(metadata: Metadata): ClientDuplexStream<NextStreamRequest, NextStreamResponse>;
    }
  ).nextStream(new Metadata());
  const items = Array.from({ length: itemsPerMessage }, (_, index) => {
    return { id: BigInt(index), conversation: `group:g${index % conversations}` };
  });
  const message = create(NextStreamRequestSchema, { items });
  let numbers = 0;
  let asked = 0;
  const startedAtMs = performance.now();
  const more = () => {
    while (asked - numbers < 8 * itemsPerMessage && performance.now() - startedAtMs < grpcMs) {
      stream.write(message);
      asked += itemsPerMessage;
    }
    if (asked === numbers) stream.end();
  };
  return new Promise((resolve, reject) => {
    stream.on('data', ({ results }: NextStreamResponse) => {
      numbers += results.length;
      more();
    });
    stream.on('error', reject);
    stream.on('end', () => {
      client.close();
      resolve((numbers * 1_000) / (performance.now() - startedAtMs));
    });
    more();
  });
}

function report({ redis, gateway }: Rates, { unary, stream }: { unary: number[]; stream: number[] }): void {
  const rows = [
    ['INCR, 64 under way', median(redis.deep), median(gateway.deep), ratio(gateway.deep, redis.deep)],
    [
      'INCR, one at a time',
      median(redis.single),
      median(gateway.single),
      ratio(gateway.single, redis.single),
    ],
    ['gRPC, one call each', undefined, median(unary), undefined],
    ['gRPC, a stream', undefined, median(stream), ratio(stream, unary)],
  ] as const;
  if (process.argv.includes('--json')) {
    const figures = rows.map(([what, redisPerSecond, perSecond, times]) => ({
      what,
      redisPerSecond,
      perSecond,
      times,
    }));
    process.stdout.write(`${JSON.stringify({ rounds, figures }, undefined, 2)}\n`);
    return;
  }
  process.stdout.write(
    `Medians of ${rounds} interleaved rounds, per second; the stream beside single calls.\n\n`,
  );
  for (const [what, one, other, times] of rows) {
    const cells = [one, other].map((rate) =>
      rate === undefined ? '' : Math.round(rate).toLocaleString('en'),
    );
    process.stdout.write(
      `${what.padEnd(22)}${cells[0]!.padStart(12)}${cells[1]!.padStart(12)}  ${times?.toFixed(2) ?? ''}\n`,
    );
  }
}

/** Of the rates of each round. */
function ratio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((rate, round) => rate / theirs[round]!));
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)]!;
}

// So that the exit handlers end the servers and remove their folders.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

await main();
