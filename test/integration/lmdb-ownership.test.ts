import { cp, mkdir, readdir, utimes } from 'node:fs/promises';
import path from 'node:path';
import { open } from 'lmdb';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LmdbLedger } from '../../src/ledgers/lmdb/lmdb-ledger.js';
import { ownerKey } from '../../src/ledgers/lmdb/rows.js';
import { temporaryFolder } from '../support/servers.js';
import { LedgerProcess, request } from './lmdb-support.js';

describe('the folder of an embedded ledger', () => {
  let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
  let folder: string;
  const processes: LedgerProcess[] = [];
  const hold = (where = folder) => {
    const started = new LedgerProcess('hold', where);
    processes.push(started);
    return started;
  };

  beforeEach(async () => {
    temporary = await temporaryFolder();
    folder = path.join(temporary.path, 'ledger');
  });
  afterEach(async () => {
    await Promise.all(processes.splice(0).map((one) => one.kill()));
    await temporary.remove();
  });

  it('has one owner when 10 processes start at once, and after kill -9 of it the next start wins', async () => {
    for (const round of [1, 2, 3]) {
      const starters = Array.from({ length: 10 }, () => hold());
      const said = await Promise.all(starters.map((one) => one.said()));
      expect(
        said.filter((line) => line === 'open'),
        `round ${round}: ${said.join('\n')}`,
      ).toHaveLength(1);
      for (const line of said.filter((one) => one !== 'open')) {
        expect(line).toContain('ledger_in_use');
        expect(line).toContain(folder);
        expect(line).toContain('Stop the other, or give another folder');
      }
      await starters[said.indexOf('open')]!.kill();
    }
    expect(await hold().said()).toBe('open');
  });

  it('belongs to a stopped process, too, and to nobody after a clean end', async () => {
    const first = hold();
    expect(await first.said()).toBe('open');
    first.signal('SIGSTOP');
    expect(await hold().said()).toContain('ledger_in_use');
    first.signal('SIGCONT');
    await first.finish();
    expect(await hold().said()).toBe('open');
  });

  it('cannot be opened twice in one process, and the first goes on', async () => {
    const first = await LmdbLedger.open({ folder });
    await first.reserve([request('group:a')]);
    for (const again of [folder, `${folder}/`, path.join(folder, '..', 'ledger')]) {
      await expect(LmdbLedger.open({ folder: again })).rejects.toMatchObject({ code: 'ledger_in_use' });
    }
    expect(await first.reserve([request('group:b')])).toMatchObject([{ kind: 'new' }]);
    await first.close();
    const second = await LmdbLedger.open({ folder });
    expect((await second.load(['group:a', 'group:b'])).map((entry) => entry?.ceiling)).toEqual([10, 10]);
    await second.close();
  });

  it('of 10 opens at once in one process, one succeeds', async () => {
    const opened = await Promise.allSettled(Array.from({ length: 10 }, () => LmdbLedger.open({ folder })));
    const ledgers = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    expect(ledgers).toHaveLength(1);
    expect(await ledgers[0]!.reserve([request('group:a')])).toMatchObject([{ kind: 'new' }]);
    await ledgers[0]!.close();
  });

  it('is protected when its path is longer than a socket may have', async () => {
    const long = path.join(temporary.path, ...Array.from({ length: 4 }, () => 'x'.repeat(80)));
    const first = hold(long);
    expect(await first.said()).toBe('open');
    expect(await hold(long).said()).toContain('ledger_in_use');
    await first.kill();
    expect(await hold(long).said()).toBe('open');
  });

  it('may have a name with a dot, or characters beyond ASCII', async () => {
    for (const name of ['data.v1', 'Größe 😀']) {
      const ledger = await LmdbLedger.open({ folder: path.join(folder, name) });
      await ledger.reserve([request('group:a')]);
      await ledger.close();
      expect(await readdir(path.join(folder, name))).toContain('data.mdb');
    }
  });

  it('can be copied while no process has it, or after kill -9, and the copy opened beside it', async () => {
    const first = hold();
    expect(await first.said()).toBe('open');
    await first.kill();
    const copy = path.join(temporary.path, 'copy');
    await mkdir(copy);
    await cp(path.join(folder, 'data.mdb'), path.join(copy, 'data.mdb'));
    expect(await Promise.all([hold().said(), hold(copy).said()])).toEqual(['open', 'open']);
  });

  it('a ledger whose folder was taken over writes nothing any more', async () => {
    const ledger = await LmdbLedger.open({ folder });
    await ledger.reserve([request('group:a')]);
    const store = open<Buffer, Buffer>({
      path: folder,
      noSubdir: false,
      encoding: 'binary',
      keyEncoding: 'binary',
      overlappingSync: false,
    });
    store.putSync(ownerKey, Buffer.from('owner-00000000-0000-4000-8000-000000000000.sock'));
    const refused = ledger.reserve([request('group:a', 1, { saw: { last: 10, remaining: 0 } })]);
    await expect(refused).rejects.toMatchObject({ code: 'ledger_in_use' });
    expect(await ledger.load(['group:a'])).toMatchObject([{ ceiling: 10 }]);
    await store.close();
    await ledger.close();
  });

  it('is cleared of the sockets that killed processes left behind', async () => {
    const left = hold();
    expect(await left.said()).toBe('open');
    await left.kill();
    const sockets = async () => (await readdir(folder)).filter((name) => name.endsWith('.sock'));
    const [stale] = await sockets();
    await utimes(path.join(folder, stale!), 0, 0);
    expect(await hold().said()).toBe('open');
    expect(await sockets()).not.toContain(stale);
    expect(await sockets()).toHaveLength(1);
  });
});
