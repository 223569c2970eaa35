import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { resolveOptions } from '../../src/counters/redis/options.js';
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
    ['a client and sentinels', { client: {}, sentinel: { name: 'm', nodes: [{ host: 'h', port: 1 }] } }],
    ['sentinels without a name', { sentinel: { nodes: [{ host: 'h', port: 1 }], password } }],
    ['sentinels without nodes', { sentinel: { name: 'm', nodes: [], password } }],
    [
      'an unknown option of sentinels',
      { sentinel: { name: 'm', nodes: [{ host: 'h', port: 1 }], master: password } },
    ],
    ['a sentinel without a port', { sentinel: { name: 'm', nodes: [{ host: 'h' }] } }],
    [
      'a URL for the servers of sentinels',
      { sentinel: { name: 'm', nodes: [{ host: 'h', port: 1 }], client: { url: `redis://:${password}@h` } } },
    ],
    ['an address map that is none', { cluster: { nodes: [{ host: 'h', port: 1 }], addressMap: {} } }],
    [
      'a cluster with a database',
      { cluster: { nodes: [{ host: 'h', port: 1 }], client: { database: 1, password } } },
    ],
    ['a cluster that is none', { cluster: 'redis://h' }],
    ['a sentinel URL without a name', { url: `redis+sentinel://user:${password}@h:1,i` }],
    ['a sentinel URL with a bad query', { url: `redis+sentinel://user:${password}@h/m?db=x` }],
    ['a sentinel URL with a bare %', { url: `redis+sentinel://user:${password}%@h/m` }],
    ['a sentinel URL with an empty host', { url: `redis+sentinel://user:${password}@h,/m` }],
    ['a cluster URL with a database', { url: `redis+cluster://user:${password}@h/3` }],
    ['a cluster URL with a bad port', { url: `redis+cluster://user:${password}@h:99999` }],
    ['a URL of another kind of several', { url: `redis+ring://user:${password}@h` }],
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

  it.each([
    {
      url: `redis+sentinel://me:${password}%25@a:1,b,[::1]/my%2Fmaster?db=3`,
      endpoint: 'redis+sentinel://a:1,b:26379,[::1]:26379/my/master',
      node: 'redis://x:7/3',
    },
    {
      url: `rediss+cluster://me:${password}%25@a,b:2`,
      endpoint: 'rediss+cluster://a:6379,b:2',
      node: 'rediss://x:7',
    },
  ])('reads $endpoint, which shows no password', ({ url, endpoint, node }) => {
    const settings = resolveOptions({ url });
    expect(settings.endpoint).toBe(endpoint);
    if (settings.target.kind === 'standalone') throw new Error('it has several hosts');
    const reached = settings.target.nodeAt({ host: 'x', port: 7 });
    expect(reached.endpoint).toBe(node);
    expect(reached.clientOptions()).toMatchObject({ username: 'me', password: `${password}%` });
    expect(inspect(new RedisCounterStore({ url }), { depth: 20, showHidden: true })).not.toContain(password);
  });
});
