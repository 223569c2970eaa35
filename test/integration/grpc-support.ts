/** A server with a gRPC door for one test, and what is closed after it. */

import type { Client } from '@grpc/grpc-js';
import { pino } from 'pino';
import { afterEach } from 'vitest';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { Server, type ServerOptions } from '../../src/server/server.js';
import { connect } from '../support/grpc-client.js';

export const limits = {
  maxConnections: 20,
  maxRequestBytes: 65_536,
  maxPipelined: 100,
  requestTimeoutMs: 500,
};
const closing: (() => unknown)[] = [];
/** Is done after the test. */
export function atEnd(close: () => unknown): void {
  closing.push(close);
}
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

export async function start(options: Partial<ServerOptions> = {}) {
  const counters = new MemoryCounterStore();
  const server = await Server.start({
    ...{ counters, ledger: new MemoryLedger(), tuning: {}, clients: undefined, tls: undefined, limits },
    ...{ doors: { grpc: { host: '127.0.0.1', port: 0 } }, keyPrefix: 'seq', version: '1' },
    log: pino({ level: 'silent' }),
    ...options,
  });
  atEnd(() => server.stop(1_000));
  return { server, counters, address: server.doors[0]!.address };
}

export function clientOf(...args: Parameters<typeof connect>): Client {
  const client = connect(...args);
  atEnd(() => client.close());
  return client;
}

/** Takes of the counter store wait until they are let go. */
export function hold(counters: MemoryCounterStore): () => void {
  const take = counters.take.bind(counters);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  counters.takeNow = () => undefined;
  counters.take = async (...args) => {
    await held;
    return take(...args);
  };
  return release;
}

export const items = (from: number, count: number, conversation = 'group:g') =>
  Array.from({ length: count }, (_, index) => ({ id: BigInt(from + index), conversation }));
