/** A TCP proxy on loopback that loses, delays and cuts what passes through it. */

import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface TcpProxy {
  readonly port: number;
  /** Where new connections go; may be changed. */
  targetPort: number;
  /** What passes is late by this much, in each direction, in milliseconds. */
  delayMs: number;
  /** Open connections. */
  readonly connections: number;
  /** Swallows what the server sends while on. */
  dropReplies(on: boolean): void;
  /** Swallows the next reply on any connection and resets that connection; resolves when that has happened. */
  cutAfterNextReplyDropped(): Promise<void>;
  /** Resets every connection now. New ones are accepted. */
  cutAll(): void;
  /** Half-open while on: connections stay, and nothing passes. What was held passes when switched off. */
  hold(on: boolean): void;
  /** Ends every connection and stops listening. */
  stop(): Promise<void>;
}

interface Link {
  readonly client: net.Socket;
  readonly server: net.Socket;
}

/** Starts a proxy on a port of its own to a server on loopback. */
export async function startProxy(targetPort: number): Promise<TcpProxy> {
  const links = new Set<Link>();
  const waitingForCut: (() => void)[] = [];
  let dropping = false;
  let held = false;

  const cut = (link: Link): void => {
    links.delete(link);
    link.client.resetAndDestroy();
    link.server.resetAndDestroy();
  };
  const setFlow = (link: Link): void => {
    for (const socket of [link.client, link.server]) held ? socket.pause() : socket.resume();
  };

  const listener = net.createServer({ noDelay: true }, (client) => {
    const server = net.connect({ port: proxy.targetPort, host: '127.0.0.1', noDelay: true });
    const link = { client, server };
    links.add(link);
    const forward = (from: net.Socket, to: net.Socket, mayPass: () => boolean): void => {
      const inOrder = new DelayedQueue();
      from.on('data', (chunk) => {
        if (mayPass()) inOrder.add(proxy.delayMs, () => to.write(chunk));
      });
      from.on('end', () => inOrder.add(proxy.delayMs, () => to.end()));
      from.on('error', () => cut(link));
      from.on('close', () => {
        if (client.destroyed && server.destroyed) links.delete(link);
      });
    };
    forward(client, server, () => true);
    forward(server, client, () => {
      const cutDone = waitingForCut.shift();
      if (cutDone === undefined) return !dropping;
      cut(link);
      cutDone();
      return false;
    });
    setFlow(link);
  });

  const proxy: TcpProxy = {
    port: 0,
    targetPort,
    delayMs: 0,
    get connections() {
      return links.size;
    },
    dropReplies(on) {
      dropping = on;
    },
    cutAfterNextReplyDropped: () => new Promise((resolve) => waitingForCut.push(resolve)),
    cutAll() {
      for (const link of [...links]) cut(link);
    },
    hold(on) {
      held = on;
      for (const link of links) setFlow(link);
    },
    async stop() {
      proxy.cutAll();
      await new Promise((resolve) => listener.close(resolve));
    },
  };
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  // A forgotten proxy must not keep the process alive.
  listener.unref();
  return Object.defineProperty(proxy, 'port', { value: (listener.address() as net.AddressInfo).port });
}

/** Runs steps in the order in which they were added, each at least its delay after it was added. */
class DelayedQueue {
  private tail: Promise<void> = Promise.resolve();
  private pending = 0;

  add(delayMs: number, step: () => void): void {
    if (delayMs <= 0 && this.pending === 0) {
      step();
      return;
    }
    const dueAtMs = performance.now() + delayMs;
    this.pending += 1;
    this.tail = this.tail
      .then(() => sleep(Math.max(0, dueAtMs - performance.now())))
      .then(() => {
        this.pending -= 1;
        step();
      });
  }
}
