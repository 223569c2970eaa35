import type { Epoch, TakeReply, TakeRequest } from '../../core/counter-store.js';
import type { RedisConnection } from './connection.js';
import { closed, hasCertainlyNotRun, isReply, unavailable } from './failures.js';
import { type Lane, Lanes, laneTtlMs } from './lanes.js';
import type { RedisSettings } from './options.js';
import { failureOf, type Primaries } from './primaries.js';
import type { PrimaryOpener } from './primary-opener.js';
import { decodeTake, moved, type TakeAnswer } from './reply.js';
import { planTake, type TakePlan, takeArguments } from './take-command.js';

/** How often one call sends a take that certainly did not run, before it leaves the rest to the caller. */
const maxAttempts = 3;
/** Delay before a recall that Redis refused is sent again: doubles from the first to the second, in milliseconds. */
const firstRecallRetryMs = 20;
const maxRecallRetryMs = 500;

const laneTtl = String(laneTtlMs);

/** A take as it was sent, for its recall. */
interface SentTake {
  /** That of the lane. */
  readonly slot: number;
  readonly lane: Lane;
  readonly epoch: Epoch;
  readonly plan: TakePlan;
  readonly number: number;
  readonly sentAtMs: number;
}

/**
 * Takes, each in a lane of a slot. A take whose reply was lost is recalled on the next connection: the record of its lane
 * gives the very same reply, or says that the take has not run, and keeps it from running late.
 */
export class LaneTakes {
  readonly #settings: RedisSettings;
  readonly #opener: PrimaryOpener;
  readonly #primaries: Primaries;
  readonly #lanes = new Map<number, Lanes>();
  #lastNumber = 0;

  constructor(settings: RedisSettings, primaries: Primaries, opener: PrimaryOpener) {
    this.#settings = settings;
    this.#primaries = primaries;
    this.#opener = opener;
  }

  /** Takes from words of a store with one slot. */
  take(epoch: Epoch, requests: readonly TakeRequest[]): Promise<TakeReply> {
    return this.takeAt(0, epoch, requests) as Promise<TakeReply>;
  }

  /**
   * Takes from words that the primary of a slot serves.
   *
   * @param slot - has the lane; of no conversation, if need be
   * @returns `moved` when the slot is not there, and nothing ran
   */
  async takeAt(
    slot: number,
    epoch: Epoch,
    requests: readonly TakeRequest[],
  ): Promise<TakeReply | { readonly status: 'moved' }> {
    // Known to be out of reach: rejected before it waits for a lane behind takes that wait for Redis.
    if (this.#primaries.current(slot) === undefined) await this.#primaries.connection(slot);
    const lanes = this.#lanes.get(slot) ?? this.#makeLanes(slot);
    const lane = await lanes.acquire();
    try {
      return await this.#takeIn(slot, lane, epoch, requests);
    } finally {
      lanes.release(lane);
    }
  }

  /**
   * Writes a record into each free lane of a store with one slot. Lanes that are busy may hold a reply that is still to be
   * recalled.
   */
  async openLanes(connection: RedisConnection): Promise<void> {
    const lanes = this.#lanes.get(0) ?? this.#makeLanes(0);
    const nowMs = performance.now();
    await Promise.all(lanes.makeAll().map((lane) => this.#writeRecord(connection, lane, nowMs)));
  }

  /** Removes the lanes of those slots that this connection serves. */
  async removeLanes(connection: RedisConnection): Promise<void> {
    const removed: Promise<unknown>[] = [];
    for (const [slot, lanes] of this.#lanes) {
      if (this.#primaries.current(slot) === connection)
        removed.push(connection.call(['UNLINK', ...lanes.keys]));
    }
    await Promise.allSettled(removed);
  }

  /** Rejects takes that wait for a lane. */
  close(): void {
    for (const lanes of this.#lanes.values()) lanes.close();
  }

  #makeLanes(slot: number): Lanes {
    const keyOf = (number: number) => this.#opener.laneKey(slot, number);
    const lanes = new Lanes(keyOf, this.#settings.maxConcurrentTakes);
    this.#lanes.set(slot, lanes);
    return lanes;
  }

  async #takeIn(
    slot: number,
    lane: Lane,
    epoch: Epoch,
    requests: readonly TakeRequest[],
  ): Promise<TakeReply | { readonly status: 'moved' }> {
    const plan = planTake(requests);
    for (let attempt = 1; ; attempt += 1) {
      const connection = this.#primaries.current(slot) ?? (await this.#primaries.connection(slot));
      const sentAtMs = performance.now();
      this.#keepRecord(connection, lane, sentAtMs);
      this.#lastNumber += 1;
      const sent = { slot, lane, epoch, plan, number: this.#lastNumber, sentAtMs };
      let answer: TakeAnswer;
      let cause: unknown;
      try {
        const { take } = this.#opener.scripts;
        answer = decodeTake(await connection.runScript(take, this.#command(take.sha, sent)), plan);
        if (answer.status === 'done') connection.server.done(epoch.history, sentAtMs);
      } catch (error) {
        if (this.#primaries.moved(slot, connection, error)) answer = moved;
        else {
          cause = connection.end?.cause ?? error;
          if (hasCertainlyNotRun(error)) throw failureOf(this.#primaries, connection, error);
          answer = await this.#recall(sent, error);
        }
      }
      // This process sends no later take before this one is answered: somebody else has written the record.
      if (answer.status === 'superseded') {
        cause = new Error(`${lane.key} holds the record of a take that was never sent`);
        this.#lanes.get(slot)!.leaveKey(lane);
      }
      // A take is fenced or has run by now, in any case.
      if (answer.status === 'done') {
        lane.recordAtMs = performance.now();
        return answer;
      }
      lane.recordOn = undefined;
      if (answer.status === 'stale' || answer.status === 'moved') return answer;
      if (answer.status === 'unknown')
        return { status: 'lost', cause: new Error(`the reply of a take was lost: ${answer.why}`, { cause }) };
      if (attempt === maxAttempts) throw unavailable(connection.endpoint, cause);
    }
  }

  /**
   * Writes a record into a lane that may have none, ahead of the take on the same connection. Nobody waits for it: without it
   * a take that never arrived counts as lost, which is safe. What keeps it from being written is told by the take.
   */
  #keepRecord(connection: RedisConnection, lane: Lane, nowMs: number): void {
    if (lane.recordOn === connection && nowMs - lane.recordAtMs < laneTtlMs / 2) return;
    this.#writeRecord(connection, lane, nowMs).catch(() => undefined);
  }

  /**
   * A lane without a record cannot tell a take that has not run from a lost one. Only where there is none: a write that
   * arrives late, over a connection that has ended, must not overwrite the record of a take.
   */
  #writeRecord(connection: RedisConnection, lane: Lane, nowMs: number): Promise<unknown> {
    lane.recordOn = connection;
    lane.recordAtMs = nowMs;
    return connection.call(['SET', lane.key, String(this.#lastNumber), 'PX', laneTtl, 'NX']);
  }

  #command(sha: string, { lane, epoch, plan, number }: SentTake): string[] {
    return takeArguments(plan, {
      sha,
      prefix: this.#settings.prefix,
      lane: lane.key,
      ...epoch,
      number,
      laneTtl,
      isCluster: this.#settings.target.kind === 'cluster',
    });
  }

  /** Finds out what became of a take, through any number of lost connections. */
  async #recall(sent: SentTake, error: unknown): Promise<TakeAnswer> {
    const { slot, lane, epoch, plan, number, sentAtMs } = sent;
    for (let refusals = 0; ; ) {
      const connection = await this.#primaries.whenUp(slot);
      try {
        const { recall } = this.#opener.scripts;
        const args = ['EVALSHA', recall.sha, '1', lane.key, epoch.history, String(number), laneTtl];
        const answer = decodeTake(await connection.runScript(recall, args), plan);
        if (answer.status === 'stale') return { status: 'unknown', why: 'Redis has another history now' };
        if (answer.status === 'superseded' || answer.status === 'moved')
          return { status: 'unknown', why: 'the record makes no sense' };
        if (answer.status !== 'not_run') return answer;
        // An error that is no refusal may have ended the script in the middle, before it wrote its record.
        if (isReply(error)) return { status: 'unknown', why: 'the script failed' };
        if (performance.now() - sentAtMs > laneTtlMs / 2)
          return { status: 'unknown', why: 'Redis was away too long' };
        return answer;
      } catch (failure) {
        if (this.#primaries.isClosed) throw closed();
        if (connection.end === undefined && !this.#primaries.moved(slot, connection, failure)) {
          // It cannot be asked now. After this time nobody can: the record has expired.
          if (performance.now() - sentAtMs > laneTtlMs) return { status: 'unknown', why: String(failure) };
          await this.#primaries.pause(Math.min(maxRecallRetryMs, firstRecallRetryMs * 2 ** refusals));
          refusals = Math.min(refusals + 1, 10);
        }
      }
    }
  }
}
