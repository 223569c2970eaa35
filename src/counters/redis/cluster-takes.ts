import type { Epoch, TakeReply, TakeRequest, TakeResult } from '../../core/counter-store.js';
import type { RedisConnection } from './connection.js';
import type { LaneTakes } from './lane-takes.js';
import type { Primaries } from './primaries.js';
import type { PrimaryOpener } from './primary-opener.js';
import { moved } from './reply.js';

/**
 * Takes for conversations of all slots of a primary, in one script call. The script finds out for itself which of the slots
 * are not there (any more); the others do not wait for them.
 */
export class ClusterTakes {
  readonly #primaries: Primaries;
  readonly #lanes: LaneTakes;
  readonly #opener: PrimaryOpener;
  /** The slot that has the lanes of a primary, by its history. */
  readonly #homes = new Map<string, number>();

  constructor(primaries: Primaries, lanes: LaneTakes, opener: PrimaryOpener) {
    this.#primaries = primaries;
    this.#lanes = lanes;
    this.#opener = opener;
  }

  /** As {@link LaneTakes.take}. A reply that is `lost` is so for all of them, also for those that were not sent. */
  async take(epoch: Epoch, requests: readonly TakeRequest[]): Promise<TakeReply> {
    const slots = requests.map(({ conversation }) => this.#primaries.slotOf(conversation));
    const away = new Set<number>();
    for (;;) {
      const home = this.#homeOf(epoch, slots, away);
      if (home === undefined) return { status: 'done', results: requests.map(() => moved), storeTimeMs: 0 };
      const connection = this.#primaries.current(home) ?? (await this.#primaries.connection(home));
      const isSent = slots.map((slot) => !away.has(slot) && this.#primaries.current(slot) === connection);
      const reply = await this.#lanes.takeAt(
        home,
        epoch,
        requests.filter((_, index) => isSent[index]),
      );
      if (reply.status === 'moved' || reply.status === 'stale') await this.#follow(home, connection);
      if (reply.status === 'moved') {
        away.add(home);
        continue;
      }
      if (reply.status === 'stale') this.#homes.delete(epoch.history);
      if (reply.status !== 'done') return reply;
      let next = 0;
      const gone = new Set<number>();
      const results = slots.map((slot, index): TakeResult => {
        const result = isSent[index] ? reply.results[next++]! : moved;
        if (isSent[index] && result.status === 'moved') gone.add(slot);
        return result;
      });
      await Promise.all([...gone].map((slot) => this.#follow(slot, connection)));
      return { ...reply, results };
    }
  }

  /** Where the lane of a take is: with those before, as long as the same primary serves it. Undefined when all slots are away. */
  #homeOf({ history }: Epoch, slots: readonly number[], away: ReadonlySet<number>): number | undefined {
    const served = slots.find((slot) => !away.has(slot) && this.#primaries.current(slot) !== undefined);
    const home = this.#homes.get(history);
    const isStillThere =
      home !== undefined &&
      served !== undefined &&
      !away.has(home) &&
      this.#primaries.current(home) === this.#primaries.current(served);
    if (isStillThere) return home;
    const found = served ?? slots.find((slot) => !away.has(slot));
    if (found !== undefined) this.#homes.set(history, found);
    return found;
  }

  /** Finds out where a slot has moved to: a script does not say it, and any other command does. */
  async #follow(slot: number, connection: RedisConnection): Promise<void> {
    await connection.call(['GET', this.#opener.slotKey(slot)]).catch((error: unknown) => {
      this.#primaries.moved(slot, connection, error);
    });
  }
}
