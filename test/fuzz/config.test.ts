/** Config files, environment and flags: settings that can be used, or a clear error that repeats no value. */

import { execFileSync } from 'node:child_process';
import { open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Environment, type Flags, loadSettings } from '../../src/cli/config.js';
import { checkConfigFile } from '../../src/cli/config-file.js';
import { MemoryCounterStore } from '../../src/counters/memory/memory-counter-store.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import { seed } from '../support/runs.js';
import { temporaryFolder } from '../support/servers.js';
import { anyText, errorOf, expectNoPollution, fuzzed, rejectionOf, secret, timeoutMs } from './hostile.js';

const known = [
  ...['data', 'redis', 'ledger', 'prefix', 'timeoutMs', 'ledgerOutage', 'ledgerPatienceMs', 'reservation'],
  ...['reservationByType', 'fenceCheckMs', 'idleAfterMs'],
];
const names = fc.constantFrom(
  ...known,
  '__proto__',
  'constructor',
  'toString',
  'Data',
  '',
  'x'.repeat(3_000),
);
const url = fc.constantFrom(
  `redis://u:${secret}@h`,
  `mysql://u:${secret}@h/d`,
  `rediss+cluster://:${secret}@a,b`,
  `http://u:${secret}@h`,
  `u:${secret}@h`,
);
const policy = fc.oneof(
  fc.record({ kind: fc.constantFrom('fixed', 'adaptive', 'toString'), size: fc.jsonValue() }),
  fc.constant({ kind: 'fixed', size: 10 }),
  fc.constant({ kind: 'adaptive', initial: 1, max: 10, growBelowMs: 1, shrinkAboveMs: 2 }),
  fc.dictionary(fc.constantFrom('kind', '__proto__', 'size'), fc.jsonValue()),
);
const value: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue(),
  anyText,
  url,
  policy,
  fc.dictionary(fc.constantFrom('group', '__proto__', 'constructor'), policy),
  fc.constantFrom<unknown[]>(0, 1, 100, 1_000, 600_001, 1e308, 0.5, 'continue', 'refuse', './d', true),
);
/** As text, because an object literal cannot hold a key twice, or one that is called __proto__. */
const objectText = fc
  .array(fc.tuple(names, value), { maxLength: 4 })
  .map(
    (entries) =>
      `{${entries.map(([name, of]) => `${JSON.stringify(name)}:${JSON.stringify(of)}`).join(',')}}`,
  );
const garbage = fc.oneof(
  objectText.chain((text) => fc.nat(text.length).map((end) => text.slice(0, end))),
  fc.tuple(objectText, anyText).map(([text, more]) => text + more),
  fc.jsonValue().map((json) => JSON.stringify(json)),
  anyText,
  fc.constantFrom('[', '{"a":').map((part) => part.repeat(100_000)),
);

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

const load = (flags: Flags = {}, environment: Environment = {}) =>
  loadSettings(flags, environment, folder.path);

describe(`settings of the command, hostile, seed ${seed}`, () => {
  it('a config file of any text: settings that a generator takes, or a clear error', () => {
    const stores = { counters: new MemoryCounterStore(), ledger: new MemoryLedger() };
    fc.assert(
      fc.property(fc.oneof(objectText, garbage), (text) => {
        let content: ReturnType<typeof checkConfigFile> | undefined;
        const error = errorOf(() => {
          content = checkConfigFile(text, 'c.json');
        });
        expectNoPollution();
        if (error !== undefined) {
          expect(error.code).toBe('invalid_argument');
          expect(error.message).toContain('c.json');
          return;
        }
        expect(Object.keys(content!).every((key) => known.includes(key))).toBe(true);
        const { data: _, redis: __, ledger: ___, prefix: ____, ...tuning } = content!;
        // Whatever is left to be refused is refused by the generator, as clearly.
        const refused = errorOf(() => new SequenceGenerator({ ...stores, ...tuning }));
        if (refused !== undefined) expect(refused.message).toMatch(/reservation/);
      }),
      fuzzed(),
    );
  });

  it(
    'a config file of any bytes, flags and environment of any text: settings or a clear error',
    async () => {
      const bytes = fc.oneof(
        objectText.map((text) => Buffer.from(text)),
        fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array)),
        fc.tuple(objectText, fc.uint8Array({ minLength: 1, maxLength: 3 })).map(([text, array]) => {
          const middle = Math.floor(text.length / 2);
          return Buffer.concat([
            Buffer.from(text.slice(0, middle)),
            Buffer.from(array),
            Buffer.from(text.slice(middle)),
          ]);
        }),
        objectText.map((text) => Buffer.from(`\ufeff${text}`, 'utf16le')),
        objectText.map((text) => Buffer.from(`\ufeff${text}`)),
      );
      const given = fc.option(fc.oneof(anyText, url), { nil: undefined });
      const level = fc.record({ data: given, redis: given, ledger: given });
      await fc.assert(
        fc.asyncProperty(bytes, level, level, given, async (file, flags, environment, prefix) => {
          await writeFile(path.join(folder.path, 'fuzz.json'), file);
          const asked = { ...defined(flags), ...defined({ prefix }), config: 'fuzz.json' };
          const { data, redis, ledger } = environment;
          const variables = { TIDEMARK_DATA: data, TIDEMARK_REDIS: redis, TIDEMARK_LEDGER: ledger };
          const error = await rejectionOf(async () => {
            const { stores } = await load(asked, variables);
            if (stores?.kind === 'embedded') expect(path.isAbsolute(stores.folder)).toBe(true);
            if (stores?.kind === 'servers') expect(stores.redis ?? stores.ledger).toMatch(/^[a-z+]+:\/\//);
            // What was read is what was written.
            expect(file.equals(Buffer.from(file.toString()))).toBe(true);
          });
          if (error !== undefined) expect(error.code).toBe('invalid_argument');
          expectNoPollution();
        }),
        fuzzed(0.3),
      );
    },
    timeoutMs(5),
  );

  it('paths of config files that lead to anything: settings or a clear error', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(anyText, fc.constantFrom('.', '..', 'x/y', '/proc/self/mem')),
        async (config) => {
          const error = await rejectionOf(() => load({ config }));
          if (config !== '') expect(error?.code).toBe('invalid_argument');
        },
      ),
      fuzzed(0.1),
    );
  });

  it('a file without end, and a huge one, are refused before they are read', async () => {
    const huge = path.join(folder.path, 'huge.json');
    const file = await open(huge, 'w');
    await file.truncate(20_000_000_000);
    await file.close();
    const before = process.memoryUsage().arrayBuffers;
    for (const config of ['/dev/zero', huge]) {
      const error = await rejectionOf(() => load({ config }));
      expect(error?.message).toContain('is larger than 1048576 bytes');
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50_000_000);
    }
  });

  it('a pipe is read like a file', async () => {
    const pipe = path.join(folder.path, 'pipe.json');
    execFileSync('mkfifo', [pipe]);
    const writing = writeFile(pipe, '{"data":"d"}');
    expect((await load({ config: pipe })).stores).toEqual({
      kind: 'embedded',
      folder: path.join(folder.path, 'd'),
    });
    await writing;
  });
});

function defined(values: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter(([, of]) => of !== undefined)) as Record<
    string,
    string
  >;
}
