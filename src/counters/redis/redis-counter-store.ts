import { randomBytes } from 'node:crypto';
import type {
  ConnectionChange,
  CounterStore,
  CounterStoreTraits,
  Epoch,
  ExpiredTake,
  Grant,
  GrantReply,
  OpenReply,
  OpenTake,
  ReadReply,
  Receipt,
  RenewReply,
  RestoreReply,
  SettleReply,
  TakeName,
  TakeReply,
  TakeRequest,
  TrackReply,
  TrackRequest,
} from '../../core/counter-store.js';
import { RedisConnection } from './connection.js';
import { closed, hasCertainlyNotRun, isReplicaError, unavailable } from './failures.js';
import { openKey, receiptKey, wordKey } from './keys.js';
import { LaneTakes } from './lane-takes.js';
import { RedisLink } from './link.js';
import { type RedisCounterStoreOptions, type RedisSettings, resolveOptions } from './options.js';
import {
  decodeGrant,
  decodeOpen,
  decodeRead,
  decodeRenew,
  decodeRestore,
  decodeSettle,
  decodeTrack,
} from './reply.js';
import { loadScripts, type ScriptName, type Scripts } from './scripts.js';
import { checkServer, primaryHistory } from './server-check.js';
import { sweepWords } from './sweep.js';

export type { RedisCounterStoreOptions } from './options.js';

/** Most expired takes that one reading of a conversation names. */
const maxExpired = '100';

/**
 * Counter words in Redis 6.2 or newer, or Valkey: one primary, directly or behind a fixed address.
 *
 * Connects at the first call and reconnects by itself until it is closed. The process stays alive until then. A user
 * with few rights needs these (for the default prefix), and `+select` for a database other than 0:
 *
 * `ACL SETUSER tidemark on >PASSWORD ~seq:* +evalsha +script|load +info +time +get +set +incrby +unlink +scan
 * +zadd +zrange +zrem +zremrangebyscore`
 *
 * @example
 * ```ts
 * import { groupChat, MemoryLedger, RedisCounterStore, SequenceGenerator } from 'tidemark';
 * const counters = new RedisCounterStore({ url: process.env.REDIS_URL! });
 * // In a service, the ledger is a MySqlLedger: one that forgets cannot keep numbers from repeating.
 * const sequences = new SequenceGenerator({ counters, ledger: new MemoryLedger() });
 * console.log(await sequences.next(groupChat('g1'))); // 1
 * await sequences.close();
 * ```
 */
export class RedisCounterStore implements CounterStore {
  readonly traits: CounterStoreTraits = { private: false, maxBatch: 1_000 };
  readonly #settings: RedisSettings;
  readonly #processId = randomBytes(16).toString('hex');
  readonly #link: RedisLink;
  readonly #takes: LaneTakes;
  #scripts: Scripts | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Connects to nothing yet.
   *
   * @param options - `url` or `client`, and limits; see {@link RedisCounterStoreOptions}
   * @throws TidemarkError `invalid_argument`
   */
  constructor(options: RedisCounterStoreOptions) {
    this.#settings = resolveOptions(options);
    this.#link = new RedisLink(this.#settings.endpoint, (onEnd) => this.#open(onEnd));
    this.#takes = new LaneTakes({
      settings: this.#settings,
      processId: this.#processId,
      scripts: () => this.#scripts!,
      link: this.#link,
    });
  }

  /**
   * Connects if need be, and asks Redis for the replication id of its data set.
   *
   * @returns the id, 40 hexadecimal digits; it changes when Redis restarts or a replica is promoted
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async history(): Promise<string> {
    return this.#run(async (connection) => {
      const info = await connection.call(['INFO', 'replication']);
      try {
        return primaryHistory(info, this.#settings.endpoint);
      } catch (error) {
        // It was a primary when the connection was made; the next one may reach the new primary.
        connection.destroy(error);
        throw error;
      }
    });
  }

  /**
   * Takes numbers for distinct conversations, in one atomic step.
   *
   * While Redis is out of reach after the take was sent, this stays pending; then it recalls what became of the take.
   *
   * @param epoch - the history that the caller believes in, checked inside Redis, and its generation
   * @param requests - at most 1,000, each for 1 to 1,000 numbers
   * @returns one result per request, in their order; `stale`; or `lost` when the take may have run and its numbers cannot
   * be found out
   * @throws TidemarkError `counter_unavailable` (it has not run and never will), `counter_unsupported`, `closed`
   */
  async take(epoch: Epoch, requests: readonly TakeRequest[]): Promise<TakeReply> {
    if (this.#closing !== undefined) throw closed();
    return this.#takes.take(epoch, requests);
  }

  /**
   * Applies blocks that the ledger has reserved.
   *
   * @param epoch - the history that the caller believes in, checked inside Redis, and its generation
   * @param grants - at most 1,000, of distinct conversations
   * @returns for each grant whether it was applied; `stale`; or `lost` when they may have been applied: look again
   * @throws TidemarkError `counter_unavailable` (they were not applied and never will be), `counter_unsupported`, `closed`
   */
  async grant(epoch: Epoch, grants: readonly Grant[]): Promise<GrantReply> {
    const args: string[] = [];
    for (const { block, mode, expiresAtStoreTimeMs } of grants) {
      args.push(mode, String(block.start), String(block.end), String(expiresAtStoreTimeMs));
    }
    const keys = grants.map(({ conversation }) => this.#wordKey(conversation, epoch));
    const connection = await this.#connection();
    try {
      return decodeGrant(await this.#runScript(connection, 'grant', epoch, keys, args), grants.length);
    } catch (error) {
      const failure = this.#failure(connection, error);
      if (hasCertainlyNotRun(error)) throw failure;
      return { status: 'lost', cause: failure };
    }
  }

  /**
   * Reads words and changes nothing.
   *
   * @param epoch - the history that the caller believes in, checked inside Redis, and its generation
   * @param conversations - at most 1,000 keys of distinct conversations
   * @returns one result per conversation, or `stale`
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async read(epoch: Epoch, conversations: readonly string[]): Promise<ReadReply> {
    const keys = conversations.map((conversation) => this.#wordKey(conversation, epoch));
    return decodeRead(await this.#script('read', epoch, keys, []), keys.length);
  }

  /**
   * Puts receipts back, where there are none.
   *
   * @param epoch - the history that the caller believes in, checked inside Redis, and its generation
   * @param receipts - at most 1,000
   * @returns the number of each message id now, or `stale`
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async restoreReceipts(epoch: Epoch, receipts: readonly Receipt[]): Promise<RestoreReply> {
    const { prefix } = this.#settings;
    const keys = receipts.map(({ conversation, messageId }) => receiptKey(prefix, conversation, messageId));
    const args = receipts.flatMap(({ number, ttlMs }) => [String(number), String(ttlMs)]);
    return decodeRestore(await this.#script('restore', epoch, keys, args), keys.length);
  }

  /**
   * Begins to track conversations in this history.
   *
   * @param epoch - the history that the caller believes in, checked inside Redis, and its generation
   * @param requests - at most 1,000 conversations, each with its complete mark
   * @param leaseMs - how long everything above the mark is held open, in milliseconds
   * @returns one result per conversation, or `stale`
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async track(epoch: Epoch, requests: readonly TrackRequest[], leaseMs: number): Promise<TrackReply> {
    const keys = this.#wordAndOpenKeys(
      epoch,
      requests.map(({ conversation }) => conversation),
    );
    const marks = requests.map(({ completeUpTo }) => String(completeUpTo));
    const args = [String(epoch.generation), String(leaseMs), ...marks];
    return decodeTrack(await this.#script('track', epoch, keys, args), requests.length);
  }

  /**
   * Reads what is open.
   *
   * @param epoch - the history that the caller believes in, checked inside Redis, and its generation
   * @param conversations - at most 1,000 keys of distinct conversations
   * @returns one result per conversation, or `stale`
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async readOpen(epoch: Epoch, conversations: readonly string[]): Promise<OpenReply> {
    const keys = this.#wordAndOpenKeys(epoch, conversations);
    const args = [String(epoch.generation), maxExpired];
    return decodeOpen(await this.#script('read-open', epoch, keys, args), conversations);
  }

  /**
   * Gives open takes a new lease, and opens those again that are held.
   *
   * @param epoch - the history that the caller believes in, checked inside Redis, and its generation
   * @param takes - at most 1,000, each with its lease
   * @returns what became of each, or `stale`
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async renew(epoch: Epoch, takes: readonly OpenTake[]): Promise<RenewReply> {
    const args = [String(epoch.generation)];
    for (const { first, last, leaseMs } of takes) args.push(String(first), String(last), String(leaseMs));
    return decodeRenew(await this.#script('renew', epoch, this.#openKeys(takes), args), takes.length);
  }

  /**
   * Ends open takes.
   *
   * @param epoch - the history that the caller believes in, checked inside Redis, and its generation
   * @param takes - at most 1,000, by the first of their numbers
   * @returns what each was, or `stale`
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async settle(epoch: Epoch, takes: readonly TakeName[]): Promise<SettleReply> {
    const args = ['settle', ...takes.map(({ first }) => String(first))];
    return decodeSettle(await this.#script('settle', epoch, this.#openKeys(takes), args), takes.length);
  }

  /**
   * Removes open takes whose lease has ended.
   *
   * @param epoch - the history that the caller believes in, checked inside Redis, and its generation
   * @param takes - at most 25,000, as they were read
   * @returns what each was, or `stale`
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async expire(epoch: Epoch, takes: readonly ExpiredTake[]): Promise<SettleReply> {
    const args = ['expire', ...takes.map(({ written }) => written)];
    return decodeSettle(await this.#script('settle', epoch, this.#openKeys(takes), args), takes.length);
  }

  /**
   * Deletes words of generations before `generation`, at most 500 every 20 ms.
   *
   * @param generation - words of this and later generations stay
   * @param signal - ends the sweep early, without an error
   * @returns how many words were deleted
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async sweep(generation: number, signal: AbortSignal): Promise<number> {
    return this.#run((connection) => sweepWords(connection, this.#settings.prefix, generation, signal));
  }

  /**
   * Tells when Redis is lost and reached again; the first connection counts.
   *
   * @param listener - replaces an earlier one
   */
  onConnection(listener: (change: ConnectionChange) => void): void {
    this.#link.onChange(listener);
  }

  /**
   * Waits for the answers under way, no longer than the reply timeout, removes what the store keeps in Redis for itself,
   * and ends the connection. Calls that are still under way then, and later ones, are rejected with `closed`.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#takes.close();
    // Answers come in order: behind this one nothing is under way. What cannot be removed expires.
    await this.#link.current?.call(['UNLINK', ...this.#takes.laneKeys]).catch(() => undefined);
    this.#link.close();
  }

  /** Makes a connection that is ready for use. */
  async #open(onEnd: (cause: unknown) => void): Promise<RedisConnection> {
    const scripts = this.#scripts ?? (await loadScripts());
    this.#scripts = scripts;
    const { endpoint, prefix } = this.#settings;
    const connection = await RedisConnection.open(this.#settings, onEnd);
    try {
      await checkServer(connection, { endpoint, prefix, processId: this.#processId, scripts });
      await this.#takes.openLanes(connection);
      return connection;
    } catch (error) {
      connection.destroy(error);
      throw connection.end?.cause ?? error;
    }
  }

  #wordKey(conversation: string, epoch: Epoch): string {
    return wordKey(this.#settings.prefix, conversation, epoch.generation);
  }

  #openKeys(takes: readonly TakeName[]): readonly string[] {
    return takes.map(({ conversation }) => openKey(this.#settings.prefix, conversation));
  }

  #wordAndOpenKeys(epoch: Epoch, conversations: readonly string[]): readonly string[] {
    return conversations.flatMap((conversation) => [
      this.#wordKey(conversation, epoch),
      openKey(this.#settings.prefix, conversation),
    ]);
  }

  /** Runs a script that may be run again at any time. */
  #script(
    name: ScriptName,
    epoch: Epoch,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown> {
    return this.#run((connection) => this.#runScript(connection, name, epoch, keys, args));
  }

  #runScript(
    connection: RedisConnection,
    name: ScriptName,
    epoch: Epoch,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown> {
    const script = this.#scripts![name];
    const command = ['EVALSHA', script.sha, String(keys.length), ...keys, epoch.history, ...args];
    return connection.runScript(script, command);
  }

  /** Runs something that changes no word: after an error the caller looks again. */
  async #run<T>(action: (connection: RedisConnection) => Promise<T>): Promise<T> {
    const connection = await this.#connection();
    try {
      return await action(connection);
    } catch (error) {
      throw this.#failure(connection, error);
    }
  }

  async #connection(): Promise<RedisConnection> {
    if (this.#closing !== undefined) throw closed();
    return this.#link.connection();
  }

  #failure(connection: RedisConnection, error: unknown): Error {
    if (this.#link.isClosed) return closed();
    const failure = unavailable(this.#settings.endpoint, connection.end?.cause ?? error);
    if (isReplicaError(error)) connection.destroy(failure);
    return failure;
  }
}
