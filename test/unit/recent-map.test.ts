import { expect, it } from 'vitest';
import { RecentMap } from '../../src/core/recent-map.js';

it('keeps the last half of its entries, and those that were asked for', () => {
  const map = new RecentMap<number>(10);
  for (let index = 0; index < 100; index += 1) {
    map.set(`k${index}`, index);
    expect(map.get('k0')).toBe(0);
    const lately = Array.from({ length: Math.min(4, index) }, (_, back) => index - back);
    for (const recent of lately) expect(map.get(`k${recent}`)).toBe(recent);
  }
});

it('forgets the others: it never holds more than it may', () => {
  const map = new RecentMap<number>(10);
  for (let index = 0; index < 100; index += 1) {
    map.set(`k${index}`, index);
    const found = Array.from({ length: index + 1 }, (_, other) => other).filter((other) => {
      // Asked for in the oldest order, so that asking does not save what would be forgotten.
      return other > index - 20 && map.get(`k${other}`) !== undefined;
    });
    expect(found.length).toBeLessThanOrEqual(10);
  }
});

it('has the value that was set last', () => {
  const map = new RecentMap<string>(4);
  map.set('a', 'one');
  map.set('b', 'x');
  map.set('c', 'x');
  map.set('a', 'two');
  map.set('c', 'y');
  expect(map.get('a')).toBe('two');
  expect(map.get('unknown')).toBeUndefined();
});
