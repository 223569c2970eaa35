/** `redis-benchmark`, written in C: what this Redis can do on this machine. */

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Client, ClientCommand, ClientRun } from '../clients/messages.js';

const timeoutMs = 600_000;
/** Fewer would not fill the connections. */
const fewestRequests = 10_000;

export interface BenchmarkLoad {
  readonly port: number;
  readonly key: string;
  /** `__rand_int__` in the key is one of so many numbers. */
  readonly keys: number;
  readonly requests: number;
  readonly connections: number;
  readonly pipeline: number;
}

/** Runs INCR; returns how many a second it reached. */
export async function incrPerSecond(load: BenchmarkLoad): Promise<number> {
  const { port, key, keys, requests, connections, pipeline } = load;
  const sizes = { '-p': port, '-n': requests, '-c': connections, '-P': pipeline, '-r': keys };
  const args = Object.entries(sizes).flatMap(([flag, value]) => [flag, String(value)]);
  const { stdout } = await promisify(execFile)('redis-benchmark', [...args, '--csv', 'INCR', key], {
    timeout: timeoutMs,
  });
  const perSecond = Number(/^"INCR[^"]*","([\d.]+)"/m.exec(stdout)?.[1]);
  if (!(perSecond > 0)) throw new Error(`redis-benchmark gave no rate: ${stdout}`);
  return perSecond;
}

/** 16 connections with 64 commands under way in each, as a client of the benchmark. */
export class RedisBenchmark implements Client {
  readonly #port: number;
  readonly #keys: number;
  /** Learned from the round before, so that a round takes the seconds that it should. */
  #perSecond = 500_000;

  constructor(port: number, keys: number) {
    this.#port = port;
    this.#keys = keys;
  }

  async run(command: ClientCommand): Promise<ClientRun> {
    if (command.command === 'connect') return { numbers: 0, elapsedMs: 0, events: {} };
    const wanted = 'seconds' in command ? Math.ceil(this.#perSecond * command.seconds) : this.#keys;
    const numbers = Math.max(fewestRequests, wanted);
    const load = { port: this.#port, keys: this.#keys, requests: numbers, connections: 16, pipeline: 64 };
    const perSecond = await incrPerSecond({ ...load, key: 'incr:{group:g__rand_int__}' });
    if ('seconds' in command) this.#perSecond = perSecond;
    return { numbers, elapsedMs: (numbers * 1_000) / perSecond, events: {} };
  }

  async close(): Promise<void> {}
}
