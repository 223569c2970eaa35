import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { TidemarkError } from '../../src/errors.js';
import { migrate } from '../../src/ledgers/mysql/migrate.js';
import { MySqlLedger, type MySqlLedgerOptions } from '../../src/ledgers/mysql/mysql-ledger.js';
import { mySqlSettings } from '../../src/ledgers/mysql/options.js';
import { errorOf } from './mysql-support.js';

const secret = 'h0rse-b@ttery';

function refusal(target: unknown): TidemarkError {
  try {
    new MySqlLedger(target as string);
  } catch (error) {
    if (error instanceof TidemarkError) return error;
    throw error;
  }
  throw new Error(`accepted: ${inspect(target)}`);
}

describe('what a MySQL ledger refuses', () => {
  const url = 'mysql://u@127.0.0.1/db';
  const refused: [what: string, target: unknown, message: string][] = [
    ['nothing', undefined, 'give a URL or an object'],
    ['null', null, 'give a URL or an object'],
    ['no place', {}, 'give either url or connection'],
    ['two places', { url, connection: { host: 'h', database: 'd' } }, 'give either url or connection'],
    ['a bad URL', `mysql://u:${secret}@:::/db`, 'the URL cannot be read'],
    ['a bad escape', `mysql://u:${secret}%@h/db`, 'the URL cannot be read'],
    ['another scheme', `postgres://u:${secret}@h/db`, 'must begin with mysql://'],
    ['no database', `mysql://u:${secret}@h`, 'no database is named'],
    ['an unknown parameter', `mysql://u:${secret}@h/db?sslmode=x`, 'unknown parameter sslmode'],
    ['a broken ssl object', `mysql://u:${secret}@h/db?ssl={`, 'the URL parameter ssl'],
    ['an unknown ssl profile', `mysql://u:${secret}@h/db?ssl=nonsense`, 'nonsense'],
    ['an unknown option', { url, pool: 3 }, 'pool is not an option'],
    [
      'a driver option that is ours',
      { connection: { database: 'd', multipleStatements: true } },
      'multipleStatements is not',
    ],
    ['too small a pool', { url, poolSize: 0 }, 'poolSize must be a whole number from 1 to 64'],
    ['half a connection', { url, poolSize: 1.5 }, 'poolSize'],
    [
      'too long a timeout',
      { url, queryTimeoutMs: 600_001 },
      'queryTimeoutMs must be a whole number from 100 to 600000',
    ],
    ['a timeout of text', { url, connectTimeoutMs: '1s' }, 'connectTimeoutMs'],
    ['no boolean', { url, migrate: 'no' }, 'migrate must be true or false'],
  ];
  it.each(refused)('%s', (_what, target, message) => {
    const error = refusal(target);
    expect(error.code).toBe('invalid_argument');
    expect(error.message).toContain(message);
    expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(secret);
  });

  it('migrate refuses the same', async () => {
    expect((await errorOf(migrate('mysql://h'))).code).toBe('invalid_argument');
  });
});

describe('what a MySQL ledger makes of its options', () => {
  it('a URL with escapes, IPv6 and a socket', () => {
    const { driver, server } = mySqlSettings(
      'mysql://us%40er:p%3Ass%2Fw@[::1]:3307/my%20db?localAddress=::1',
    );
    expect(driver).toMatchObject({
      host: '::1',
      port: 3307,
      user: 'us@er',
      password: 'p:ss/w',
      database: 'my db',
    });
    expect(driver).toMatchObject({ localAddress: '::1', connectionLimit: 4, connectTimeout: 2_000 });
    expect(server).toBe('::1:3307/my db');
    expect(mySqlSettings('mariadb://h/db?socketPath=/run/x.sock').server).toBe('/run/x.sock/db');
    expect(mySqlSettings('mysql://h/db').driver.port).toBe(3306);
  });

  it('TLS: true checks the host name, too; objects and profiles pass through', () => {
    const ssl = (text: string) => mySqlSettings(`mysql://h/db?ssl=${encodeURIComponent(text)}`).driver.ssl;
    expect(ssl('true')).toEqual({ rejectUnauthorized: true, verifyIdentity: true });
    expect(ssl('{"ca":"x","rejectUnauthorized":false}')).toEqual({ ca: 'x', rejectUnauthorized: false });
    expect(ssl('Amazon RDS')).toBe('Amazon RDS');
    expect(ssl('false')).toBeUndefined();
    const options: MySqlLedgerOptions = { connection: { host: 'h', database: 'd', ssl: { ca: 'y' } } };
    expect(mySqlSettings(options).driver.ssl).toEqual({ ca: 'y' });
  });

  it('a lock wait is shorter than the timeout of the statement that waits', () => {
    const wait = (queryTimeoutMs: number) =>
      mySqlSettings({ url: 'mysql://h/db', queryTimeoutMs }).lockWaitSeconds;
    expect([500, 2_000, 4_000, 5_000, 60_000].map(wait)).toEqual([1, 1, 2, 3, 3]);
  });
});
