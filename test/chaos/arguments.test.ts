import { InvalidArgumentError } from 'commander';
import { describe, expect, it } from 'vitest';
import { integer } from './arguments.js';

describe('an integer on the command line', () => {
  const parse = integer(0, 100);

  it.each([
    ['0', 0],
    ['100', 100],
    ['42', 42],
  ])('%j', (text, value) => {
    expect(parse(text)).toBe(value);
  });

  it.each(['', ' ', '-1', '101', '1.5', 'one', '1e1', '0x10', '1_0', 'NaN', 'Infinity', '12 '])(
    'not %j',
    (text) => {
      expect(() => parse(text)).toThrow(InvalidArgumentError);
      expect(() => parse(text)).toThrow('It must be an integer from 0 to 100.');
    },
  );
});
