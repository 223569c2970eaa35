/** The MariaDB of a run behind a proxy, and what can be done to it. It serves one run after the other. */

import { execFileSync } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { gapsOf } from '../../support/load.js';
import { startProxy, type TcpProxy } from '../../support/proxy.js';
import { type MariaDbServer, startMariaDb } from '../../support/servers.js';
import { waitUntil } from '../../support/wait.js';
import { networkFaults } from './network.js';
import { type Inflictions, NotPossible } from './system.js';
import { jump, TurnedClock } from './turned-clock.js';

const diskMegabytes = 320;
/** No days: the server's own waits go by this clock, too. */
const jumpsSeconds = [-30, -2, 2, 30];

export class LedgerServer {
  private constructor(
    private readonly server: MariaDbServer,
    private readonly disk: SmallDisk | undefined,
    private readonly clock: TurnedClock | undefined,
  ) {}

  /** The folder gets the files of the server, where possible on a small disk that can be filled. */
  static async start(folder: string): Promise<LedgerServer> {
    const disk = await SmallDisk.mount(path.join(folder, 'disk'), diskMegabytes);
    const clock = await TurnedClock.make(folder);
    const server = await startMariaDb({
      ...(disk !== undefined && { parent: disk.path }),
      ...(clock !== undefined && { env: clock.env }),
    });
    return new LedgerServer(server, disk, clock);
  }

  /** Entries are lost in the table that is named. */
  async ledger(table?: string): Promise<RunLedger> {
    return new RunLedger(
      this.server,
      await startProxy(this.server.port),
      await this.server.createDatabase(),
      this.disk,
      this.clock,
      table,
    );
  }

  async stop(): Promise<void> {
    await this.server.stop();
    await this.disk?.unmount();
  }
}

/** A database of its own on the server, for one run. */
export class RunLedger {
  readonly inflictions: Inflictions;

  constructor(
    private readonly server: MariaDbServer,
    private readonly proxy: TcpProxy,
    private readonly url: string,
    private readonly disk: SmallDisk | undefined,
    private readonly clock: TurnedClock | undefined,
    private readonly table = 'tidemark_ledger',
  ) {
    const network = networkFaults(() => [this.proxy]);
    this.inflictions = {
      'cut-ledger': network.cut,
      'ledger-latency': network.latency,
      'half-open-ledger': network.halfOpen,
      'ledger-replies-dropped': network.repliesDropped,
      'reset-after-statement': network.resetAfterRequest,
      'kill-ledger': ({ durationMs }) => this.restart(durationMs),
      'pause-ledger': ({ durationMs }) => this.pause(durationMs),
      'ledger-disk-full': ({ durationMs }) => this.fillDisk(durationMs),
      'ledger-clock-jump': (fault) => jump(this.clock, jumpsSeconds, fault),
      'lose-entries': ({ pick }) => this.loseEntries(pick),
      'roll-entries-back': ({ durationMs }) => this.rollBack(durationMs),
    };
  }

  /** What clients use. */
  get proxiedUrl(): string {
    return this.url.replace(`:${this.server.port}/`, `:${this.proxy.port}/`);
  }

  gaps(conversations: ReadonlySet<string>) {
    return gapsOf(this.url, conversations);
  }

  async stop(): Promise<void> {
    await this.proxy.stop();
    await this.sql(`DROP DATABASE ${new URL(this.url).pathname.slice(1)}`);
  }

  private async restart(awayMs: number): Promise<void> {
    await this.server.kill();
    await sleep(awayMs);
    await this.server.start();
  }

  private async pause(durationMs: number): Promise<void> {
    this.server.pause();
    await sleep(durationMs);
    this.server.resume();
  }

  private async fillDisk(durationMs: number): Promise<void> {
    if (this.disk === undefined) throw new NotPossible('this user may not mount a small disk');
    await this.disk.fill();
    await sleep(durationMs);
    await this.disk.empty();
  }

  /** Entries go, generations stay. Each row by itself, so that nobody waits for a lock on all of them. */
  private async loseEntries(share: number): Promise<void> {
    await this.sql(
      `DELETE FROM ${this.table} WHERE CRC32(conversation) % 100 < ${10 + Math.floor(90 * share)}`,
    );
  }

  /** As after restoring a backup that is a moment old. What has begun since then is lost. */
  private async rollBack(ageMs: number): Promise<void> {
    await this.sql(`CREATE TABLE tidemark_kept AS SELECT * FROM ${this.table}`);
    await sleep(ageMs);
    await this.sql(
      `DELETE FROM ${this.table}`,
      `INSERT INTO ${this.table} SELECT * FROM tidemark_kept`,
      'DROP TABLE tidemark_kept',
    );
  }

  /** Statements in one transaction. */
  private async sql(...statements: string[]): Promise<void> {
    await waitUntil(`statements ran: ${statements[0]}`, async () => {
      const connection = await createConnection({ uri: this.url, connectTimeout: 5_000 });
      try {
        await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
        await connection.beginTransaction();
        for (const statement of statements) await connection.query(statement);
        await connection.commit();
        return true;
      } finally {
        connection.destroy();
      }
    });
  }
}

/** A file system in memory of a size of its own. */
export class SmallDisk {
  private constructor(readonly path: string) {}

  /** Undefined where this user may not mount one. */
  static async mount(place: string, megabytes: number): Promise<SmallDisk | undefined> {
    await mkdir(place, { recursive: true });
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'none', place], { stdio: 'ignore' });
    } catch {
      return undefined;
    }
    const disk = new SmallDisk(place);
    // Before the handler that removes temporary folders.
    process.prependListener('exit', disk.unmountNow);
    return disk;
  }

  /** Writes until nothing fits any more. */
  async fill(): Promise<void> {
    const ballast = await open(this.ballast, 'a');
    try {
      for (const chunk of [Buffer.alloc(1 << 20), Buffer.alloc(4_096)]) await fillWith(ballast, chunk);
    } finally {
      await ballast.close();
    }
  }

  async empty(): Promise<void> {
    await rm(this.ballast, { force: true });
  }

  async unmount(): Promise<void> {
    process.off('exit', this.unmountNow);
    this.unmountNow();
  }

  private readonly unmountNow = (): void => {
    execFileSync('umount', ['--lazy', this.path]);
  };

  private get ballast(): string {
    return path.join(this.path, 'ballast');
  }
}

async function fillWith(file: Awaited<ReturnType<typeof open>>, chunk: Buffer): Promise<void> {
  for (;;) {
    try {
      const { bytesWritten } = await file.write(chunk);
      if (bytesWritten < chunk.length) return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
      throw error;
    }
  }
}
