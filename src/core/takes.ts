import { TidemarkError } from '../errors.js';
import { backoffMs } from './backoff.js';
import type { Call, SequenceRange } from './call.js';
import { ClaimList, deliverKnown } from './claims.js';
import type { Clock } from './clock.js';
import type { ConversationState, ConversationStates } from './conversation-state.js';
import type { CounterStore, Epoch, TakeRequest, TakeResult } from './counter-store.js';
import type { CounterWord } from './counter-word.js';
import { asTidemarkError, type Epochs } from './epochs.js';
import { ImmediateTakes } from './immediate-takes.js';
import { maxCountPerCall, type ResolvedOptions } from './options.js';
import { printable } from './quote.js';
import { groupBySlot } from './slots.js';
import { type TakeQueue, TakeQueues } from './take-queues.js';

/** Delay before the next take after the store could not be reached: doubles from the first to the second, in ms. */
const firstRetryMs = 5;
const maxRetryMs = 250;

/** Most claims in one take: each costs the store as much as a conversation does. */
const maxClaimsPerTake = 500;

/** What a take found that another part has to deal with. */
export interface TakeFindings {
  /** The block cannot give what is asked for, or the word is missing. */
  onShort(state: ConversationState, look: Look): void;
  /** It is time for the next block. */
  onLow(state: ConversationState, look: Look): void;
  /** The take may have run and nobody knows which numbers it took. */
  onLost(states: readonly ConversationState[], epoch: Epoch): void;
  /** A call wants to be tracked, and tracking has not begun in this history. */
  onUntracked(state: ConversationState): void;
  /** Numbers were taken for a caller that has given up since. Nobody will have them; if they are open, nobody ends them. */
  onAbandoned(state: ConversationState, range: SequenceRange, epoch: Epoch, tracked: boolean): void;
  /** The same with a message id: whoever sends the message again will have the number. */
  onUnclaimed(state: ConversationState, range: SequenceRange, epoch: Epoch): void;
  /** What came of a take has been told to its calls, and its slot has another epoch by now, or none that is known. */
  onAnswered(slot: number, epoch: Epoch): void;
}

/** What was seen in the counter store. */
export interface Look {
  readonly epoch: Epoch;
  /** Undefined when the word was missing. */
  readonly saw: CounterWord | undefined;
  /** The store's clock, set when the word was missing. */
  readonly storeTimeMs: number;
  /** How many numbers are asked for. */
  readonly need: number;
}

interface Batch {
  readonly states: readonly ConversationState[];
  /** One for each state. */
  readonly requests: readonly TakeRequest[];
}

/**
 * Batches of takes.
 *
 * Calls that arrive while their conversation is in a take wait for the next one: they become one step of the word. A
 * conversation is in at most one take at a time. Several takes are under way at once, so that the store works on one
 * while the next is built. Nothing waits for a timer: an idle generator sends in the same turn of the event loop.
 */
export class Takes {
  readonly #counters: CounterStore;
  readonly #clock: Clock;
  readonly #epochs: Epochs;
  readonly #options: ResolvedOptions;
  readonly #states: ConversationStates;
  readonly #findings: TakeFindings;
  readonly #maxBatch: number;
  readonly #queues: TakeQueues;
  /** Those that need no batch. */
  readonly immediate: ImmediateTakes;
  /** What tries again the takes that could not be sent. */
  readonly #retries = new Set<() => void>();
  #underWay = 0;
  #flushScheduled = false;
  #idle: (() => void) | undefined;

  constructor(parts: {
    counters: CounterStore;
    clock: Clock;
    epochs: Epochs;
    options: ResolvedOptions;
    states: ConversationStates;
    findings: TakeFindings;
  }) {
    this.#counters = parts.counters;
    this.#clock = parts.clock;
    this.#epochs = parts.epochs;
    this.#options = parts.options;
    this.#states = parts.states;
    this.#findings = parts.findings;
    this.#maxBatch = Math.min(parts.options.maxBatch, parts.counters.traits.maxBatch);
    this.#queues = new TakeQueues(parts.epochs, () => this.flushSoon());
    this.immediate = new ImmediateTakes({
      ...parts,
      onLow: (state, look) => this.#findings.onLow(state, look),
    });
  }

  /** The conversation may go into the next take, if it has calls and nothing holds it back. */
  enqueue(state: ConversationState): void {
    if (state.queued || state.taking || state.parked || state.waiting.isEmpty) return;
    state.queued = true;
    this.#queues.add(state);
    this.flushSoon();
  }

  /** Sends takes once the current turn's callbacks have made their calls. */
  flushSoon(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    const flush = () => {
      this.#flushScheduled = false;
      this.#flush();
    };
    if (this.immediate.isTurnSpent) this.#clock.nextTurn(flush);
    else this.#clock.defer(flush);
  }

  /** The epoch of a slot is known (again). */
  epochKnown(slot: number): void {
    this.#queues.place(slot);
    this.flushSoon();
  }

  /** Tries now instead of after the delay: the store was reached again. */
  retryNow(): void {
    for (const retry of [...this.#retries]) retry();
  }

  /** Resolves when no take is under way. */
  async idle(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  #flush(): void {
    for (const queue of this.#queues.ready()) {
      while (queue.underWay < this.#options.maxTakes && queue.first !== undefined) {
        const batch = this.#nextBatch(queue);
        if (batch.states.length > 0) void this.#send(queue, batch);
      }
    }
  }

  #nextBatch(queue: TakeQueue): Batch {
    const states: ConversationState[] = [];
    const requests: TakeRequest[] = [];
    let claimsLeft = maxClaimsPerTake;
    while (states.length < this.#maxBatch) {
      const state = this.#queues.next(queue);
      if (state === undefined) break;
      const { first } = state.waiting;
      if (claimsLeft === 0 && first?.claim !== undefined) break;
      queue.shift();
      state.queued = false;
      // Its calls may have given up since, or something else holds it back now.
      if (state.parked || first === undefined) continue;
      const request = startTake(state, first, claimsLeft, this.#options);
      claimsLeft -= request.claims?.calls.length ?? 0;
      states.push(state);
      requests.push(request);
    }
    return { states, requests };
  }

  async #send(queue: TakeQueue, batch: Batch): Promise<void> {
    queue.underWay += 1;
    this.#underWay += 1;
    await this.#take(queue.epoch, batch);
    queue.underWay -= 1;
    this.#underWay -= 1;
    this.flushSoon();
    if (this.#underWay === 0) this.#idle?.();
  }

  async #take(epoch: Epoch, { states, requests }: Batch): Promise<void> {
    try {
      const reply = await this.#counters.take(epoch, requests);
      if (reply.status === 'done') {
        for (let index = 0; index < states.length; index += 1) {
          this.#handle(epoch, states[index]!, requests[index]!, reply.results[index]!, reply.storeTimeMs);
        }
        if (states.some(({ slot }) => this.#epochs.of(slot) !== epoch))
          for (const [first] of this.#bySlot(states)) this.#findings.onAnswered(first!.slot, epoch);
      } else {
        for (const state of states) state.endTake();
        for (const ofSlot of this.#bySlot(states)) {
          if (reply.status === 'stale') this.#epochs.stale(ofSlot[0]!.slot, epoch);
          else this.#findings.onLost(ofSlot, epoch);
        }
      }
    } catch (error) {
      for (const state of states) state.endTake();
      this.#failed(asTidemarkError(error), states);
    }
    for (const state of states) {
      this.enqueue(state);
      this.#states.release(state);
    }
  }

  /** What is found out of a take counts for each of its slots. */
  #bySlot(states: readonly ConversationState[]): readonly (readonly ConversationState[])[] {
    return groupBySlot(this.#counters, states, ({ key }) => key);
  }

  #handle(
    epoch: Epoch,
    state: ConversationState,
    request: TakeRequest,
    result: TakeResult,
    storeTimeMs: number,
  ): void {
    if (result.status === 'taken' && result.claims === undefined) {
      this.#deliver(epoch, state, request.count, result.word);
      return;
    }
    if (result.status === 'taken' || result.status === 'repeated') {
      this.#deliverClaims(epoch, state, request, result);
      return;
    }
    if ('claims' in result && result.claims !== undefined) deliverKnown(state, result.claims);
    state.endTake();
    if (result.status === 'moved') {
      // After a while, because it may be the same primary that serves it still.
      this.#failed(movedSlot(state.key), [state]);
      this.#epochs.stale(state.slot, epoch);
      return;
    }
    if (result.status === 'untracked') {
      this.#findings.onUntracked(state);
      return;
    }
    if (result.status === 'corrupt') {
      state.failWaiting(corruptWord(state.key, result.found));
      return;
    }
    const saw = result.status === 'short' ? result.word : undefined;
    if (saw !== undefined) state.saw(saw.last);
    this.#findings.onShort(state, { epoch, saw, storeTimeMs, need: request.count });
  }

  /** The numbers `word.last − count + 1 … word.last` go to the callers in order of arrival. */
  #deliver(epoch: Epoch, state: ConversationState, count: number, word: CounterWord): void {
    const { served } = state;
    let next = word.last - count + 1;
    this.#endTaken(state, word);
    for (const call of served) {
      if (call.ended) continue;
      call.deliver(next);
      next += call.count;
    }
    // What callers left that gave up meanwhile is nobody's: a call that came after the take was sent may have come after
    // the reply to a larger number in another process, too (P2).
    if (next <= word.last) this.#findings.onAbandoned(state, { first: next, last: word.last }, epoch, false);
    this.#checkLow(epoch, state, word);
  }

  /** Each call gets the numbers at its place: the store has noted them so (I10). */
  #deliverClaims(
    epoch: Epoch,
    state: ConversationState,
    request: TakeRequest,
    result: Extract<TakeResult, { readonly status: 'taken' | 'repeated' }>,
  ): void {
    const claims = result.claims!;
    let repeated = 0;
    for (const { status } of claims) if (status !== 'fresh') repeated += 1;
    const taken = request.count - repeated;
    const word = result.status === 'taken' ? result.word : undefined;
    const served = repeated === 0 ? state.served : deliverKnown(state, claims);
    if (word === undefined) {
      state.endServedTake();
      return;
    }
    let next = word.last - taken + 1;
    this.#endTaken(state, word);
    for (const call of served) {
      if (call.ended) this.#leave(epoch, state, call, next);
      else call.deliver(next);
      next += call.count;
    }
    this.#checkLow(epoch, state, word);
  }

  #endTaken(state: ConversationState, word: CounterWord): void {
    state.endServedTake();
    state.lastSeen = word.last;
    state.fruitlessLooks = 0;
    state.failedTakes = 0;
    state.trouble = undefined;
  }

  #leave(epoch: Epoch, state: ConversationState, { count, claim }: Call, first: number): void {
    const range = { first, last: first + count - 1 };
    if (claim?.messageId === undefined)
      this.#findings.onAbandoned(state, range, epoch, claim?.tracked ?? false);
    else this.#findings.onUnclaimed(state, range, epoch);
  }

  #checkLow(epoch: Epoch, state: ConversationState, word: CounterWord): void {
    if (state.reserving || !state.needsRefill(word.remaining)) return;
    this.#findings.onLow(state, { epoch, saw: word, storeTimeMs: 0, need: 1 });
  }

  /** The take has certainly not run. Others may go elsewhere meanwhile. */
  #failed(error: TidemarkError, states: readonly ConversationState[]): void {
    if (!error.retryable) {
      for (const state of states) state.failWaiting(error);
      return;
    }
    let failures = 0;
    for (const state of states) {
      state.trouble = error;
      state.awaitingRetry = true;
      failures = Math.max(failures, state.failedTakes);
      state.failedTakes += 1;
    }
    const retry = () => {
      cancel();
      this.#retries.delete(retry);
      for (const state of states) {
        state.awaitingRetry = false;
        this.enqueue(state);
        this.#states.release(state);
      }
    };
    const cancel = this.#clock.setTimer(backoffMs(failures, firstRetryMs, maxRetryMs), retry);
    this.#retries.add(retry);
  }
}

/** Moves as many waiting calls as one take may serve into it; the first is served in any case. */
function startTake(
  state: ConversationState,
  first: Call,
  maxClaims: number,
  options: ResolvedOptions,
): TakeRequest {
  const { waiting } = state;
  waiting.remove(first);
  // Made with its first call in it, because most takes of a conversation serve one.
  const served = [first];
  let claims = first.claim && newClaims(state, first, 0, options);
  let { count } = first;
  for (let call = waiting.first; call !== undefined; call = waiting.first) {
    if (count + call.count > maxCountPerCall) break;
    if (call.claim !== undefined) {
      if ((claims?.calls.length ?? 0) >= maxClaims) break;
      if (claims === undefined) claims = newClaims(state, call, count, options);
      else if (!claims.add(call, count)) break;
    }
    waiting.remove(call);
    served.push(call);
    count += call.count;
  }
  state.served = served;
  state.taking = true;
  const conversation = state.key;
  return claims === undefined ? { conversation, count } : { conversation, count, claims };
}

function newClaims(
  state: ConversationState,
  call: Call,
  offset: number,
  options: ResolvedOptions,
): ClaimList {
  return new ClaimList(call, offset, options.messageIdWindowMs(state.type), options.leaseMs);
}

/** The error for a conversation whose slot is not where it was. */
function movedSlot(conversation: string): TidemarkError {
  return new TidemarkError(
    'counter_unavailable',
    `the cluster slot of ${conversation} is being moved to another primary; try again`,
    { conversation },
  );
}

/** The error for a key that holds something else than a counter word. */
export function corruptWord(conversation: string, found: string): TidemarkError {
  return new TidemarkError(
    'counter_corrupt',
    `the counter word of ${conversation} is not one (${printable(found)}); it was left as it is: find out who wrote it, then delete the key`,
    { conversation },
  );
}
