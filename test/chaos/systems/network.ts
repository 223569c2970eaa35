/** What proxies do to the way between clients and a store. */

import { setTimeout as sleep } from 'node:timers/promises';
import { startProxy, type TcpProxy } from '../../support/proxy.js';
import type { Fault } from '../schedule.js';
import type { Infliction, Inflictions } from './system.js';

/** How long a reply may keep a fault waiting that wants to lose it. */
const noReplyMs = 500;

/** Proxies before the servers that Sentinels or a cluster name, for all clients. */
export class ServerProxies {
  private constructor(private readonly proxies: ReadonlyMap<number, TcpProxy>) {}

  static async before(servers: readonly { readonly port: number }[]): Promise<ServerProxies> {
    const started = servers.map(async ({ port }) => [port, await startProxy(port)] as const);
    return new ServerProxies(new Map(await Promise.all(started)));
  }

  /** The port of each proxy by that of its server. */
  get ports(): Record<number, number> {
    return Object.fromEntries([...this.proxies].map(([port, proxy]) => [port, proxy.port]));
  }

  /** Those of the counters, but for the cut: that one the servers can make themselves. */
  get inflictions(): Inflictions {
    const { latency, halfOpen, repliesDropped, resetAfterRequest } = networkFaults(() => [
      ...this.proxies.values(),
    ]);
    return {
      'counter-latency': latency,
      'half-open-counters': halfOpen,
      'counter-replies-dropped': repliesDropped,
      'reset-after-request': resetAfterRequest,
    };
  }

  async stop(): Promise<void> {
    for (const proxy of this.proxies.values()) await proxy.stop();
  }
}

export interface NetworkFaults {
  readonly cut: Infliction;
  readonly latency: Infliction;
  readonly halfOpen: Infliction;
  readonly repliesDropped: Infliction;
  readonly resetAfterRequest: Infliction;
}

/** A fault hits all proxies, or only one. */
export function networkFaults(proxies: () => readonly TcpProxy[]): NetworkFaults {
  const hit = ({ pick }: Fault): readonly TcpProxy[] => {
    const all = proxies();
    return pick < 0.5 ? all : [all[Math.floor((pick - 0.5) * 2 * all.length)]!];
  };
  const during = async (fault: Fault, on: (proxy: TcpProxy) => void, off: (proxy: TcpProxy) => void) => {
    const victims = hit(fault);
    for (const proxy of victims) on(proxy);
    await sleep(fault.durationMs);
    for (const proxy of victims) off(proxy);
  };
  return {
    async cut(fault) {
      for (const proxy of hit(fault)) proxy.cutAll();
    },
    latency: (fault) =>
      during(
        fault,
        (proxy) => {
          proxy.delayMs = 5 + fault.pick * 200;
        },
        (proxy) => {
          proxy.delayMs = 0;
        },
      ),
    halfOpen: (fault) =>
      during(
        fault,
        (proxy) => proxy.hold(true),
        (proxy) => proxy.hold(false),
      ),
    repliesDropped: (fault) =>
      during(
        fault,
        (proxy) => proxy.dropReplies(true),
        (proxy) => {
          // What was swallowed must not be followed by anything else on the same connection.
          proxy.cutAll();
          proxy.dropReplies(false);
        },
      ),
    async resetAfterRequest(fault) {
      const endMs = performance.now() + fault.durationMs;
      while (performance.now() < endMs) {
        const replies = hit(fault).map((proxy) => proxy.cutAfterNextReplyDropped());
        await Promise.race([Promise.all(replies), sleep(noReplyMs)]);
        await sleep(20);
      }
    },
  };
}
