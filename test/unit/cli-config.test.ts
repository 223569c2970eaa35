import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Environment,
  type Flags,
  loadSettings,
  requireServers,
  requireStores,
} from '../../src/cli/config.js';
import { temporaryFolder } from '../support/servers.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  folder = await temporaryFolder();
});
afterEach(() => folder.remove());

function load(flags: Flags = {}, environment: Environment = {}) {
  return loadSettings(flags, environment, folder.path);
}

async function file(content: unknown, name = 'tidemark.config.json'): Promise<void> {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  await writeFile(path.join(folder.path, name), text);
}

describe('which stores', () => {
  const redis = 'redis://a';
  const ledger = 'mysql://a/b';

  test('none anywhere: says what to give', async () => {
    const settings = await load();
    expect(settings.stores).toBeUndefined();
    expect(() => requireStores(settings)).toThrow(
      /invalid_argument: no store is named; give --data DIR, or --redis URL/,
    );
  });

  test('flag before environment before file', async () => {
    await file({ data: 'from-file' });
    const embedded = (name: string) => ({ kind: 'embedded', folder: path.join(folder.path, name) });
    expect((await load()).stores).toEqual(embedded('from-file'));
    expect((await load({}, { TIDEMARK_DATA: 'from-env' })).stores).toEqual(embedded('from-env'));
    expect((await load({ data: 'from-flag' }, { TIDEMARK_DATA: 'from-env' })).stores).toEqual(
      embedded('from-flag'),
    );
  });

  test('a higher level decides the kind of store', async () => {
    await file({ data: 'd' });
    const stores = { kind: 'servers', redis, ledger };
    expect((await load({}, { TIDEMARK_REDIS: redis, TIDEMARK_LEDGER: ledger })).stores).toEqual(stores);
    expect((await load({ redis, ledger }, { TIDEMARK_DATA: 'd' })).stores).toEqual(stores);
    const embedded = await load({ data: 'd' }, { TIDEMARK_REDIS: redis, TIDEMARK_LEDGER: ledger });
    expect(embedded.stores?.kind).toBe('embedded');
  });

  test('each server comes from the highest level that names it', async () => {
    await file({ redis: 'redis://file', ledger: 'mysql://file/b' });
    const { stores } = await load({ redis }, { TIDEMARK_LEDGER: 'mysql://env/b' });
    expect(stores).toEqual({ kind: 'servers', redis, ledger: 'mysql://env/b' });
  });

  test('an empty variable is not set', async () => {
    expect((await load({}, { TIDEMARK_DATA: '', TIDEMARK_REDIS: '' })).stores).toBeUndefined();
  });

  test('one server alone: says which one is missing', async () => {
    const both = async (flags: Flags) => {
      const stores = requireStores(await load(flags));
      return requireServers(stores as Extract<typeof stores, { kind: 'servers' }>);
    };
    await expect(both({ redis })).rejects.toThrow(/server of the ledger is not named; give --ledger/);
    await expect(both({ ledger })).rejects.toThrow(/server of the counters is not named; give --redis/);
  });

  test('a relative folder of a config file is beside that file', async () => {
    const elsewhere = await temporaryFolder();
    await writeFile(path.join(elsewhere.path, 'c.json'), '{"data":"d"}');
    const { stores } = await load({ config: path.join(elsewhere.path, 'c.json') });
    expect(stores).toEqual({ kind: 'embedded', folder: path.join(elsewhere.path, 'd') });
    await elsewhere.remove();
  });
});

describe('refused', () => {
  const refused: [string, Flags, Environment, RegExp][] = [
    ['both kinds as flags', { data: 'd', redis: 'redis://a' }, {}, /--data and --redis exclude each other/],
    [
      'both kinds in the environment',
      {},
      { TIDEMARK_DATA: 'd', TIDEMARK_LEDGER: 'mysql://a/b' },
      /TIDEMARK_DATA and TIDEMARK_LEDGER exclude each other/,
    ],
    ['an empty folder', { data: '' }, {}, /--data is empty/],
    [
      'servers that are swapped',
      { redis: 'mysql://u:secret@h/d' },
      {},
      /--redis must be a URL that begins with redis:/,
    ],
    [
      'a ledger that is no URL',
      {},
      { TIDEMARK_LEDGER: 'secret' },
      /TIDEMARK_LEDGER must be a URL that begins with mysql:/,
    ],
    ['a prefix without Redis', { data: 'd', prefix: 'x' }, {}, /--prefix is for keys in Redis/],
    [
      'a config file that is missing',
      { config: 'none.json' },
      {},
      /config file none.json cannot be read \(ENOENT\)/,
    ],
  ];
  test.each(refused)('%s', async (_, flags, environment, message) => {
    const failure = await load(flags, environment).then(
      () => undefined,
      (error: Error) => error,
    );
    expect(failure?.message).toMatch(message);
    expect(failure?.message).not.toContain('secret');
    expect(failure).toHaveProperty('code', 'invalid_argument');
  });

  const wrongFiles: [string, unknown, RegExp][] = [
    ['not JSON', '{\n  "redis": "redis://u:secret@h", oops}', /is not JSON/],
    ['not an object', '["secret"]', /must hold one JSON object/],
    ['an unknown key', { datas: 'secret' }, /unknown key "datas"; known are data, redis/],
    ['an inherited key', { toString: 'secret' }, /unknown key "toString"/],
    ['a wrong type', { data: 5 }, /"data" in the config file .* must be a text/],
    ['both kinds', { data: 'd', redis: 'redis://a' }, /"data" in .* and "redis" in .* exclude each other/],
    ['a timeout of nothing', { timeoutMs: 0 }, /"timeoutMs" .* from 1 to 600000/],
    ['a patience that is too long', { ledgerPatienceMs: 60_001 }, /"ledgerPatienceMs" .* from 10 to 60000/],
    ['an outage rule', { ledgerOutage: 'wait' }, /"ledgerOutage" .* must be "continue" or "refuse"/],
    ['a policy without kind', { reservation: { size: 5 } }, /"reservation" .* must have the "kind"/],
    ['a policy that lacks a size', { reservation: { kind: 'fixed' } }, /needs a whole number "size"/],
    ['a policy with more', { reservation: { kind: 'fixed', size: 5, max: 6 } }, /unknown key "max"/],
    [
      'a policy of a type',
      { reservationByType: { group: { kind: 'x' } } },
      /the policy of "group" must have the "kind"/,
    ],
  ];
  test.each(wrongFiles)('a config file: %s', async (_, content, message) => {
    await file(content);
    const failure = await load().then(
      () => undefined,
      (error: Error) => error,
    );
    expect(failure?.message).toMatch(message);
    expect(failure?.message).not.toContain('secret');
    expect(failure).toHaveProperty('code', 'invalid_argument');
  });
});

test('everything else, flag before file', async () => {
  const policy = { kind: 'fixed', size: 10 };
  const rest = {
    ledgerOutage: 'refuse',
    ledgerPatienceMs: 500,
    reservation: policy,
    reservationByType: { group: policy },
  };
  await file({ redis: 'redis://a', ledger: 'mysql://a/b', prefix: 'file', timeoutMs: 900, ...rest });
  expect(await load()).toMatchObject({ prefix: 'file', tuning: { timeoutMs: 900, ...rest } });
  expect(await load({ prefix: 'flag', timeout: 800 })).toMatchObject({
    prefix: 'flag',
    tuning: { timeoutMs: 800 },
  });
});

test.each([
  ['redis://u:secret@h:1', 'redis://…@h:1'],
  ['redis:/u:secret@h:1', 'redis:/…@h:1'],
  ['mysql://u:sec/ret@h', 'mysql://…@h'],
  ['a/b:c@d.json', 'a/b:c@d.json'],
])('a URL that is given as the config file shows no password: %s', async (config, shown) => {
  await expect(load({ config })).rejects.toThrow(`the config file ${shown} cannot be read (ENOENT)`);
});
