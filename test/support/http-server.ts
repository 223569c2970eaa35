/** A Tidemark server with its HTTP door open, in this process, over stores in memory. */

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import type { ClientOptions } from '../../src/server/access.js';
import type { DoorLimits } from '../../src/server/door.js';
import type { Server, ServerOptions } from '../../src/server/server.js';
import { startServer } from './started-server.js';

export interface HttpServerOptions {
  readonly clients?: readonly ClientOptions[];
  readonly limits?: Partial<DoorLimits>;
  readonly tls?: ServerOptions['tls'];
  readonly counters?: MemoryCounterStore;
  readonly log?: ServerOptions['log'];
}

const limits: DoorLimits = {
  maxConnections: 1_000,
  maxRequestBytes: 100_000,
  maxPipelined: 100,
  requestTimeoutMs: 10_000,
};

export interface HttpServer {
  readonly server: Server;
  readonly address: string;
  readonly url: string;
  /** Asks for a path; the answer with its JSON. */
  ask(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>;
  /** Writes bytes on a connection of its own; everything that comes back until it is closed. */
  raw(...parts: readonly string[]): Promise<string>;
  connect(): Promise<net.Socket>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Record<string, unknown>;
}

export async function startHttpServer(options: HttpServerOptions = {}): Promise<HttpServer> {
  const { server } = await startServer({
    doors: ['http'],
    ...options,
    limits: { ...limits, ...options.limits },
  });
  const { address } = server.doors[0]!;
  const url = `${options.tls === undefined ? 'http' : 'https'}://${address}`;
  const connect = async () => {
    const socket = net.connect(Number(address.split(':')[1]), '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  };
  return {
    server,
    address,
    url,
    connect,
    async ask(method, path, body, headers = {}) {
      const response = await fetch(url + path, {
        method,
        headers: { ...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.includes('json');
      return {
        status: response.status,
        headers: response.headers,
        json: isJson ? (JSON.parse(text) as Record<string, unknown>) : { text },
      };
    },
    async raw(...parts) {
      const socket = await connect();
      return readToEnd(socket, parts);
    },
  };
}

/** Writes, and reads until the other side closes. */
export async function readToEnd(socket: net.Socket, parts: readonly string[] = []): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += String(chunk);
  });
  for (const part of parts) socket.write(part);
  await once(socket, 'close');
  return text;
}

/** A client with its token. */
export function clientWith(token: string, options: Partial<ClientOptions> = {}): ClientOptions {
  const tokenSha256 = createHash('sha256').update(token).digest('hex');
  return { name: token, rights: ['issue', 'read'], ...options, tokenSha256 };
}

/** Counters whose takes wait until they are let go. */
export class HeldCounters extends MemoryCounterStore {
  waiting = 0;
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => undefined;

  hold(): void {
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#open();
  }

  override async take(
    ...args: Parameters<MemoryCounterStore['take']>
  ): ReturnType<MemoryCounterStore['take']> {
    this.waiting += 1;
    await this.#gate;
    return super.take(...args);
  }

  /** Every take goes through the gate. */
  override takeNow(): undefined {
    return undefined;
  }
}
