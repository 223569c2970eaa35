/** URLs and options of the stores: settings, or a clear error; and nowhere a password in what is shown of them. */

import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkPrefix } from '../../src/counters/redis/keys.js';
import {
  type RedisCounterStoreOptions,
  type RedisSettings,
  resolveOptions,
} from '../../src/counters/redis/options.js';
import { mySqlSettings } from '../../src/ledgers/mysql/options.js';
import { seed } from '../support/runs.js';
import {
  anyNumber,
  anyText,
  anyValue,
  clear,
  errorOf,
  expectNoPollution,
  fuzzed,
  secret,
  unreadable,
} from './hostile.js';
import { password, urlOf } from './hostile-urls.js';

const redisSchemes = [
  'redis',
  'rediss',
  'redis+sentinel',
  'rediss+sentinel',
  'redis+cluster',
  'rediss+cluster',
  'unix',
];
/** What may be shown of settings. */
function shownOf(settings: RedisSettings): string {
  const { target } = settings;
  const addresses = [{ host: 'x', port: 1 }];
  const nodes =
    target.kind === 'standalone' ? [target.node] : addresses.map((address) => target.nodeAt(address));
  return [settings.endpoint, ...nodes.map(({ endpoint }) => endpoint)].join(' ');
}

describe(`URLs and options of the stores, hostile, seed ${seed}`, () => {
  it('a Redis URL of any kind: no password in a message, nor in what is shown of the place', () => {
    fc.assert(
      fc.property(urlOf(redisSchemes), (url) => {
        const error = errorOf(() => {
          expect(shownOf(resolveOptions({ url }))).not.toContain(secret);
        });
        if (error !== undefined) {
          expect(error.code).toBe('invalid_argument');
          expect(inspect(error, { depth: 9 })).not.toContain(secret);
        }
      }),
      fuzzed(3),
    );
  });

  it('a login that is escaped arrives as it was, whatever it holds', () => {
    const word = fc.oneof(anyText, password).filter((text) => text.isWellFormed() && text.length < 1_000);
    fc.assert(
      fc.property(word, word, fc.constantFrom('redis+sentinel', 'rediss+cluster'), (user, of, scheme) => {
        const login = `${encodeURIComponent(user)}:${encodeURIComponent(of)}`;
        const { target } = resolveOptions({
          url: `${scheme}://${login}@h/${scheme.endsWith('l') ? 'name' : ''}`,
        });
        if (target.kind === 'standalone') throw new Error('it is not one server');
        const { username, password: arrived } = target.nodeAt({ host: 'h', port: 1 }).clientOptions();
        expect([username ?? '', arrived ?? '']).toEqual([user, of]);
        const { driver } = mySqlSettings(`mysql://${login}@h/d`);
        expect([driver.user, driver.password]).toEqual([user, of]);
      }),
      fuzzed(),
    );
  });

  it('text of any kind, and what is no text: settings or a clear error', () => {
    const scheme = fc.constantFrom(...redisSchemes, 'mysql', '').map((of) => `${of}://`);
    fc.assert(
      fc.property(
        fc.oneof(
          anyValue,
          fc.tuple(scheme, anyText).map((parts) => parts.join('')),
        ),
        (url) => {
          for (const make of [
            () => resolveOptions({ url: url as string }),
            () => mySqlSettings(url as string),
          ])
            expect(errorOf(make)?.code ?? 'invalid_argument').toBe('invalid_argument');
        },
      ),
      fuzzed(),
    );
  });

  it('options of the Redis store of any values: settings or a clear error', () => {
    const address = fc.oneof(
      anyValue,
      fc.record({
        host: fc.oneof(fc.constantFrom<unknown[]>('h', '::1', `u:${secret}@h`, 'a b'), anyValue),
        port: fc.oneof(fc.constant(1), anyNumber, anyValue),
      }),
    );
    const nodes = fc.oneof(
      anyValue,
      fc.array(address, { maxLength: 3 }),
      fc.constantFrom<unknown[]>(new Array(3), new Array(101).fill({ host: 'h', port: 1 })),
    );
    const client = fc.oneof(
      anyValue,
      unreadable,
      fc.record(
        {
          socket: fc.oneof(
            anyValue,
            fc.record(
              { host: anyValue, port: anyValue, path: anyValue, tls: anyValue, connectTimeout: anyValue },
              { requiredKeys: [] },
            ),
          ),
          password: fc.constant(secret),
          database: anyValue,
          url: anyValue,
        },
        { requiredKeys: ['password'] },
      ),
    );
    const several = fc.oneof(
      anyValue,
      unreadable,
      fc.record(
        {
          name: fc.oneof(fc.constant('mymaster'), anyValue),
          nodes,
          client,
          username: anyValue,
          password: fc.constant(secret),
          tls: anyValue,
          addressMap: anyValue,
        },
        { requiredKeys: ['nodes'] },
      ),
    );
    const options = fc.oneof(
      anyValue,
      unreadable,
      fc.record(
        { client, prefix: anyValue, replyTimeoutMs: anyNumber, maxConcurrentTakes: anyValue },
        { requiredKeys: ['client'] },
      ),
      fc.record({ sentinel: several, prefix: fc.constant('seq') }, { requiredKeys: ['sentinel'] }),
      fc.record({ cluster: several, replyTimeoutMs: anyValue }, { requiredKeys: ['cluster'] }),
      fc.dictionary(
        fc.constantFrom('url', 'client', 'sentinel', 'cluster', 'prefix', '__proto__', 'x'),
        anyValue,
      ),
    );
    fc.assert(
      fc.property(options, (given) => {
        const error = errorOf(() => {
          const settings = resolveOptions(given as RedisCounterStoreOptions);
          expect(shownOf(settings)).not.toContain(secret);
          expect(settings.replyTimeoutMs).toBeGreaterThanOrEqual(50);
        });
        if (error !== undefined) expect(error.code).toBe('invalid_argument');
        expectNoPollution();
      }),
      fuzzed(3),
    );
  });

  it('a prefix of any kind: taken exactly when it can stand before the braces of a key', () => {
    fc.assert(
      fc.property(fc.oneof(anyText, anyValue), (prefix) => {
        const error = errorOf(() => checkPrefix(prefix as string));
        if (error !== undefined) return;
        expect(prefix).not.toMatch(/[{}*?[\]\\^\p{Cc}]/u);
        expect(Buffer.byteLength(prefix as string)).toBeLessThanOrEqual(64);
      }),
      fuzzed(),
    );
  });

  it('an error with a secret in it would be found', () => {
    expect(() => clear(new Error(secret))).toThrow('not a TidemarkError');
  });
});
