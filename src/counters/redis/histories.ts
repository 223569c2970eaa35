/** Which history the data set of a server has, and when a new id is only a new name (I13). */

import type { History } from '../../core/counter-store.js';
import type { RedisConnection } from './connection.js';
import { unavailable, unsupported } from './failures.js';
import { infoField } from './reply.js';

/**
 * How old the last proof of the earlier name may be, in milliseconds. A server that was demoted and promoted in between
 * names its earlier history for longer than that.
 */
const maxProofAgeMs = 1_500;
/** Servers that are remembered; those that were met first are forgotten first. */
const maxServers = 1_000;
/** Longest part of a run id that is remembered; those of Redis have 40 characters. */
const maxRunIdLength = 64;
const noHistory = /^0+$/;
/** As the scripts read it; anything else would never be the same as what they read. */
const replicationId = /^[0-9a-f]{40}$/i;

/** One run of a server, from its start to its end, and what this process knows of its history. */
export class ServerRun {
  /** The last history in which an operation was done: its generation is known. */
  #used: string | undefined;
  #seen: string | undefined;
  #seenAtMs = Number.NEGATIVE_INFINITY;

  /** An operation was done that checked the history; it was sent then. */
  done(history: string, sentAtMs: number): void {
    if (sentAtMs < this.#seenAtMs) return;
    this.#used = history;
    this.#seen = history;
    this.#seenAtMs = sentAtMs;
  }

  /** The server says that this is its history now, and whether it knows an earlier one that it has left. */
  said(id: string, leftAnother: boolean, sentAtMs: number): History {
    if (id !== this.#seen) {
      const isSame = !leftAnother && performance.now() - this.#seenAtMs <= maxProofAgeMs;
      if (!isSame) this.#used = undefined;
      this.#seen = id;
    }
    this.#seenAtMs = sentAtMs;
    // Through all names in between: nobody may have asked for a generation of those.
    return this.#used === undefined || this.#used === id ? { id } : { id, renamedFrom: this.#used };
  }
}

/** The servers that a store has met, by their run ids: what is known of one outlives the connection to it. */
export class ServerRuns {
  readonly #byId = new Map<string, ServerRun>();

  /** @param info - the reply to `INFO server` */
  of(info: unknown): ServerRun {
    const id = infoField(info, 'run_id')?.slice(0, maxRunIdLength);
    const known = id === undefined ? undefined : this.#byId.get(id);
    if (known !== undefined) return known;
    const run = new ServerRun();
    if (id === undefined) return run;
    const [oldest] = this.#byId.keys();
    if (this.#byId.size >= maxServers && oldest !== undefined) this.#byId.delete(oldest);
    this.#byId.set(id, run);
    return run;
  }
}

/** Asks servers for their histories. Calls for one connection share what is under way. */
export class Histories {
  readonly #runs: ServerRuns;
  readonly #underWay = new WeakMap<RedisConnection, Promise<History>>();

  constructor(runs: ServerRuns) {
    this.#runs = runs;
  }

  /** @throws TidemarkError `counter_unavailable` when it is a replica; otherwise what the connection throws */
  of(connection: RedisConnection): Promise<History> {
    const underWay = this.#underWay.get(connection);
    if (underWay !== undefined) return underWay;
    const asked = this.#ask(connection).finally(() => this.#underWay.delete(connection));
    this.#underWay.set(connection, asked);
    return asked;
  }

  async #ask(connection: RedisConnection): Promise<History> {
    const sentAtMs = performance.now();
    const server = connection.call(['INFO', 'server']);
    const replication = connection.call(['INFO', 'replication']);
    const [serverInfo, info] = await Promise.all([server, replication]);
    const id = primaryHistory(info, connection.endpoint);
    connection.server = this.#runs.of(serverInfo);
    return connection.server.said(id, !noHistory.test(infoField(info, 'master_replid2') ?? ''), sentAtMs);
  }
}

/**
 * The history of a primary's data set, from its reply to `INFO replication`.
 *
 * @throws TidemarkError `counter_unavailable` when it is a replica
 */
export function primaryHistory(info: unknown, endpoint: string): string {
  const history = infoField(info, 'master_replid');
  const role = infoField(info, 'role');
  if (history === undefined || role === undefined || !replicationId.test(history))
    throw unsupported(endpoint, 'does not tell its replication id; use Redis 6.2 or newer, or Valkey');
  if (role !== 'master') throw unavailable(endpoint, new Error('it is a replica; point to the primary'));
  return history;
}
