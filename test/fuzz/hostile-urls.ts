/** URLs of stores that hold a password, and everything that people forget to escape. */

import fc from 'fast-check';
import { secret } from './hostile.js';

const part = fc.oneof(
  fc.constantFrom(
    '',
    '1',
    '12',
    'a',
    ':',
    '/',
    '?',
    '#',
    '@',
    '%',
    '%2F',
    '[',
    ']',
    ',',
    ' ',
    '\\',
    '&',
    '=',
    'db=',
    '+',
    '0/',
  ),
  fc.string({ unit: 'binary', maxLength: 3 }),
);
export const password = fc.tuple(part, part, part).map(([a, b, c]) => `${a}${b}${secret}${c}`);
const host = fc.constantFrom(
  'h',
  'h:1',
  '[::1]',
  '[::1]:2',
  'a:1,b:2',
  'a,b,',
  '',
  'h:99999',
  'h:x',
  '127.1',
);
const end = fc.constantFrom(
  '',
  '/',
  '/0',
  '/15',
  '/name',
  '/database',
  '/a/b',
  '?db=1',
  '/0?db=2',
  '?x=y',
  '#f',
  '/d?ssl=true',
  '/d?ssl={',
  '/d?ssl={"ca":1}',
  '/d?__proto__=1',
);
/** URLs with a password that is escaped or not, some of them damaged. */
export const urlOf = (schemes: readonly string[]) =>
  fc
    .tuple(
      fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom(...schemes.map((scheme) => `${scheme}://`)) },
        { weight: 1, arbitrary: fc.constantFrom('', '//', 'http://', ':', 'redis:', 'mysql:') },
      ),
      fc.constantFrom('', 'u', 'root', 'a b', 'u%20v', 'a:b'),
      password,
      fc.boolean(),
      host,
      end,
    )
    .map(
      ([scheme, user, of, isEscaped, at, rest]) =>
        `${scheme}${user}:${isEscaped ? encodedOf(of) : of}@${at}${rest}`,
    );

function encodedOf(text: string): string {
  return text.isWellFormed() ? encodeURIComponent(text) : text;
}
