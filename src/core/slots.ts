import type { CounterStore } from './counter-store.js';

/** Groups things by the slot of their conversation, in order: most calls to the counter store name one slot only. */
export function groupBySlot<T>(
  counters: Pick<CounterStore, 'traits' | 'slotOf'>,
  items: readonly T[],
  conversationOf: (item: T) => string,
): readonly (readonly T[])[] {
  if (items.length === 0) return [];
  if (counters.traits.slots === 1) return [items];
  return groupBy(items, (item) => counters.slotOf(conversationOf(item)));
}

/** Groups things that have the same key, in order. */
export function groupBy<T>(items: readonly T[], keyOf: (item: T) => unknown): readonly (readonly T[])[] {
  const groups = new Map<unknown, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return [...groups.values()];
}
