import type { Epoch, TakeReply, TakeRequest } from '../../core/counter-store.js';
import type { RedisConnection } from './connection.js';
import { closed, hasCertainlyNotRun, isReplicaError, isReply, unavailable } from './failures.js';
import { type Lane, Lanes, laneTtlMs } from './lanes.js';
import type { RedisLink } from './link.js';
import type { RedisSettings } from './options.js';
import { decodeTake, type TakeAnswer } from './reply.js';
import type { Scripts } from './scripts.js';
import { planTake, type TakePlan, takeArguments } from './take-command.js';

/** How often one call sends a take that certainly did not run, before it leaves the rest to the caller. */
const maxAttempts = 3;
/** Delay before a recall that Redis refused is sent again: doubles from the first to the second, in milliseconds. */
const firstRecallRetryMs = 20;
const maxRecallRetryMs = 500;

const laneTtl = String(laneTtlMs);

/** A take as it was sent, for its recall. */
interface SentTake {
  readonly lane: Lane;
  readonly epoch: Epoch;
  readonly plan: TakePlan;
  readonly number: number;
  readonly sentAtMs: number;
}

/**
 * Takes, each in a lane. A take whose reply was lost is recalled on the next connection: the record of its lane gives
 * the very same reply, or says that the take has not run, and keeps it from running late.
 */
export class LaneTakes {
  readonly #settings: RedisSettings;
  readonly #scripts: () => Scripts;
  readonly #link: RedisLink;
  readonly #lanes: Lanes;
  #lastNumber = 0;

  constructor(parts: {
    settings: RedisSettings;
    processId: string;
    scripts: () => Scripts;
    link: RedisLink;
  }) {
    this.#settings = parts.settings;
    this.#scripts = parts.scripts;
    this.#link = parts.link;
    this.#lanes = new Lanes(parts.settings.prefix, parts.processId, parts.settings.maxConcurrentTakes);
  }

  /** The keys of all lanes. */
  get laneKeys(): readonly string[] {
    return this.#lanes.all.map(({ key }) => key);
  }

  async take(epoch: Epoch, requests: readonly TakeRequest[]): Promise<TakeReply> {
    // Known to be out of reach: rejected before it waits for a lane behind takes that wait for Redis.
    if (this.#link.current === undefined) await this.#link.connection();
    const lane = await this.#lanes.acquire();
    try {
      return await this.#takeIn(lane, epoch, requests);
    } finally {
      this.#lanes.release(lane);
    }
  }

  /**
   * Writes a record into each free lane. A lane without one cannot tell a take that has not run from a lost one. Lanes
   * that are busy may hold a reply that is still to be recalled.
   */
  async openLanes(connection: RedisConnection): Promise<void> {
    await Promise.all(
      this.#lanes.all.filter(({ busy }) => !busy).map((lane) => this.#openLane(connection, lane)),
    );
  }

  /** Rejects takes that wait for a lane. */
  close(): void {
    this.#lanes.close();
  }

  async #openLane(connection: RedisConnection, lane: Lane): Promise<void> {
    await connection.call(['SET', lane.key, String(this.#lastNumber), 'PX', laneTtl]);
    lane.recordAtMs = performance.now();
  }

  async #takeIn(lane: Lane, epoch: Epoch, requests: readonly TakeRequest[]): Promise<TakeReply> {
    const plan = planTake(requests);
    for (let attempt = 1; ; attempt += 1) {
      const connection = this.#link.current ?? (await this.#link.connection());
      await this.#ensureRecord(connection, lane);
      this.#lastNumber += 1;
      const sent = { lane, epoch, plan, number: this.#lastNumber, sentAtMs: performance.now() };
      let answer: TakeAnswer;
      let cause: unknown;
      try {
        const { take } = this.#scripts();
        answer = decodeTake(await connection.runScript(take, this.#command(take.sha, sent)), plan);
      } catch (error) {
        cause = connection.end?.cause ?? error;
        if (hasCertainlyNotRun(error)) throw this.#refused(connection, cause);
        answer = await this.#recall(sent, error);
      }
      // A take is fenced or has run by now, in any case.
      if (answer.status === 'done' || answer.status === 'stale') {
        lane.recordAtMs = answer.status === 'done' ? performance.now() : Number.NEGATIVE_INFINITY;
        return answer;
      }
      if (answer.status === 'unknown') return this.#lostIn(lane, answer.why, cause);
      if (attempt === maxAttempts) throw unavailable(this.#settings.endpoint, cause);
    }
  }

  #lostIn(lane: Lane, why: string, cause: unknown): TakeReply {
    lane.recordAtMs = Number.NEGATIVE_INFINITY;
    return { status: 'lost', cause: new Error(`the reply of a take was lost: ${why}`, { cause }) };
  }

  async #ensureRecord(connection: RedisConnection, lane: Lane): Promise<void> {
    if (performance.now() - lane.recordAtMs < laneTtlMs / 2) return;
    try {
      await this.#openLane(connection, lane);
    } catch (error) {
      // Nothing was taken yet, whatever became of the record.
      throw this.#refused(connection, connection.end?.cause ?? error);
    }
  }

  #refused(connection: RedisConnection, cause: unknown): Error {
    if (this.#link.isClosed) return closed();
    const error = unavailable(this.#settings.endpoint, cause);
    // The next connection may reach the new primary.
    if (isReplicaError(cause)) connection.destroy(error);
    return error;
  }

  #command(sha: string, { lane, epoch, plan, number }: SentTake): string[] {
    const { prefix } = this.#settings;
    return takeArguments(plan, { sha, prefix, lane: lane.key, ...epoch, number, laneTtl });
  }

  /** Finds out what became of a take, through any number of lost connections. */
  async #recall(sent: SentTake, error: unknown): Promise<TakeAnswer> {
    const { lane, epoch, plan, number, sentAtMs } = sent;
    for (let refusals = 0; ; ) {
      const connection = await this.#link.whenUp();
      try {
        const { recall } = this.#scripts();
        const args = ['EVALSHA', recall.sha, '1', lane.key, epoch.history, String(number), laneTtl];
        const answer = decodeTake(await connection.runScript(recall, args), plan);
        if (answer.status === 'stale') return { status: 'unknown', why: 'Redis has another history now' };
        if (answer.status !== 'not_run') return answer;
        // An error that is no refusal may have ended the script in the middle, before it wrote its record.
        if (isReply(error)) return { status: 'unknown', why: 'the script failed' };
        if (performance.now() - sentAtMs > laneTtlMs / 2)
          return { status: 'unknown', why: 'Redis was away too long' };
        return answer;
      } catch (failure) {
        if (this.#link.isClosed) throw closed();
        if (connection.end === undefined) {
          // It cannot be asked now. After this time nobody can: the record has expired.
          if (performance.now() - sentAtMs > laneTtlMs) return { status: 'unknown', why: String(failure) };
          await this.#link.pause(Math.min(maxRecallRetryMs, firstRecallRetryMs * 2 ** refusals));
          refusals = Math.min(refusals + 1, 10);
        }
      }
    }
  }
}
