import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { open } from 'lmdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LedgerNotice } from '../../src/core/ledger.js';
import { LmdbLedger } from '../../src/ledgers/lmdb/lmdb-ledger.js';
import {
  encodeMark,
  entryKey,
  gapKey,
  historyKey,
  lastGenerationKey,
  markKey,
  ownerKey,
  schemaKey,
  schemaVersion,
} from '../../src/ledgers/lmdb/rows.js';
import { temporaryFolder } from '../support/servers.js';
import { LedgerProcess, request } from './lmdb-support.js';

const everything = { from: 1, to: 1_000_000, limit: 100 };

describe('the storage of an embedded ledger', () => {
  let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
  let folder: string;
  let mounted: string | undefined;

  beforeEach(async () => {
    temporary = await temporaryFolder();
    folder = path.join(temporary.path, 'ledger');
  });
  afterEach(async () => {
    if (mounted !== undefined) execFileSync('umount', ['--lazy', mounted]);
    mounted = undefined;
    await temporary.remove();
  });

  /** A small file system of its own; false where this user may not mount one. */
  async function mount(options: string): Promise<boolean> {
    const place = path.join(temporary.path, 'disk');
    await mkdir(place);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', place], { stdio: 'ignore' });
    } catch {
      return false;
    }
    mounted = place;
    return true;
  }

  /** The files as another program would write them. */
  async function tamper(change: (store: ReturnType<typeof open<Buffer, Buffer>>) => void): Promise<void> {
    const store = open<Buffer, Buffer>({
      path: folder,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      overlappingSync: false,
    });
    change(store);
    await store.close();
  }

  it('survives a full disk: a clear error, nothing lost, and on it goes when there is space', async (context) => {
    if (!(await mount('size=6m'))) context.skip('this user may not mount a small file system');
    folder = path.join(mounted!, 'ledger');
    const ledger = await LmdbLedger.open({ folder });
    const notices: LedgerNotice['status'][] = [];
    ledger.onNotice((notice) => notices.push(notice.status));
    const ballast = path.join(mounted!, 'ballast');
    await writeFile(ballast, Buffer.alloc(3_500_000));
    // Long keys in random places: each batch needs more space than the ledger keeps free, so commits fail half-way, too.
    const name = (n: number) => `group:${(n * 7_919) % 100_003}-${'x'.repeat(200)}`;
    let kept = 0;
    const grow = async () => {
      const batch = Array.from({ length: 200 }, (_, n) => request(name(kept + n)));
      await ledger.reserve(batch);
      kept += 200;
    };
    const fill = async () => {
      for (let n = 0; n < 200; n += 1) await grow();
    };
    const full = { code: 'ledger_full', retryable: true, message: expect.stringContaining('Make space') };
    await expect(fill()).rejects.toMatchObject(full);
    for (let n = 0; n < 5; n += 1) await expect(grow()).rejects.toMatchObject(full);
    expect(kept).toBeGreaterThan(0);
    // With no byte left at all, too.
    await writeFile(`${ballast}2`, Buffer.alloc(6_000_000)).catch(() => undefined);
    await expect(ledger.reserve([request('group:small')])).rejects.toMatchObject(full);
    await expect(LmdbLedger.open({ folder: path.join(mounted!, 'other') })).rejects.toMatchObject(full);
    expect(notices).toEqual(['down']);
    const check = async (opened: LmdbLedger) => {
      const entries = await opened.load(Array.from({ length: kept }, (_, n) => name(n)));
      expect(entries.filter((entry) => entry?.ceiling === 10)).toHaveLength(kept);
    };
    await check(ledger);
    await rm(`${ballast}2`);
    await rm(ballast);
    await grow();
    await check(ledger);
    expect(notices).toEqual(['down', 'up']);
    expect((await ledger.list('group', { after: undefined, limit: 100_000 })).length).toBe(kept);
    await ledger.close();
    const again = await LmdbLedger.open({ folder });
    await check(again);
    await again.close();
  });

  it('a folder that cannot be written is a clear error', async (context) => {
    if (process.getuid?.() === 0) {
      if (!(await mount('ro,size=1m'))) context.skip('root may write everywhere, and may not mount here');
      folder = path.join(mounted!, 'ledger');
    } else {
      await mkdir(folder);
      await chmod(folder, 0o555);
    }
    const error = await LmdbLedger.open({ folder }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'ledger_unavailable', message: expect.stringContaining(folder) });
    expect(String(error)).toContain('make the folder writable');
  });

  it('a path that is a file, or goes through one, is a clear error, and the file is left alone', async () => {
    await writeFile(folder, 'mine');
    for (const place of [folder, path.join(folder, 'below')]) {
      const error = await LmdbLedger.open({ folder: place }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        code: 'invalid_argument',
        message: expect.stringContaining('give a folder'),
      });
    }
    expect(await readFile(folder, 'utf8')).toBe('mine');
    await expect(LmdbLedger.open({ folder: '/proc/no-such-folder' })).rejects.toMatchObject({
      code: 'ledger_unavailable',
    });
    await expect(LmdbLedger.open({ folder: '' })).rejects.toMatchObject({ code: 'invalid_argument' });
  });

  it('a data file that is damaged or not a ledger is a clear error, and is left alone', async () => {
    const sound = await LmdbLedger.open({ folder });
    for (let n = 0; n < 20_000; n += 500) {
      await sound.reserve(Array.from({ length: 500 }, (_, i) => request(`group:${n + i}`)));
    }
    await sound.close();
    const file = path.join(folder, 'data.mdb');
    const whole = await readFile(file);
    const wrongVersion = Buffer.from(whole);
    wrongVersion[28] = 7;
    const contents = [
      Buffer.from('short'),
      Buffer.from('not a ledger at all, '.repeat(2_000)),
      Buffer.alloc(50_000),
      whole.subarray(0, 4_096),
      whole.subarray(0, whole.length / 2),
      wrongVersion,
    ];
    for (const content of contents) {
      await writeFile(file, content);
      await expect(LmdbLedger.open({ folder })).rejects.toMatchObject({
        code: 'ledger_corrupt',
        message: expect.stringContaining(file),
      });
      expect((await readFile(file)).equals(content)).toBe(true);
    }
    await writeFile(file, whole);
    const again = await LmdbLedger.open({ folder });
    expect(await again.load(['group:19999'])).toMatchObject([{ ceiling: 10 }]);
    await again.close();
  });

  it('a ledger of a newer version is refused, and nothing is written', async () => {
    await (await LmdbLedger.open({ folder })).close();
    const newer = String(schemaVersion + 1);
    await tamper((store) => store.putSync(schemaKey, Buffer.from(newer)));
    const before = await readFile(path.join(folder, 'data.mdb'));
    await expect(LmdbLedger.open({ folder })).rejects.toMatchObject({
      code: 'schema_too_new',
      message: expect.stringContaining(`version ${newer}, and this program knows ${schemaVersion}`),
    });
    expect((await readFile(path.join(folder, 'data.mdb'))).equals(before)).toBe(true);
    await tamper((store) => store.putSync(schemaKey, Buffer.from('one')));
    await expect(LmdbLedger.open({ folder })).rejects.toMatchObject({ code: 'ledger_corrupt' });
  });

  it.each(['1', '2'])(
    'a ledger of version %s is upgraded when it is opened, and keeps what it holds',
    async (old) => {
      let ledger = await LmdbLedger.open({ folder });
      expect(await ledger.registerHistory('old')).toBe(1);
      await ledger.reserve([request('group:old')]);
      await ledger.recordGaps([
        { conversation: 'group:old', first: 1, last: 2, reason: 'abandoned', generation: 1 },
      ]);
      const held = async () => [
        await ledger.load(['group:old']),
        await ledger.list('group', { after: undefined, limit: 10 }),
        await ledger.gaps('group:old', everything),
        await ledger.registerHistory('old'),
        await ledger.completeMarks(['group:old']),
      ];
      const before = await held();
      await ledger.close();
      // That is all that older versions wrote otherwise: the bytes of their rows are as follows.
      await tamper((store) => {
        expect(store.get(entryKey('group:old'))).toHaveLength(31);
        expect(store.get(historyKey('old'))).toHaveLength(10);
        store.putSync(schemaKey, Buffer.from(old));
      });
      ledger = await LmdbLedger.open({ folder });
      expect(await held()).toEqual(before);
      await ledger.raiseCompleteMarks([{ conversation: 'group:old', completeUpTo: 2 }]);
      expect(
        await ledger.freeze(1, [{ conversation: 'group:old', word: { last: 3, remaining: 7 } }]),
      ).toEqual([true]);
      expect(await ledger.registerHistory('other')).toBe(2);
      expect(await ledger.registerHistory('old', { atLeast: 2 })).toBe(3);
      const [heldNow] = await ledger.load(['group:old']);
      await ledger.close();
      await tamper((store) => expect(store.get(schemaKey)?.toString()).toBe(String(schemaVersion)));
      ledger = await LmdbLedger.open({ folder });
      expect(await ledger.completeMarks(['group:old'])).toEqual([2]);
      expect(await ledger.load(['group:old'])).toEqual([heldNow]);
      expect(heldNow!.frozenUntilMs).toBeGreaterThan(0);
      expect(await ledger.generationsOf('old')).toEqual([1, 3]);
      expect((await ledger.keepAlive(3)).newest).toBe(3);
      await ledger.close();
    },
  );

  it('a ledger of version 1 that another process has is not upgraded under it', async () => {
    const owner = await LmdbLedger.open({ folder });
    await owner.close();
    await tamper((store) => store.putSync(schemaKey, Buffer.from('1')));
    const holder = new LedgerProcess('hold', folder);
    await holder.said();
    await tamper((store) => store.putSync(schemaKey, Buffer.from('1')));
    await expect(LmdbLedger.open({ folder })).rejects.toMatchObject({ code: 'ledger_in_use' });
    await holder.finish();
    await tamper((store) => expect(store.get(schemaKey)?.toString()).toBe('1'));
  });

  it('records of its own that make no sense are refused', async () => {
    await (await LmdbLedger.open({ folder })).close();
    await tamper((store) => store.putSync(ownerKey, Buffer.from('../../../etc/passwd')));
    await expect(LmdbLedger.open({ folder })).rejects.toMatchObject({ code: 'ledger_corrupt' });
    await tamper((store) => {
      store.removeSync(ownerKey);
      store.putSync(lastGenerationKey, Buffer.from([1, 2, 3]));
    });
    const ledger = await LmdbLedger.open({ folder });
    await expect(ledger.registerHistory('any')).rejects.toMatchObject({ code: 'ledger_corrupt' });
    await ledger.close();
  });

  it('an entry that was damaged is reported, not used, not overwritten; the others go on', async () => {
    const conversations = [
      'group:empty',
      'group:short',
      'group:bit',
      'group:moved',
      'group:format',
      'group:sound',
    ];
    let ledger = await LmdbLedger.open({ folder });
    await ledger.reserve(conversations.map((conversation) => request(conversation)));
    await ledger.close();
    const damaged: Buffer[] = [];
    await tamper((store) => {
      const row = store.get(entryKey('group:sound'))!;
      const bit = Buffer.from(store.get(entryKey('group:bit'))!);
      bit[6]! ^= 1;
      const format = Buffer.from(row);
      format[0] = 9;
      damaged.push(Buffer.alloc(0), row.subarray(0, 20), bit, row, format);
      for (const [n, value] of damaged.entries()) store.putSync(entryKey(conversations[n]!), value);
    });
    ledger = await LmdbLedger.open({ folder });
    const outcomes = await ledger.reserve(conversations.map((conversation) => request(conversation, 2)));
    expect(outcomes.map((outcome) => outcome.status)).toEqual([...damaged.map(() => 'corrupt'), 'reserved']);
    expect(outcomes[2]).toMatchObject({ found: expect.stringContaining('checksum') });
    const words = [{ conversation: 'group:bit', word: { last: 5, remaining: 5 } }];
    expect(await ledger.freeze(1, words)).toEqual([false]);
    expect(await ledger.handBack(1, words)).toEqual([false]);
    const corrupt = { code: 'ledger_corrupt', conversation: 'group:bit' };
    await expect(ledger.load(['group:sound', 'group:bit'])).rejects.toMatchObject(corrupt);
    await expect(ledger.list('group', { after: undefined, limit: 10 })).rejects.toMatchObject(corrupt);
    expect(await ledger.load(['group:sound'])).toMatchObject([{ ceiling: 20 }]);
    await ledger.close();
    await tamper((store) => {
      for (const [n, value] of damaged.entries())
        expect(store.get(entryKey(conversations[n]!))).toEqual(value);
    });
  });

  it('a gap that was damaged is reported', async () => {
    let ledger = await LmdbLedger.open({ folder });
    const gap = { conversation: 'group:a', reason: 'reply_lost', generation: 1 } as const;
    await ledger.recordGaps([
      { ...gap, first: 1, last: 2 },
      { ...gap, first: 5, last: 6 },
    ]);
    await ledger.close();
    await tamper((store) => {
      const key = gapKey({ ...gap, first: 5, last: 6 });
      const row = Buffer.from(store.get(key)!);
      row[1] = 77;
      store.putSync(key, row);
    });
    ledger = await LmdbLedger.open({ folder });
    expect(await ledger.gaps('group:a', { ...everything, to: 4 })).toHaveLength(1);
    const damaged = { code: 'ledger_corrupt', conversation: 'group:a' };
    await expect(ledger.gaps('group:a', everything)).rejects.toMatchObject(damaged);
    await ledger.close();
  });

  it('a complete mark that was damaged is reported, and not overwritten; nothing of its batch is raised', async () => {
    const [sound, bit, moved, high] = ['group:sound', 'group:bit', 'group:moved', 'group:high'] as const;
    const marks = [sound, bit].map((conversation) => ({ conversation, completeUpTo: 5 }));
    let ledger = await LmdbLedger.open({ folder });
    await ledger.raiseCompleteMarks(marks);
    await ledger.close();
    const damaged = new Map<string, Buffer>();
    await tamper((store) => {
      const row = store.get(markKey(sound))!;
      const flipped = Buffer.from(store.get(markKey(bit))!);
      flipped[6]! ^= 1;
      damaged
        .set(bit, flipped)
        .set(moved, row)
        .set(high, encodeMark(markKey(high), 1_000_000_000_000));
      for (const [name, value] of damaged) store.putSync(markKey(name), value);
    });
    ledger = await LmdbLedger.open({ folder });
    for (const conversation of damaged.keys()) {
      const corrupt = { code: 'ledger_corrupt', conversation };
      await expect(ledger.completeMarks([sound, conversation])).rejects.toMatchObject(corrupt);
      const both = [sound, conversation].map((name) => ({ conversation: name, completeUpTo: 9 }));
      const other = ledger.raiseCompleteMarks([{ conversation: `${conversation}-other`, completeUpTo: 1 }]);
      await expect(ledger.raiseCompleteMarks(both)).rejects.toMatchObject(corrupt);
      // Calls that share the commit go on.
      await other;
      expect(await ledger.completeMarks([sound, `${conversation}-other`])).toEqual([5, 1]);
    }
    await ledger.close();
    await tamper((store) => {
      for (const [name, value] of damaged) expect(store.get(markKey(name))).toEqual(value);
    });
  });

  it('names that no key can hold are refused, and the batch they are in is not written', async () => {
    const ledger = await LmdbLedger.open({ folder });
    const invalid = { code: 'invalid_argument' };
    const long = 'x'.repeat(1_901);
    await expect(ledger.reserve([request('group:a'), request(long)])).rejects.toMatchObject(invalid);
    await expect(ledger.registerHistory(long)).rejects.toMatchObject(invalid);
    await expect(ledger.registerHistory('')).rejects.toMatchObject(invalid);
    for (const name of ['', long]) {
      const marks = ['group:a', name].map((conversation) => ({ conversation, completeUpTo: 1 }));
      await expect(ledger.raiseCompleteMarks(marks)).rejects.toMatchObject(invalid);
      await expect(ledger.completeMarks(['group:a', name])).rejects.toMatchObject(invalid);
    }
    expect(await ledger.completeMarks(['group:a'])).toEqual([undefined]);
    expect(await ledger.load(['group:a'])).toEqual([undefined]);
    // The longest name that fits has room for the keys of its gaps, too.
    const longest = 'x'.repeat(1_900);
    await ledger.reserve([request(longest)]);
    expect(await ledger.reserve([request(longest, 2)])).toMatchObject([{ kind: 'takeover' }]);
    expect(await ledger.gaps(longest, everything)).toHaveLength(1);
    await ledger.close();
  });

  it('takes about a hundred bytes for a conversation', async () => {
    const ledger = await LmdbLedger.open({ folder });
    for (let n = 0; n < 20_000; n += 500) {
      await ledger.reserve(
        Array.from({ length: 500 }, (_, i) => request(`private:user${n + i}:user${n + i + 1}`)),
      );
    }
    await ledger.close();
    expect((await stat(path.join(folder, 'data.mdb'))).size / 20_000).toBeLessThan(200);
  });
});
