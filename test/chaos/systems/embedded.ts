/** A folder that one process at a time opens, on a disk that can be filled. */

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gap } from '../../../src/core/ledger.js';
import { LmdbLedger } from '../../../src/ledgers/lmdb/lmdb-ledger.js';
import { allGaps } from '../../support/load.js';
import { SmallDisk } from './ledger-server.js';
import { type Inflictions, NotPossible, type System } from './system.js';

const diskMegabytes = 6;

export class EmbeddedSystem implements System {
  readonly inflictions: Inflictions;

  private constructor(
    private readonly folder: string,
    private readonly disk: SmallDisk | undefined,
  ) {
    this.inflictions = {
      'ledger-disk-full': async ({ durationMs }) => {
        if (disk === undefined) throw new NotPossible('this user may not mount a small disk');
        await disk.fill();
        await sleep(durationMs);
        await disk.empty();
      },
    };
  }

  static async start(folder: string): Promise<EmbeddedSystem> {
    const disk = await SmallDisk.mount(path.join(folder, 'disk'), diskMegabytes);
    const place = path.join(disk?.path ?? folder, 'ledger');
    await mkdir(place, { recursive: true });
    return new EmbeddedSystem(place, disk);
  }

  storesFor() {
    return { folder: this.folder };
  }

  async gaps(conversations: ReadonlySet<string>): Promise<readonly Gap[]> {
    const ledger = await LmdbLedger.open({ folder: this.folder });
    try {
      return await allGaps(ledger, conversations);
    } finally {
      await ledger.close();
    }
  }

  async stop(): Promise<void> {
    await this.disk?.unmount();
  }
}
