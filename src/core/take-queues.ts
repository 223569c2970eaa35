import type { ConversationState } from './conversation-state.js';
import type { Epoch } from './counter-store.js';
import type { Epochs } from './epochs.js';

/** So many places at the front of a queue that are done with are cut off. */
const maxPlacesDone = 10_000;

/** The conversations of one epoch that wait for a take, in the order in which they became ready. */
export class TakeQueue {
  readonly epoch: Epoch;
  /** Takes of this queue under way. */
  underWay = 0;
  #states: ConversationState[] = [];
  #from = 0;

  constructor(epoch: Epoch) {
    this.epoch = epoch;
  }

  get first(): ConversationState | undefined {
    return this.#states[this.#from];
  }

  push(state: ConversationState): void {
    this.#states.push(state);
  }

  /** Removes the first. */
  shift(): void {
    this.#from += 1;
    if (this.#from === this.#states.length) {
      this.#states = [];
      this.#from = 0;
    } else if (this.#from > maxPlacesDone) {
      this.#states = this.#states.slice(this.#from);
      this.#from = 0;
    }
  }
}

/** A queue for each epoch: a take goes to one primary, and those of several go there in parallel. */
export class TakeQueues {
  readonly #epochs: Epochs;
  readonly #onMoved: () => void;
  readonly #queues = new Map<Epoch, TakeQueue>();
  /** Conversations of slots whose epoch is not known, by slot. */
  readonly #unplaced = new Map<number, ConversationState[]>();

  /** @param onMoved - called when a conversation has come into another queue */
  constructor(epochs: Epochs, onMoved: () => void) {
    this.#epochs = epochs;
    this.#onMoved = onMoved;
  }

  add(state: ConversationState): void {
    const epoch = this.#epochs.of(state.slot);
    if (epoch === undefined) {
      const unplaced = this.#unplaced.get(state.slot);
      if (unplaced === undefined) this.#unplaced.set(state.slot, [state]);
      else unplaced.push(state);
      return;
    }
    let queue = this.#queues.get(epoch);
    if (queue === undefined) {
      queue = new TakeQueue(epoch);
      this.#queues.set(epoch, queue);
    }
    queue.push(state);
  }

  /** The epoch of a slot is known now. */
  place(slot: number): void {
    const unplaced = this.#unplaced.get(slot) ?? [];
    this.#unplaced.delete(slot);
    for (const state of unplaced) this.add(state);
  }

  /** Queues with conversations; those of epochs that are over and done with are forgotten. */
  *ready(): Iterable<TakeQueue> {
    for (const [epoch, queue] of this.#queues) {
      if (queue.first !== undefined) yield queue;
      else if (queue.underWay === 0 && this.#queues.size > 1) this.#queues.delete(epoch);
    }
  }

  /** The next conversation of a queue. One whose slot has another epoch by now goes where it belongs. */
  next(queue: TakeQueue): ConversationState | undefined {
    for (let state = queue.first; state !== undefined; state = queue.first) {
      if (this.#epochs.of(state.slot) === queue.epoch) return state;
      queue.shift();
      this.add(state);
      this.#onMoved();
    }
    return undefined;
  }
}
