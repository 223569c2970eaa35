import { randomBytes } from 'node:crypto';
import { RedisConnection } from './connection.js';
import { isPermissionError, unsupported } from './failures.js';
import type { ServerRuns } from './histories.js';
import { laneKey, slotKey } from './keys.js';
import type { NodeSettings } from './node-settings.js';
import { loadScripts, type Scripts } from './scripts.js';
import { checkServer } from './server-check.js';
import { SlotTags } from './slots.js';

/** Makes connections to primaries that are ready for use: checked, and with the scripts loaded. */
export class PrimaryOpener {
  readonly #prefix: string;
  readonly #runs: ServerRuns;
  readonly #isCluster: boolean;
  readonly #tags = new SlotTags();
  /** Of this store: its lanes are nobody else's. */
  readonly #processId = randomBytes(16).toString('hex');
  #scripts: Scripts | undefined;
  /** What else is to be done before a connection is used. */
  prepare: (connection: RedisConnection) => Promise<void> = async () => undefined;

  constructor(parts: { prefix: string; runs: ServerRuns; isCluster: boolean }) {
    this.#prefix = parts.prefix;
    this.#runs = parts.runs;
    this.#isCluster = parts.isCluster;
  }

  /** The scripts; there as soon as a connection was made. */
  get scripts(): Scripts {
    return this.#scripts!;
  }

  /** The key of a lane that is in this slot, where there are several. */
  laneKey(slot: number, number: number): string {
    return laneKey(this.#prefix, this.#processId, number, this.#tag(slot));
  }

  /** Where a cluster notes the generations that have words in a slot. */
  slotKey(slot: number): string {
    return slotKey(this.#prefix, this.#tags.of(slot));
  }

  /**
   * @param slot - one that the server serves
   * @param onEnd - called once when the connection has ended; not when opening fails
   */
  async open(node: NodeSettings, slot: number, onEnd: (cause: unknown) => void): Promise<RedisConnection> {
    this.#scripts ??= await loadScripts();
    const connection = await RedisConnection.open(node, onEnd).catch((error: unknown) => {
      if (!isPermissionError(error)) throw error;
      const message = `does not let this user do what is needed (${String(error)}); see the ACL rule in the operations guide`;
      throw unsupported(node.endpoint, message, error);
    });
    try {
      const info = await checkServer(connection, {
        prefix: this.#prefix,
        processId: this.#processId,
        scripts: this.#scripts,
        mode: this.#isCluster ? 'cluster' : 'standalone',
        tag: this.#tag(slot),
      });
      connection.server = this.#runs.of(info);
      await this.prepare(connection);
      return connection;
    } catch (error) {
      connection.destroy(error);
      throw connection.end?.cause ?? error;
    }
  }

  #tag(slot: number): string | undefined {
    return this.#isCluster ? this.#tags.of(slot) : undefined;
  }
}
