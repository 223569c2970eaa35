/** The connections of the HTTP door: counted, bounded, and ended without cutting an answer. */

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { DoorContext } from '../door.js';

/** What is known of a connection that speaks HTTP. */
interface Connection {
  /** Requests that have no answer yet, in order. */
  readonly requests: Map<IncomingMessage, ServerResponse>;
  isPaused: boolean;
  /** Is written when all complete requests are answered, before the connection is closed. */
  lastWords: string | undefined;
}

/**
 * Follows every connection from the first byte to the last. Node can end idle connections by itself, but neither those that
 * have never sent anything, nor those whose client keeps sending.
 */
export class HttpConnections {
  readonly #server: Server;
  readonly #metrics: DoorContext['metrics'];
  readonly #maxPipelined: number;
  /** All of them, before TLS. */
  readonly #sockets = new Set<Socket>();
  /** Those that speak HTTP, after TLS. */
  readonly #connections = new Map<Socket, Connection>();
  #isClosing = false;

  constructor(server: Server, isTls: boolean, { metrics, limits }: Pick<DoorContext, 'metrics' | 'limits'>) {
    this.#server = server;
    this.#metrics = metrics;
    this.#maxPipelined = limits.maxPipelined;
    server.maxConnections = limits.maxConnections;
    server.on('drop', () => metrics.refused('http', 'too_many'));
    server.on('connection', (socket: Socket) => this.#accepted(socket));
    server.on(isTls ? 'secureConnection' : 'connection', (socket: Socket) => this.#established(socket));
  }

  /** For the handler of requests. */
  began(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const connection = this.#connections.get(socket);
    if (connection === undefined) return;
    connection.requests.set(request, response);
    response.once('close', () => this.#answered(socket, connection, request));
    if (this.#isClosing) this.#finish(socket, connection);
    else if (connection.requests.size > this.#maxPipelined) this.#pause(socket, connection);
  }

  /** Ends a connection that speaks no HTTP any more, when what came before is answered. */
  refuse(socket: Socket, reason: string, lastWords: string): void {
    const connection = this.#connections.get(socket);
    if (connection?.lastWords !== undefined) return;
    this.#metrics.refused('http', reason);
    if (connection === undefined) {
      socket.destroy();
      return;
    }
    connection.lastWords = lastWords;
    this.#pause(socket, connection);
    this.#endIfDone(socket, connection);
  }

  /** Resolves when every connection is closed: idle ones at once, others after their answers. */
  close(): Promise<void> {
    this.#isClosing = true;
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const [socket, connection] of this.#connections) {
      if (connection.requests.size === 0) socket.destroy();
      else this.#finish(socket, connection);
    }
    return closed;
  }

  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #accepted(socket: Socket): void {
    this.#sockets.add(socket);
    this.#metrics.connected('http');
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#metrics.disconnected('http');
    });
  }

  #established(socket: Socket): void {
    if (this.#isClosing) {
      socket.destroy();
      return;
    }
    this.#connections.set(socket, { requests: new Map(), isPaused: false, lastWords: undefined });
    socket.once('close', () => this.#connections.delete(socket));
  }

  #answered(socket: Socket, connection: Connection, request: IncomingMessage): void {
    connection.requests.delete(request);
    if (this.#isClosing) this.#announceEnd(connection);
    if (connection.lastWords !== undefined || this.#isClosing) this.#endIfDone(socket, connection);
    else if (connection.isPaused && connection.requests.size <= this.#maxPipelined / 2) {
      connection.isPaused = false;
      socket.resume();
    }
  }

  #endIfDone(socket: Socket, { requests, lastWords }: Connection): void {
    // After a fault in a body the rest of its request never comes.
    const isDone = [...requests.keys()].every(({ complete }) => lastWords !== undefined && !complete);
    if (!isDone || socket.destroyed) return;
    if (lastWords !== undefined && socket.writable) socket.write(lastWords);
    socket.destroySoon();
  }

  /** Answers what has come. */
  #finish(socket: Socket, connection: Connection): void {
    this.#announceEnd(connection);
    this.#readNoFurther(socket, connection);
  }

  /** Says `Connection: close` with the last answer, and not before: Node would cut those behind it. */
  #announceEnd({ requests }: Connection): void {
    for (const response of requests.values()) response.shouldKeepAlive = requests.size > 1;
  }

  /** Lets the requests that have begun come in, and no others: a client that never stops would keep the connection open. */
  #readNoFurther(socket: Socket, connection: Connection): void {
    for (const request of connection.requests.keys()) {
      if (request.complete) continue;
      request.once('end', () => this.#readNoFurther(socket, connection));
      return;
    }
    this.#pause(socket, connection);
  }

  #pause(socket: Socket, connection: Connection): void {
    connection.isPaused = true;
    socket.pause();
  }
}
