import type {
  ConnectionChange,
  CounterStore,
  CounterStoreTraits,
  DrainReply,
  Epoch,
  ExpiredTake,
  Grant,
  GrantReply,
  History,
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
import { ceilingOf } from '../../core/counter-word.js';
import type { RemovableWord } from '../../core/ledger.js';
import { ClusterTakes } from './cluster-takes.js';
import { closed, isReply } from './failures.js';
import { grantArguments } from './grant-command.js';
import { Histories, ServerRuns } from './histories.js';
import { openKey, receiptKey, wordKey } from './keys.js';
import { LaneTakes } from './lane-takes.js';
import { type RedisCounterStoreOptions, resolveOptions } from './options.js';
import { failureOf, type Primaries } from './primaries.js';
import { primariesOf } from './primaries-of.js';
import { PrimaryOpener } from './primary-opener.js';
import {
  decodeDrain,
  decodeGrant,
  decodeOpen,
  decodeRead,
  decodeRenew,
  decodeRestore,
  decodeSettle,
  decodeTrack,
} from './reply.js';
import { idleWords, sweepWords } from './scan.js';
import { ScriptCalls } from './script-calls.js';

export type { RedisCounterStoreOptions } from './options.js';

/** Most expired takes that one reading of a conversation names. */
const maxExpired = '100';

/**
 * Counter words in Redis 6.2 or newer, or Valkey: one primary, directly or behind a fixed address; the primary that
 * sentinels name; or a cluster.
 *
 * Connects at the first call and reconnects by itself until it is closed. The process stays alive until then. A user
 * with few rights needs these (for the default prefix), `+select` for a database other than 0, `+cluster|slots` in a
 * cluster, and `+object|idletime` to let idle words expire:
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
  readonly traits: CounterStoreTraits;
  /**
   * The slot of a conversation.
   *
   * @param conversation - the key of the conversation
   * @returns 0 to 16,383 in a cluster, and 0 otherwise
   */
  readonly slotOf: (conversation: string) => number;
  /**
   * Asks all primaries of a cluster which of them serves a slot.
   *
   * @param slot - 0 to 16,383
   * @param history - that of the primary which is believed to serve it
   * @returns true when more than half of all primaries, those out of reach included, name the one with this history. There is
   * no such method where Redis is no cluster.
   */
  readonly confirms?: (slot: number, history: string) => Promise<boolean>;
  readonly #prefix: string;
  readonly #primaries: Primaries;
  readonly #histories: Histories;
  readonly #lanes: LaneTakes;
  readonly #takes: LaneTakes | ClusterTakes;
  readonly #calls: ScriptCalls;
  /** In a cluster: where the generations are noted that have words in the slot of a conversation. */
  readonly #slotKeyOf: ((conversation: string) => string) | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Connects to nothing yet.
   *
   * @param options - where Redis is, and limits; see {@link RedisCounterStoreOptions}
   * @throws TidemarkError `invalid_argument`
   */
  constructor(options: RedisCounterStoreOptions) {
    const settings = resolveOptions(options);
    const { prefix, target } = settings;
    const runs = new ServerRuns();
    const isCluster = target.kind === 'cluster';
    const opener = new PrimaryOpener({ prefix, runs, isCluster });
    this.#prefix = prefix;
    this.#histories = new Histories(runs);
    this.#primaries = primariesOf(settings, opener, this.#histories);
    this.#calls = new ScriptCalls(this.#primaries, () => opener.scripts);
    this.#lanes = new LaneTakes(settings, this.#primaries, opener);
    this.#takes = isCluster ? new ClusterTakes(this.#primaries, this.#lanes, opener) : this.#lanes;
    this.#slotKeyOf = isCluster ? (conversation) => opener.slotKey(this.slotOf(conversation)) : undefined;
    // In a cluster it is known with a take where its lane can be.
    if (!isCluster) opener.prepare = (connection) => this.#lanes.openLanes(connection);
    this.traits = { private: false, maxBatch: 1_000, slots: this.#primaries.slots };
    this.slotOf = this.#primaries.slotOf;
    if (this.#primaries.confirms !== undefined)
      this.confirms = (slot, history) => this.#primaries.confirms!(slot, history);
  }

  /**
   * Connects if need be, and asks the primary of a slot for the replication id of its data set.
   *
   * @param slot - 0, or 0 to 16,383 in a cluster
   * @param anew - leaves the connection first, because its address may lead elsewhere by now; fails until there is a new one
   * @returns the id, 40 hexadecimal digits; it changes when Redis restarts or a replica is promoted. With `renamedFrom` when
   * the same data set had that id up to a moment ago
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async history(slot: number, anew = false): Promise<History> {
    if (anew)
      this.#primaries.current(slot)?.destroy(new Error('it was left, to see where the address leads now'));
    const connection = await this.#calls.connection(slot);
    try {
      return await this.#histories.of(connection);
    } catch (error) {
      const failure = failureOf(this.#primaries, connection, error);
      // It was a primary when the connection was made; the next one may reach the new primary.
      if (!isReply(error)) connection.destroy(failure);
      throw failure;
    }
  }

  /**
   * Takes numbers for distinct conversations, in one atomic step. While Redis is out of reach after the take was sent, this
   * stays pending; then it recalls what became of the take.
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
   * @returns for each grant whether it was applied; `stale`; `fenced`; or `lost` when they may have been applied: look again
   * @throws TidemarkError `counter_unavailable` (they were not applied and never will be), `counter_unsupported`, `closed`
   */
  async grant(epoch: Epoch, grants: readonly Grant[]): Promise<GrantReply> {
    const { keys, args } = grantArguments(grants, epoch, this.#prefix, this.#slotKeyOf);
    const outcome = await this.#calls.attempt('grant', epoch, grants[0]?.conversation, keys, args);
    if ('lost' in outcome) return { status: 'lost', cause: outcome.lost };
    return decodeGrant(outcome.reply, grants.length);
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
    const reply = await this.#calls.run('read', epoch, conversations[0], keys, []);
    return decodeRead(reply, keys.length);
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
    const keys = receipts.map(({ conversation, messageId }) =>
      receiptKey(this.#prefix, conversation, messageId),
    );
    const args = receipts.flatMap(({ number, ttlMs }) => [String(number), String(ttlMs)]);
    const reply = await this.#calls.run('restore', epoch, receipts[0]?.conversation, keys, args);
    return decodeRestore(reply, keys.length);
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
    const reply = await this.#calls.run('track', epoch, requests[0]?.conversation, keys, args);
    return decodeTrack(reply, requests.length);
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
    const reply = await this.#calls.run('read-open', epoch, conversations[0], keys, args);
    return decodeOpen(reply, conversations);
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
    const reply = await this.#calls.run('renew', epoch, takes[0]?.conversation, this.#openKeys(takes), args);
    return decodeRenew(reply, takes.length);
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
    const reply = await this.#calls.run('settle', epoch, takes[0]?.conversation, this.#openKeys(takes), args);
    return decodeSettle(reply, takes.length);
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
    const reply = await this.#calls.run('settle', epoch, takes[0]?.conversation, this.#openKeys(takes), args);
    return decodeSettle(reply, takes.length);
  }

  /**
   * Removes words that reach exactly as far as the caller saw.
   *
   * @param epoch - the history that the caller believes in, checked inside Redis, and its generation
   * @param words - at most 1,000, of distinct conversations, as they were seen
   * @returns what each was, undefined where none was removed; or `stale`
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`; then words may be gone
   */
  async drain(epoch: Epoch, words: readonly RemovableWord[]): Promise<DrainReply> {
    const keys = words.map(({ conversation }) => this.#wordKey(conversation, epoch));
    const args = words.map(({ word }) => String(ceilingOf(word)));
    const reply = await this.#calls.run('drain', epoch, words[0]?.conversation, keys, args);
    return decodeDrain(reply, keys.length);
  }

  /**
   * Conversations whose word nobody has touched for some time, at most 500 looked at every 20 ms, of one generation.
   *
   * @param slot - the words of the whole server that serves it are looked at
   * @param idleMs - in whole seconds; reading a word touches it. With 0 every word counts, and no right to ask is needed
   * @param signal - ends the walk early, without an error
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported` (the user lacks a permission, or Redis evicts by LFU and
   * does not know), `closed`
   */
  async *idle(
    slot: number,
    epoch: Epoch,
    idleMs: number,
    signal: AbortSignal,
  ): AsyncGenerator<readonly string[]> {
    const connection = await this.#calls.connection(slot);
    try {
      yield* idleWords(connection, { prefix: this.#prefix, epoch, idleMs }, signal);
    } catch (error) {
      throw failureOf(this.#primaries, connection, error);
    }
  }

  /**
   * Deletes words of earlier generations, at most 500 every 20 ms.
   *
   * @param slot - the words of the whole server that serves it are looked at
   * @param generationOf - the generation that a conversation has now; undefined keeps its words
   * @param signal - ends the sweep early, without an error
   * @returns how many words were deleted
   * @throws TidemarkError `counter_unavailable`, `counter_unsupported`, `closed`
   */
  async sweep(
    slot: number,
    generationOf: (conversation: string) => number | undefined,
    signal: AbortSignal,
  ): Promise<number> {
    const connection = await this.#calls.connection(slot);
    const { slotOf } = this;
    try {
      return await sweepWords(connection, { prefix: this.#prefix, slotOf, generationOf }, signal);
    } catch (error) {
      throw failureOf(this.#primaries, connection, error);
    }
  }

  /**
   * Tells when Redis is lost and reached again; the first connection counts. Of a cluster: when a node is reached, and when
   * none is left.
   *
   * @param listener - replaces an earlier one
   */
  onConnection(listener: (change: ConnectionChange) => void): void {
    this.#primaries.onChange(listener);
  }

  /**
   * Waits for answers, no longer than the reply timeout, removes what the store keeps in Redis for itself, and ends the
   * connections. Calls that are still under way then, and later ones, are rejected with `closed`.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#lanes.close();
    this.#calls.close();
    await this.#primaries.close(async (connection) => {
      await this.#lanes.removeLanes(connection);
      // Answers come in order: behind this one nothing is under way. What could not be removed expires.
      await connection.call(['TIME']);
    });
  }

  #wordKey(conversation: string, epoch: Epoch): string {
    return wordKey(this.#prefix, conversation, epoch.generation);
  }

  #openKeys(takes: readonly TakeName[]): readonly string[] {
    return takes.map(({ conversation }) => openKey(this.#prefix, conversation));
  }

  #wordAndOpenKeys(epoch: Epoch, conversations: readonly string[]): readonly string[] {
    return conversations.flatMap((conversation) => [
      this.#wordKey(conversation, epoch),
      openKey(this.#prefix, conversation),
    ]);
  }
}
