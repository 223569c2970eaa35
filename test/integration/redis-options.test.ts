import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  RedisCounterStore,
  type RedisCounterStoreOptions,
} from '../../src/counters/redis/redis-counter-store.js';
import { TidemarkError } from '../../src/errors.js';

const password = 'pa55-w0rd-that-must-not-show';

describe('options of the Redis store', () => {
  it.each<[string, unknown]>([
    ['neither url nor client', {}],
    ['both', { url: 'redis://localhost', client: {} }],
    ['nothing', undefined],
    ['an unknown option', { url: 'redis://localhost', timeout: 3 }],
    ['no URL', { url: `:${password}` }],
    ['a URL without a host', { url: `redis://user:${password}@` }],
    ['a URL of something else', { url: `mysql://user:${password}@localhost` }],
    ['a URL with a bad database', { url: `redis://user:${password}@localhost/first` }],
    ['a bare % in the password', { url: `redis://user:${password}%@localhost` }],
    ['a URL against TLS', { client: { url: `redis://user:${password}@localhost`, socket: { tls: true } } }],
    ['a unix URL without a path', { url: `unix://user:${password}@` }],
    ['an empty prefix', { url: 'redis://localhost', prefix: '' }],
    ['a prefix with a brace', { url: 'redis://localhost', prefix: 'a{b' }],
    ['a prefix with a star', { url: 'redis://localhost', prefix: 'a*' }],
    ['a prefix with a control character', { url: 'redis://localhost', prefix: 'a\n' }],
    ['a prefix of 65 bytes', { url: 'redis://localhost', prefix: `${'x'.repeat(63)}ä` }],
    ['no whole number', { url: 'redis://localhost', replyTimeoutMs: 99.5 }],
    ['a reply timeout of nothing', { url: 'redis://localhost', replyTimeoutMs: 0 }],
    ['no lanes', { url: 'redis://localhost', maxConcurrentTakes: 0 }],
    ['too many lanes', { url: 'redis://localhost', maxConcurrentTakes: 17 }],
  ])('refuses %s, and shows no password', (_, options) => {
    let error: unknown;
    try {
      new RedisCounterStore(options as RedisCounterStoreOptions);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TidemarkError);
    expect((error as TidemarkError).code).toBe('invalid_argument');
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(password);
  });
});
