import { startProxy, type TcpProxy } from './proxy.js';
import { type RedisServer, type RedisServerOptions, startRedis } from './servers.js';

/** What a test has started, stopped after it, newest first. */
export class Started {
  private all: { stop(): Promise<void> }[] = [];

  add<T extends { stop(): Promise<void> }>(one: T): T {
    this.all.push(one);
    return one;
  }

  async redis(options?: RedisServerOptions): Promise<RedisServer> {
    return this.add(await startRedis(options));
  }

  /** A Redis whose replicas do not wait five seconds for others. */
  redisToReplicate(): Promise<RedisServer> {
    return this.redis({ args: ['--repl-diskless-sync-delay', '0'] });
  }

  async proxyTo(port: number): Promise<TcpProxy> {
    return this.add(await startProxy(port));
  }

  async stop(): Promise<void> {
    for (const one of this.all.reverse()) await one.stop();
    this.all = [];
  }
}
