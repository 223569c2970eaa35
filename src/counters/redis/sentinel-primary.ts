import type { RedisConnection } from './connection.js';
import { type Address, addressText } from './node-settings.js';
import { SinglePrimary } from './primaries.js';
import type { PrimaryOpener } from './primary-opener.js';
import { Sentinels } from './sentinels.js';
import type { SentinelTarget } from './targets.js';

/** How often the sentinels are asked whether the primary is still the same, in milliseconds. */
const watchIntervalMs = 1_000;

/** The primary that sentinels name. It is left when most of them name another one. */
export class SentinelPrimary extends SinglePrimary {
  readonly #sentinels: Sentinels;
  #watch: NodeJS.Timeout | undefined;

  constructor(target: SentinelTarget, opener: PrimaryOpener) {
    const sentinels = new Sentinels(target);
    super(target.endpoint, async (onEnd) => {
      const address = await sentinels.findPrimary();
      const connection = await opener.open(target.nodeAt(address), 0, onEnd);
      this.#watchOver(connection, address);
      return connection;
    });
    this.#sentinels = sentinels;
  }

  override async close(lastWords: (connection: RedisConnection) => Promise<unknown>): Promise<void> {
    clearInterval(this.#watch);
    this.#sentinels.close();
    await super.close(lastWords);
  }

  #watchOver(connection: RedisConnection, address: Address): void {
    clearInterval(this.#watch);
    if (this.isClosed) return;
    const watch = setInterval(() => {
      if (connection.end === undefined) void this.#check(connection, address);
      else clearInterval(watch);
    }, watchIntervalMs).unref();
    this.#watch = watch;
  }

  async #check(connection: RedisConnection, address: Address): Promise<void> {
    const other = await this.#sentinels.otherPrimary(address).catch(() => undefined);
    if (other === undefined) return;
    connection.destroy(new Error(`the sentinels name another primary now, ${addressText(other)}`));
  }
}
