import type {
  ConnectionChange,
  CounterStore,
  DrainReply,
  Epoch,
  ExpiredTake,
  Grant,
  GrantReply,
  GrantResult,
  History,
  OpenReply,
  OpenTake,
  ReadReply,
  ReadResult,
  Receipt,
  RenewReply,
  RestoreReply,
  SettleReply,
  TakeName,
  TakeReply,
  TakeRequest,
  TakeResult,
  TrackReply,
  TrackRequest,
} from '../../src/core/counter-store.js';
import {
  ceilingOf,
  isWord,
  maxRemaining,
  packWord,
  takeFrom,
  unpackWord,
} from '../../src/core/counter-word.js';
import type { RemovableWord } from '../../src/core/ledger.js';
import type { KeptClaims } from '../../src/counters/memory/kept-claims.js';
import { TidemarkError } from '../../src/errors.js';
import type { Random } from './random.js';
import { delayMs, type FaultRates, unavailable } from './simulated-faults.js';
import { SimulatedCluster, type SimulatedRedis } from './simulated-redis.js';
import type { WaitingClock } from './virtual-clock.js';

/** One process' connection to a simulated Redis, with faults on the way. */
export class SimulatedCounterStore implements CounterStore {
  readonly traits;
  /** Where its connection leads; a split brain leads processes to different ones. */
  redis: SimulatedRedis;
  /** Old primaries of a cluster that this process still believes in, by the slots that they had. */
  readonly isolatedOn = new Map<number, SimulatedRedis>();
  readonly #cluster: SimulatedCluster | undefined;
  /** The history that this process knew last of each primary, and how it was called before, if that is certain. */
  readonly #seen = new Map<SimulatedRedis, History>();
  readonly #clock: WaitingClock;
  readonly #random: Random;
  readonly #rates: FaultRates;
  #closed = false;

  constructor(
    redis: SimulatedRedis | SimulatedCluster,
    clock: WaitingClock,
    random: Random,
    rates: FaultRates,
  ) {
    this.#cluster = redis instanceof SimulatedCluster ? redis : undefined;
    this.redis = redis instanceof SimulatedCluster ? redis.owners[0]! : redis;
    this.traits = {
      private: false,
      maxBatch: 1_000,
      slots: this.#cluster === undefined ? 1 : SimulatedCluster.slots,
    };
    this.#clock = clock;
    this.#random = random;
    this.#rates = rates;
  }

  slotOf(conversation: string): number {
    return this.#cluster === undefined ? 0 : SimulatedCluster.slotOf(conversation);
  }

  async history(slot: number): Promise<History> {
    await this.#way(slot);
    const redis = this.#at(slot);
    const { history: id, renamedFrom } = redis;
    const seen = this.#seen.get(redis);
    if (seen?.id === id) return seen;
    const isRenamed = renamedFrom !== undefined && renamedFrom === seen?.id;
    const history = isRenamed ? { id, renamedFrom } : { id };
    this.#seen.set(redis, history);
    return history;
  }

  async confirms(slot: number, history: string): Promise<boolean> {
    await this.#way(slot);
    return !this.isolatedOn.has(slot) && this.#at(slot).history === history;
  }

  async drain(epoch: Epoch, seen: readonly RemovableWord[]): Promise<DrainReply> {
    const slot = this.slotOf(seen[0]!.conversation);
    await this.#way(slot);
    const redis = this.#at(slot);
    if (epoch.history !== redis.history) return this.#stale(redis);
    const words = seen.map(({ conversation, word }) => {
      const packed = redis.words.get(wordKey(conversation, epoch));
      const found = packed === undefined ? undefined : unpackWord(packed)!;
      if (found === undefined || ceilingOf(found) !== ceilingOf(word)) return undefined;
      redis.words.delete(wordKey(conversation, epoch));
      return found;
    });
    await this.#delay();
    if (this.#random.chance(this.#rates.lostAfter)) throw unavailable('counter_unavailable');
    return { status: 'done', words };
  }

  /** Nothing is ever idle here. */
  async *idle(..._parts: Parameters<CounterStore['idle']>): AsyncGenerator<readonly string[]> {}

  /** One primary, and those slots of it that this process believes to be there. */
  async take(epoch: Epoch, requests: readonly TakeRequest[]): Promise<TakeReply> {
    const slot = this.slotOf(requests[0]!.conversation);
    await this.#way(slot);
    const redis = this.#at(slot);
    if (this.#random.chance(this.#rates.lostBefore)) {
      await this.#delay();
      return { status: 'lost', cause: 'planned' };
    }
    if (epoch.history !== redis.history) return this.#stale(redis);
    const results = requests.map((request): TakeResult => {
      const slot = this.slotOf(request.conversation);
      if (this.#at(slot) !== redis) return { status: 'moved' };
      return this.#takeNow(redis, epoch, request, redis.claimsOf(slot));
    });
    const storeTimeMs = this.#timeOf(redis);
    await this.#delay();
    if (this.#random.chance(this.#rates.lostAfter)) return { status: 'lost', cause: 'planned' };
    return { status: 'done', results, storeTimeMs };
  }

  async grant(epoch: Epoch, grants: readonly Grant[]): Promise<GrantReply> {
    const slot = this.slotOf(grants[0]!.conversation);
    await this.#way(slot);
    const redis = this.#at(slot);
    if (epoch.history !== redis.history) return this.#stale(redis);
    const generations = redis.generations.get(slot) ?? [];
    const newerGeneration = Math.max(0, ...generations);
    if (newerGeneration > epoch.generation) return { status: 'fenced', newerGeneration };
    const results = grants.map(
      (grant): GrantResult => (this.#grantNow(redis, epoch, grant, generations) ? 'granted' : 'refused'),
    );
    if (this.#cluster !== undefined && !generations.includes(epoch.generation) && results.includes('granted'))
      redis.generations.set(slot, [...generations, epoch.generation]);
    await this.#delay();
    if (this.#random.chance(this.#rates.lostAfter)) return { status: 'lost', cause: 'planned' };
    return { status: 'done', results };
  }

  async read(epoch: Epoch, conversations: readonly string[]): Promise<ReadReply> {
    const slot = this.slotOf(conversations[0]!);
    await this.#way(slot);
    const redis = this.#at(slot);
    if (epoch.history !== redis.history) return this.#stale(redis);
    const results = conversations.map((conversation): ReadResult => {
      const packed = redis.words.get(wordKey(conversation, epoch));
      if (packed === undefined) return { status: 'missing' };
      const word = unpackWord(packed);
      return word === undefined ? { status: 'corrupt', found: String(packed) } : { status: 'present', word };
    });
    const storeTimeMs = this.#timeOf(redis);
    await this.#delay();
    return { status: 'done', results, storeTimeMs };
  }

  restoreReceipts(epoch: Epoch, receipts: readonly Receipt[]): Promise<RestoreReply> {
    return this.#again(epoch, receipts[0]!.conversation, (kept, nowMs) => {
      return { status: 'done', numbers: receipts.map((receipt) => kept.restore(receipt, nowMs)) };
    });
  }

  track(epoch: Epoch, requests: readonly TrackRequest[], leaseMs: number): Promise<TrackReply> {
    return this.#again(epoch, requests[0]!.conversation, (kept, nowMs, words) => {
      const results = requests.map(({ conversation, completeUpTo }) => {
        const packed = words.get(wordKey(conversation, epoch));
        if (packed === undefined) return { status: 'missing' } as const;
        const range = { completeUpTo, last: unpackWord(packed)!.last };
        kept.track(conversation, epoch.generation, range, nowMs + leaseMs);
        return { status: 'tracked' } as const;
      });
      return { status: 'done', results };
    });
  }

  readOpen(epoch: Epoch, conversations: readonly string[]): Promise<OpenReply> {
    return this.#again(epoch, conversations[0]!, (kept, nowMs, words) => {
      const results = conversations.map((conversation) => {
        const packed = words.get(wordKey(conversation, epoch));
        if (packed === undefined) return { status: 'missing' } as const;
        return kept.read(conversation, unpackWord(packed)!, epoch.generation, nowMs);
      });
      return { status: 'done', results };
    });
  }

  renew(epoch: Epoch, takes: readonly OpenTake[]): Promise<RenewReply> {
    return this.#again(epoch, takes[0]!.conversation, (kept, nowMs) => {
      return { status: 'done', results: takes.map((take) => kept.renew(take, epoch.generation, nowMs)) };
    });
  }

  settle(epoch: Epoch, takes: readonly TakeName[]): Promise<SettleReply> {
    return this.#again(epoch, takes[0]!.conversation, (kept, nowMs) => {
      return { status: 'done', results: takes.map((take) => kept.settle(take, nowMs)) };
    });
  }

  expire(epoch: Epoch, takes: readonly ExpiredTake[]): Promise<SettleReply> {
    return this.#again(epoch, takes[0]!.conversation, (kept, nowMs) => {
      return { status: 'done', results: takes.map((take) => kept.expire(take, nowMs)) };
    });
  }

  onConnection(_listener: (change: ConnectionChange) => void): void {}

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** The process dies: what it has sent may still run, but it learns nothing any more. */
  kill(): void {
    this.#delay = () => new Promise(() => undefined);
  }

  #takeNow(redis: SimulatedRedis, epoch: Epoch, request: TakeRequest, kept: KeptClaims): TakeResult {
    const { words } = redis;
    const nowMs = this.#timeOf(redis);
    const key = wordKey(request.conversation, epoch);
    const packed = words.get(key);
    const known = request.claims && kept.lookUp(request, nowMs);
    const claims = known && { claims: known };
    const count = request.count - (known?.filter(({ status }) => status === 'repeated').length ?? 0);
    const mayTake = known === undefined || kept.mayTake(request, epoch.generation);
    if (known !== undefined && count === 0 && mayTake)
      return { status: 'repeated', claims: kept.keep(request, known, 0, nowMs) };
    if (packed === undefined) return { status: 'missing', ...claims };
    if (!isWord(packed)) return { status: 'corrupt', found: String(packed), ...claims };
    const after = takeFrom(packed, count);
    if (after === undefined) return { status: 'short', word: unpackWord(packed)!, ...claims };
    if (!mayTake) return { status: 'untracked' };
    words.set(key, after);
    const word = unpackWord(after)!;
    if (known === undefined) return { status: 'taken', word };
    return { status: 'taken', word, claims: kept.keep(request, known, unpackWord(packed)!.last, nowMs) };
  }

  #grantNow(
    redis: SimulatedRedis,
    epoch: Epoch,
    { conversation, block, mode, expiresAtStoreTimeMs }: Grant,
    generations: readonly number[],
  ): boolean {
    const key = wordKey(conversation, epoch);
    const packed = redis.words.get(key);
    const word = packed === undefined ? undefined : unpackWord(packed)!;
    const size = block.end - block.start;
    if (mode === 'install' && this.#timeOf(redis) > expiresAtStoreTimeMs) return false;
    if (mode === 'install' && (word === undefined || word.last + word.remaining < block.start)) {
      redis.words.set(key, packWord({ last: block.start, remaining: size }));
      if (word === undefined) {
        for (const generation of generations)
          if (generation < epoch.generation)
            redis.words.delete(wordKey(conversation, { ...epoch, generation }));
      }
      return true;
    }
    if (word === undefined || word.last + word.remaining !== block.start) return false;
    if (word.remaining + size > maxRemaining) return false;
    redis.words.set(key, packWord({ last: word.last, remaining: word.remaining + size }));
    return true;
  }

  /** An operation that may be run again: its answer may be lost, too. */
  async #again<T>(
    epoch: Epoch,
    conversation: string,
    run: (kept: KeptClaims, nowMs: number, words: ReadonlyMap<string, number>) => T,
  ): Promise<T | { status: 'stale'; history: string }> {
    const slot = this.slotOf(conversation);
    await this.#way(slot);
    const redis = this.#at(slot);
    if (epoch.history !== redis.history) return this.#stale(redis);
    const reply = run(redis.claimsOf(slot), this.#timeOf(redis), redis.words);
    await this.#delay();
    if (this.#random.chance(this.#rates.lostAfter)) throw unavailable('counter_unavailable');
    return reply;
  }

  /** What the server's clock says. */
  #timeOf(redis: SimulatedRedis): number {
    return this.#clock.monotonicMs() + redis.clockOffsetMs;
  }

  /** Where the slot is for this process. */
  #at(slot: number): SimulatedRedis {
    return this.isolatedOn.get(slot) ?? this.#cluster?.owners[slot] ?? this.redis;
  }

  async #way(slot: number): Promise<void> {
    await this.#delay();
    if (this.#closed) throw new TidemarkError('closed', 'closed');
    if (!this.#at(slot).up || this.#random.chance(this.#rates.unavailable))
      throw unavailable('counter_unavailable');
  }

  #delay = (): Promise<void> => this.#clock.sleep(delayMs(this.#random, this.#rates));

  #stale(redis: SimulatedRedis): { status: 'stale'; history: string } {
    return { status: 'stale', history: redis.history };
  }
}

function wordKey(conversation: string, epoch: Epoch): string {
  return `${conversation}@${epoch.generation}`;
}
