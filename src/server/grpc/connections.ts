/** Connections of the door: counted, bounded, and cut when the server has to end. grpc-js is given those that may stay. */

import { createServer, type Socket } from 'node:net';
import type { ConnectionInjector } from '@grpc/grpc-js';
import type { DoorContext, Listen } from '../door.js';
import { listenOn } from '../listen.js';

/** What every HTTP/2 client sends first, in bytes. */
const prefaceBytes = 24;

export class Connections {
  readonly #context: DoorContext;
  readonly #injector: ConnectionInjector;
  readonly #open = new Set<Socket>();
  readonly #server = createServer({ noDelay: true }, (socket) => this.#add(socket));

  constructor(context: DoorContext, injector: ConnectionInjector) {
    this.#context = context;
    this.#injector = injector;
    this.#server.maxConnections = context.limits.maxConnections;
    this.#server.on('drop', () => context.metrics.refused('grpc', 'full'));
  }

  /** Resolves with `host:port`. */
  listen(listen: Listen): Promise<string> {
    return listenOn(this.#server, listen);
  }

  /** Accepts no more. */
  stop(): void {
    if (this.#server.listening) this.#server.close();
  }

  /** Resolves when the last one is closed. */
  async closed(): Promise<void> {
    await Promise.all(
      [...this.#open].map((socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()))),
    );
  }

  destroy(): void {
    this.stop();
    for (const socket of this.#open) socket.destroy();
  }

  #add(socket: Socket): void {
    const { metrics, limits } = this.#context;
    this.#open.add(socket);
    metrics.connected('grpc');
    const silent = setTimeout(() => {
      if (socket.bytesRead >= prefaceBytes) return;
      metrics.refused('grpc', 'timeout');
      socket.destroy();
    }, limits.requestTimeoutMs);
    socket.once('close', () => {
      clearTimeout(silent);
      this.#open.delete(socket);
      metrics.disconnected('grpc');
    });
    // A client that is gone in the middle of something: its calls end by themselves.
    socket.on('error', () => undefined);
    this.#injector.injectConnection(socket);
  }
}
