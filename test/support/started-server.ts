/** A Tidemark server in this process, over stores in memory or what a test gives it. */

import { pino } from 'pino';
import type { CounterStore } from '../../src/core/counter-store.js';
import type { Ledger } from '../../src/core/ledger.js';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import type { DoorLimits } from '../../src/server/door.js';
import type { Door } from '../../src/server/metrics.js';
import { Server, type ServerOptions } from '../../src/server/server.js';

const limits: DoorLimits = {
  maxConnections: 100,
  maxRequestBytes: 65_536,
  maxPipelined: 1_000,
  requestTimeoutMs: 2_000,
};

export interface StartServerOptions extends Partial<Omit<ServerOptions, 'doors' | 'limits'>> {
  readonly doors?: readonly Door[];
  readonly limits?: Partial<DoorLimits>;
}

export interface StartedServer {
  readonly server: Server;
  readonly counters: CounterStore;
  readonly ledger: Ledger;
  /** The port of a door. */
  port(door: Door): number;
  stop(): Promise<void>;
}

/** Starts a server on free ports of this machine. */
export async function startServer(options: StartServerOptions = {}): Promise<StartedServer> {
  const {
    doors = ['resp'],
    counters = new MemoryCounterStore(),
    ledger = new MemoryLedger(),
    ...rest
  } = options;
  const server = await Server.start({
    ...{ tuning: {}, clients: undefined, tls: undefined, keyPrefix: 'seq', version: '1.2.3' },
    log: pino({ level: 'silent' }),
    ...rest,
    ...{ counters, ledger, limits: { ...limits, ...options.limits } },
    doors: Object.fromEntries(doors.map((door) => [door, { host: '127.0.0.1', port: 0 }])),
  });
  return {
    ...{ server, counters, ledger },
    port(door) {
      const { address } = server.doors.find((open) => open.door === door)!;
      return Number(address.slice(address.lastIndexOf(':') + 1));
    },
    async stop() {
      await server.stop(1_000);
    },
  };
}
