/** One Redis with a replica that somebody may promote by hand; each client reaches it through a proxy of its own. */

import { cp, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startProxy, type TcpProxy } from '../../support/proxy.js';
import { replicate } from '../../support/replicate.js';
import { type RedisServer, startRedis } from '../../support/servers.js';
import { waitUntil } from '../../support/wait.js';
import type { Fault, Schedule } from '../schedule.js';
import type { RunLedger } from './ledger-server.js';
import { networkFaults } from './network.js';
import { dataFaults } from './redis-data.js';
import { pause, restart } from './sentinel.js';
import type { Inflictions, System } from './system.js';
import { jump, TurnedClock } from './turned-clock.js';

const appendOnlyFolder = 'appendonlydir';
const snapshotFile = 'dump.rdb';
const jumpsSeconds = [-86_400, -30, -2, 2, 30, 86_400];

export class StandaloneSystem implements System {
  readonly inflictions: Inflictions;

  private constructor(
    private readonly schedule: Schedule,
    private readonly ledger: RunLedger,
    private readonly clock: TurnedClock | undefined,
    private primary: RedisServer,
    private replica: RedisServer,
    private readonly proxies: readonly TcpProxy[],
  ) {
    const network = networkFaults(() => this.proxies);
    this.inflictions = {
      ...ledger.inflictions,
      ...dataFaults(async () => this.primary),
      'cut-counters': network.cut,
      'counter-latency': network.latency,
      'half-open-counters': network.halfOpen,
      'counter-replies-dropped': network.repliesDropped,
      'reset-after-request': network.resetAfterRequest,
      'kill-replica': (fault) => this.killReplica(fault),
      'pause-replica': (fault) => pause([this.replica], fault),
      'restart-counters': (fault) => this.restart(fault),
      'restore-old-counters': (fault) => this.restoreOld(fault),
      'promote-lagging-replica': (fault) => this.promoteLagging(fault),
      'switch-over': (fault) => this.switchOver(fault),
      'split-brain': (fault) => this.splitBrain(fault),
      'counter-clock-jump': (fault) => jump(this.clock, jumpsSeconds, fault),
    };
  }

  static async start(schedule: Schedule, ledger: RunLedger, folder: string): Promise<StandaloneSystem> {
    const jumps = schedule.faults.some(({ kind }) => kind === 'counter-clock-jump');
    const clock = jumps ? await TurnedClock.make(folder) : undefined;
    const servers = [await startPersisting(schedule, clock), await startPersisting(schedule, clock)] as const;
    const [primary, replica] = servers;
    await replicate(replica, primary);
    const proxies = await Promise.all(
      Array.from({ length: schedule.workload.clients }, () => startProxy(primary.port)),
    );
    return new StandaloneSystem(schedule, ledger, clock, primary, replica, proxies);
  }

  storesFor(slot: number) {
    return { redis: `redis://127.0.0.1:${this.proxies[slot]!.port}`, mysql: this.ledger.proxiedUrl };
  }

  gaps(conversations: ReadonlySet<string>) {
    return this.ledger.gaps(conversations);
  }

  async stop(): Promise<void> {
    for (const proxy of this.proxies) await proxy.stop();
    for (const server of [this.primary, this.replica]) await server.stop();
  }

  private async killReplica(fault: Fault): Promise<void> {
    await restart([this.replica], fault);
    // It was told whom to follow, and has forgotten that.
    await replicate(this.replica, this.primary);
  }

  private async restart({ durationMs }: Fault): Promise<void> {
    await this.primary.kill();
    if (this.schedule.persistence === 'none')
      for (const file of [snapshotFile, appendOnlyFolder])
        await rm(this.fileOf(file), { force: true, recursive: true });
    await sleep(durationMs);
    await this.primary.start();
  }

  /** The files of a while ago are put back. */
  private async restoreOld({ durationMs }: Fault): Promise<void> {
    const aof = isAppending(this.schedule);
    const [file, kept] = [this.fileOf(aof ? appendOnlyFolder : snapshotFile), this.fileOf('kept')];
    // It refuses while it writes one for its replica.
    if (!aof) await waitUntil('a snapshot', async () => (await this.primary.command('SAVE')) === 'OK');
    await cp(file, kept, { recursive: true });
    await sleep(durationMs);
    await this.primary.kill();
    await rm(file, { recursive: true, force: true });
    await cp(kept, file, { recursive: true });
    await rm(kept, { recursive: true });
    await this.primary.start();
  }

  /** The replica hears of nothing for a while, and then it is all there is. */
  private async promoteLagging({ durationMs }: Fault): Promise<void> {
    this.replica.pause();
    await sleep(durationMs);
    await this.primary.kill();
    this.replica.resume();
    await this.replica.command('REPLICAOF', 'NO', 'ONE');
    this.lead(this.proxies);
    await this.swap(() => this.replica.start());
  }

  /** The replica is promoted while its primary lives, and the clients follow one after the other. */
  private async switchOver({ durationMs }: Fault): Promise<void> {
    await this.replica.command('REPLICAOF', 'NO', 'ONE');
    for (const proxy of this.proxies) {
      await sleep(durationMs / this.proxies.length);
      this.lead([proxy]);
    }
    await this.swap();
  }

  /** Some clients stay with the old primary for a while. */
  private async splitBrain({ durationMs, pick }: Fault): Promise<void> {
    await this.replica.command('REPLICAOF', 'NO', 'ONE');
    const odd = Math.floor(pick * 2);
    this.lead(this.proxies.filter((_, slot) => slot % 2 === odd));
    await sleep(durationMs);
    this.lead(this.proxies);
    await this.swap();
  }

  private lead(proxies: readonly TcpProxy[]): void {
    for (const proxy of proxies) {
      proxy.targetPort = this.replica.port;
      proxy.cutAll();
    }
  }

  /** The promoted replica is the primary from now on, and the old primary follows it. */
  private async swap(before: () => Promise<void> = async () => {}): Promise<void> {
    [this.primary, this.replica] = [this.replica, this.primary];
    await before();
    await replicate(this.replica, this.primary);
  }

  private fileOf(name: string): string {
    return path.join(this.primary.dir, name);
  }
}

function isAppending({ persistence, flushesAlways }: Schedule): boolean {
  return persistence === 'aof' || flushesAlways === true;
}

function startPersisting(schedule: Schedule, clock: TurnedClock | undefined): Promise<RedisServer> {
  const flush = schedule.flushesAlways ? ['--appendfsync', 'always'] : [];
  return startRedis({
    appendonly: isAppending(schedule),
    args: ['--repl-diskless-sync-delay', '0', ...flush],
    ...(clock !== undefined && { env: clock.env }),
  });
}
