/**
 * Rows that somebody else has written into the folder of an embedded ledger: a clear error of that conversation, nothing
 * overwritten, nobody else disturbed, and no number at or below what was issued comes again.
 */

import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openEmbedded } from '../../src/open.js';
import type { SequenceGenerator } from '../../src/sequence-generator.js';
import { temporaryFolder } from '../support/servers.js';
import { clear } from './hostile.js';
import { type FolderPoison, folderPoisons, inFolder, plantInFolder } from './hostile-stores.js';
import {
  type CallName,
  callNames,
  callOf,
  endingCalls,
  expectExplained,
  expectSound,
  Used,
  use,
  useAbove,
} from './used-conversations.js';

const callTimeoutMs = 10_000;
/** What a call may take beyond its deadline while the process is held up. */
const slackMs = 2_000;
const ofAnother = 'a generation that was never registered';
const ofConversations = folderPoisons.filter(
  ({ table, name }) => table !== 'generation' && table !== 'schema' && name !== ofAnother,
);
const ofAll = folderPoisons.filter(({ table }) => table === 'generation' || table === 'schema');
/** Where each poison of a whole ledger is told of, and with which code; undefined where everybody goes on. */
const endsOfAll: Readonly<Record<string, string | undefined>> = {
  'generation: last generation: nothing': 'call ledger_corrupt',
  'generation: last generation: one byte': 'call ledger_corrupt',
  'generation: last generation: zeros': 'call ledger_corrupt',
  'generation: last generation: text': 'call ledger_corrupt',
  'generation: last generation: half a megabyte': 'call ledger_corrupt',
  'generation: last generation: another version': 'call ledger_corrupt',
  'generation: the greatest generation of all': 'call ledger_corrupt',
  'generation: the last generation is 0': 'call ledger_corrupt',
  // Of a history that nobody has any more.
  'generation: a history with the greatest generation': undefined,
  'schema: a newer version': 'open schema_too_new',
  'schema: a version of nothing': 'open ledger_corrupt',
  'schema: a version of garbage': 'open ledger_corrupt',
  'schema: version 0': 'open ledger_corrupt',
  'schema: a fraction of a version': 'open ledger_corrupt',
  'schema: an owner that leads elsewhere': 'open ledger_corrupt',
};

let temporary: Awaited<ReturnType<typeof temporaryFolder>>;

beforeEach(async () => {
  temporary = await temporaryFolder();
});
afterEach(() => temporary.remove());

function open(folder: string, timeoutMs = callTimeoutMs): Promise<SequenceGenerator> {
  return openEmbedded({ folder, timeoutMs, reservation: { kind: 'fixed', size: 10 } });
}

function valueAt(folder: string, { key }: FolderPoison, conversation: string): Promise<string | undefined> {
  return inFolder(folder, (store) => store.get(key(conversation))?.toString('hex'));
}

describe('hostile rows in the folder of a ledger', () => {
  it.each([true, false])('each of them, with every call, used before: %s', async (isUsed) => {
    const folder = path.join(temporary.path, 'ledger');
    const bad = ofConversations.map((poison, index) => ({ poison, used: new Used(`bad-${index}`) }));
    const sound = [new Used('sound'), new Used('other')];
    const before = await open(folder);
    await Promise.all(
      [...(isUsed ? bad.map(({ used }) => used) : []), ...sound].map((used) => use(before, used)),
    );
    await before.close();
    // Their holder has ended.
    for (const used of [...bad.map((one) => one.used), ...sound]) used.takes.length = 0;
    const replaced = await Promise.all(bad.map(({ poison, used }) => valueAt(folder, poison, used.key)));
    for (const { poison, used } of bad) await plantInFolder(folder, poison, used.key);
    const planted = await Promise.all(bad.map(({ poison, used }) => valueAt(folder, poison, used.key)));

    const poisoned = await open(folder);
    await Promise.all([
      ...bad.flatMap((one) => callNames.map((name) => expectClear(poisoned, name, one))),
      ...sound.map((used) => expectSound(poisoned, used)),
    ]);
    await poisoned.close();
    for (const [index, { poison, used }] of bad.entries()) {
      if (poison.plausible) continue;
      expect(await valueAt(folder, poison, used.key), poison.name).toBe(planted[index]);
    }
    // What looks as if it were ours may have been gone on from: the row before it would be one of an earlier time.
    const repairable = bad.filter(({ poison }) => !poison.plausible);
    for (const { poison, used } of repairable)
      await restore(folder, { poison, used, row: replaced[bad.findIndex((one) => one.used === used)] });
    const again = await open(folder);
    const goesOn = [...repairable.map(({ used }) => used), ...sound];
    await Promise.all(goesOn.map((used) => useAbove(again, used)));
    for (const used of goesOn) await expectExplained(again, used);
    for (const { used, poison } of bad)
      expect(new Set(used.numbers).size, poison.name).toBe(used.numbers.length);
    await again.close();
  });

  it(`${ofAnother}: everybody goes on above it`, async () => {
    const folder = path.join(temporary.path, 'ledger');
    const used = [new Used('bad'), new Used('sound')];
    for (let round = 0; round < 3; round += 1) {
      const one = await open(folder);
      for (const of of used) await use(one, of);
      for (const of of used) await expectExplained(one, of);
      if (round > 0) expect((await one.inspect(used[0]!.of)).generation).toBeGreaterThan(4711);
      await one.close();
      const poison = folderPoisons.find(({ name }) => name === ofAnother)!;
      // Only where nothing was issued above its ceiling.
      if (round === 0) await plantInFolder(folder, poison, used[0]!.key);
    }
  });

  it.each(ofAll)('$table: $name', async (poison) => {
    const folder = path.join(temporary.path, 'ledger');
    const used = new Used('all');
    const before = await open(folder);
    await use(before, used);
    await before.close();
    const sound = await valueAt(folder, poison, used.key);
    await plantInFolder(folder, poison, used.key);
    const planted = await valueAt(folder, poison, used.key);
    // What keeps everybody from going on is told at the deadline.
    const startedAtMs = performance.now();
    let at = 'open';
    const error = await open(folder, 500).then(
      async (opened) => {
        at = 'call';
        const failure = await callOf(opened, 'nextMany', used, 'm');
        await opened.close();
        return failure;
      },
      (thrown: unknown) => clear(thrown),
    );
    expect(performance.now() - startedAtMs).toBeLessThan(500 + slackMs);
    const name = `${poison.table}: ${poison.name}`;
    expect(Object.keys(endsOfAll)).toContain(name);
    expect(error && `${at} ${error.code}`, error?.message).toBe(endsOfAll[name]);
    if (error !== undefined) {
      expect(error.message).not.toMatch(/\p{Cc}/u);
      expect(await valueAt(folder, poison, used.key)).toBe(planted);
      await restore(folder, { poison, used, row: sound });
    }
    const after = await open(folder);
    await useAbove(after, used);
    await expectExplained(after, used);
    await after.close();
  });
});

/** Puts back what was there before a poison, undefined for nothing. */
async function restore(
  folder: string,
  {
    poison,
    used,
    row,
  }: { readonly poison: FolderPoison; readonly used: Used; readonly row: string | undefined },
): Promise<void> {
  await inFolder(folder, (store) => {
    if (row === undefined) store.removeSync(poison.key(used.key));
    else store.putSync(poison.key(used.key), Buffer.from(row, 'hex'));
  });
}

/** It succeeds, or says what is wrong with which conversation. Either ends by its deadline. */
async function expectClear(
  sequences: SequenceGenerator,
  name: CallName,
  { poison, used }: { readonly poison: FolderPoison; readonly used: Used },
): Promise<void> {
  const startedAtMs = performance.now();
  const error = await callOf(sequences, name, used, 'm');
  expect(performance.now() - startedAtMs, `${name} with ${poison.name}`).toBeLessThan(
    callTimeoutMs + slackMs,
  );
  if (error === undefined) return;
  const what = `${name} with ${poison.table}: ${poison.name}: ${error.message}`;
  expect(error.message, what).toContain(used.key);
  expect(error.conversation, what).toBe(used.key);
  expect(error.message, what).not.toMatch(/\p{Cc}/u);
  if (error.code !== 'ledger_corrupt') expect(endingCalls, what).toContain(name);
}
