/** What counter stores are connected to in a simulation: one primary, or a cluster of several. */

import { KeptClaims } from '../../src/counters/memory/kept-claims.js';

/** One Redis data set with its history; failing over replaces history and words. */
export class SimulatedRedis {
  static #histories = 0;
  history = SimulatedRedis.#nextHistory();
  renamedFrom: string | undefined;
  up = true;
  /** How wrong its clock is. */
  clockOffsetMs = 0;
  words = new Map<string, number>();
  /** By slot, because a slot takes them along. */
  claims = new Map<number, KeptClaims>();
  /** Which generations have words in each slot of a cluster. */
  generations = new Map<number, readonly number[]>();
  #replica = new Map<string, number>();
  #replicaGenerations = new Map<number, readonly number[]>();
  #replicaClaims: ReadonlyMap<number, KeptClaims> = new Map();

  /** Receipts and open takes of a slot. */
  claimsOf(slot: number): KeptClaims {
    let found = this.claims.get(slot);
    if (found === undefined) {
      found = new KeptClaims(1_000_000);
      this.claims.set(slot, found);
    }
    return found;
  }

  replicate(): void {
    this.#replica = new Map(this.words);
    this.#replicaGenerations = new Map(this.generations);
    this.#replicaClaims = copyOf(this.claims);
  }

  /** The stale replica becomes the primary. */
  failOver(): void {
    this.words = new Map(this.#replica);
    this.generations = new Map(this.#replicaGenerations);
    this.claims = copyOf(this.#replicaClaims);
    this.restart();
  }

  restart(): void {
    this.renamedFrom = undefined;
    this.history = SimulatedRedis.#nextHistory();
  }

  /** The stale replica becomes a second primary, and this one goes on, too. */
  split(): SimulatedRedis {
    const other = new SimulatedRedis();
    other.clockOffsetMs = this.clockOffsetMs;
    other.words = new Map(this.#replica);
    other.generations = new Map(this.#replicaGenerations);
    other.claims = copyOf(this.#replicaClaims);
    return other;
  }

  static #nextHistory(): string {
    SimulatedRedis.#histories += 1;
    return `h${SimulatedRedis.#histories}`;
  }

  /** Nothing is lost; only the id changes, as when the first replica is attached. */
  rename(): void {
    this.renamedFrom = this.history;
    this.history = SimulatedRedis.#nextHistory();
  }

  flush(): void {
    this.words.clear();
    this.claims.clear();
  }
}

/** Several primaries that share the slots. */
export class SimulatedCluster {
  static readonly slots = 4;
  /** Who serves each slot. */
  readonly owners: SimulatedRedis[];

  constructor() {
    const nodes = [new SimulatedRedis(), new SimulatedRedis()];
    this.owners = Array.from({ length: SimulatedCluster.slots }, (_, slot) => nodes[slot % nodes.length]!);
  }

  static slotOf(conversation: string): number {
    return conversation.charCodeAt(conversation.length - 1) % SimulatedCluster.slots;
  }

  get nodes(): readonly SimulatedRedis[] {
    return [...new Set(this.owners)];
  }

  /** A slot moves to another primary, with all that belongs to it. */
  move(slot: number, to: SimulatedRedis): void {
    const from = this.owners[slot]!;
    if (from === to) return;
    for (const [key, word] of from.words) {
      if (SimulatedCluster.slotOf(key.slice(0, key.indexOf('@'))) !== slot) continue;
      to.words.set(key, word);
      from.words.delete(key);
    }
    to.generations.set(slot, from.generations.get(slot) ?? []);
    from.generations.delete(slot);
    to.claims.set(slot, from.claimsOf(slot));
    from.claims.delete(slot);
    this.owners[slot] = to;
  }

  /** A primary is replaced by its stale replica, and may go on where nobody should listen to it. */
  failOver(node: SimulatedRedis): void {
    const successor = node.split();
    for (const [slot, owner] of this.owners.entries()) if (owner === node) this.owners[slot] = successor;
  }
}

function copyOf(claims: ReadonlyMap<number, KeptClaims>): Map<number, KeptClaims> {
  return new Map([...claims].map(([slot, kept]) => [slot, kept.clone()]));
}
