/** The Redis protocol of the server, spoken by real clients, and by nobody that a client should be. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { afterEach, describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import { LmdbLedger } from '../../src/ledgers/lmdb/lmdb-ledger.js';
import { openEmbedded } from '../../src/open.js';
import { refusalOf } from '../../src/server/resp/refusals.js';
import { exchange, respCommand, respCommands } from '../support/resp.js';
import { temporaryFolder } from '../support/servers.js';
import { Started } from '../support/started.js';
import { type StartServerOptions, startServer } from '../support/started-server.js';

const run = promisify(execFile);
const python = '/usr/bin/python3';
const hasPythonClient =
  existsSync(python) && (await run(python, ['-c', 'import redis']).then(Boolean, () => false));

const started = new Started();
afterEach(() => started.stop());

async function start(options: StartServerOptions = {}): Promise<number> {
  return started.add(await startServer(options)).port('resp');
}

describe('real clients', () => {
  it('node-redis, with both protocols', async () => {
    const port = await start();
    for (const RESP of [2, 3] as const) {
      const redis = createClient({ url: `redis://127.0.0.1:${port}`, RESP });
      await redis.connect();
      const key = `seq:group:node-${RESP}`;
      expect(await redis.get(key)).toBeNull();
      expect(await redis.exists(key)).toBe(0);
      const numbers = await Promise.all(Array.from({ length: 500 }, () => redis.incr(key)));
      expect(numbers).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
      expect(await redis.incrBy(key, 10)).toBe(510);
      expect(await redis.mGet([key, 'never'])).toEqual(['510', null]);
      expect(await redis.exists([key, 'never'])).toBe(1);
      await expect(redis.set(key, '1')).rejects.toThrow('SET is refused: numbers are only issued');
      await redis.close();
    }
  });

  it('ioredis, with autopipelining', async () => {
    const port = await start();
    const redis = new Redis({ port, host: '127.0.0.1', enableAutoPipelining: true });
    const numbers = await Promise.all(
      Array.from({ length: 1_000 }, () => redis.incr('seq:private:bob:alice')),
    );
    expect(numbers).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1));
    // The other order is the same chat.
    expect(await redis.get('seq:private:alice:bob')).toBe('1000');
    // Nothing of it is run: its sender will take it for failed.
    await expect(redis.multi().incr('x').exec()).rejects.toThrow('EXECABORT');
    expect(await redis.get('x')).toBeNull();
    redis.disconnect();
  });

  it('redis-cli: commands, words on a line, and both protocols', async () => {
    const port = await start();
    const cli = async (...args: string[]) =>
      (await run('redis-cli', ['-p', String(port), ...args])).stdout.trim();
    expect(await cli('INCR', 'seq:group:g1')).toBe('1');
    expect(await cli('-3', 'INCR', 'seq:group:g1')).toBe('2');
    expect(await cli('ping')).toBe('PONG');
    expect(await cli('INFO', 'server')).toContain('tidemark_version:1.2.3');
    expect(await cli('DECR', 'seq:group:g1')).toBe('ERR DECR is refused: numbers never go back');
    expect((await exchange(port, 'INCR seq:group:g1\r\nget seq:group:g1\nQUIT\r\n')).text).toBe(
      ':3\r\n$1\r\n3\r\n+OK\r\n',
    );
  });

  it('redis-benchmark', async () => {
    const port = await start();
    const { stdout } = await run('redis-benchmark', [
      ...['-p', String(port), '-n', '20000', '-c', '20', '-P', '16', '-r', '100', '-q'],
      ...['INCR', 'seq:group:__rand_int__'],
    ]);
    expect(stdout).toMatch(/requests per second/);
    const keys = Array.from({ length: 100 }, (_, index) => `seq:group:${String(index).padStart(12, '0')}`);
    const [values] = await respCommands(port, [['MGET', ...keys]]);
    expect((values as string[]).reduce((sum, value) => sum + Number(value), 0)).toBe(20_000);
  });

  it.skipIf(!hasPythonClient)('redis-py, with a pipeline', async () => {
    const port = await start();
    const program = `
import redis
r = redis.Redis(port=${port})
p = r.pipeline(transaction=False)
for _ in range(100): p.incr('seq:group:py')
assert p.execute() == list(range(1, 101))
assert r.incr('seq:group:py', 5) == 105
assert r.get('seq:group:py') == b'105'
try:
    r.delete('seq:group:py')
except redis.ResponseError as error:
    print(error)
`;
    expect((await run(python, ['-c', program])).stdout).toContain('DEL is refused: numbers never expire');
  });
});

describe('keys', () => {
  it('name a conversation each, and no two of them the same', async () => {
    const started_ = started.add(await startServer());
    const port = started_.port('resp');
    const keys = [
      ...['seq:group:g', 'seq:private:a:b', 'group:g', 'g', 'seq:group:a:b', 'seq:group:a%3Ab', 'seq:room:5'],
      ...['key:g', 'seq:private:a', 'SEQ:group:g', 'ключ', 'seq:', 'a b'],
    ];
    const replies = await respCommands(
      port,
      keys.map((key) => ['INCR', key]),
    );
    expect(replies).toEqual(keys.map(() => 1));
    const entries = await started_.ledger.list(undefined, { after: undefined, limit: 100 });
    expect(entries.map(({ conversation }) => conversation).sort()).toEqual(
      [
        ...['group:g', 'private:a:b', 'group:a%3Ab', 'key:group%3Ag', 'key:g', 'key:seq%3Agroup%3Aa%3Ab'],
        ...['key:seq%3Aroom%3A5', 'key:key%3Ag', 'key:seq%3Aprivate%3Aa', 'key:SEQ%3Agroup%3Ag', 'key:ключ'],
        ...['key:seq%3A', 'key:a b'],
      ].sort(),
    );
  });

  it('have a prefix that can be chosen', async () => {
    const { ledger, port } = started.add(await startServer({ keyPrefix: 'chat' }));
    await respCommands(port('resp'), [
      ['INCR', 'chat:group:g'],
      ['INCR', 'seq:group:g'],
    ]);
    const entries = await ledger.list(undefined, { after: undefined, limit: 10 });
    expect(entries.map(({ conversation }) => conversation)).toEqual(['group:g', 'key:seq%3Agroup%3Ag']);
  });

  it.each([[''], ['x'.repeat(256)], ['tab\there']])('refuses %j', async (key) => {
    const port = await start();
    await expect(respCommand(port, ['INCR', key])).rejects.toThrow(/^ERR invalid_conversation: /);
    expect(await respCommand(port, ['PING'])).toBe('PONG');
  });
});

describe('commands', () => {
  it('replies come in the order of the commands', async () => {
    const port = await start();
    const replies = await respCommands(port, [
      ...[
        ['INCR', 'a'],
        ['PING'],
        ['GET', 'a'],
        ['ECHO', 'x'],
        ['INCRBY', 'a', '3'],
        ['NOPE'],
        ['MGET', 'a', 'b'],
      ],
      ...[
        ['EXISTS', 'a', 'a', 'b'],
        ['SELECT', '0'],
        ['SELECT', '1'],
        ['INCR', 'a'],
      ],
    ]);
    expect(replies.map((reply) => (reply instanceof Error ? reply.message.slice(0, 19) : reply))).toEqual([
      ...[1, 'PONG', '1', 'x', 4, 'ERR unknown command', ['4', null], 2, 'OK', 'ERR DB index is out', 5],
    ]);
  });

  it.each(['0', '-1', '1001', '1.5', '', '99999999999999999999', 'x'])(
    'INCRBY %j is refused, and nothing is taken',
    async (count) => {
      const port = await start();
      await expect(respCommand(port, ['INCRBY', 'a', count])).rejects.toThrow('from 1 to 1000');
      expect(await respCommand(port, ['INCR', 'a'])).toBe(1);
    },
  );

  it('everything that would break a promise is refused with the reason', async () => {
    const port = await start();
    const names = [
      'SET',
      'DECR',
      'EXPIRE',
      'DEL',
      'EVAL',
      'FLUSHALL',
      'RENAME',
      'GETDEL',
      'INCRBYFLOAT',
      'MULTI',
    ];
    const replies = await respCommands(
      port,
      names.map((name) => [name, 'seq:group:g', '1']),
    );
    for (const [index, name] of names.entries())
      expect((replies[index] as Error).message).toBe(`ERR ${name} is refused: ${refusalOf(name)}`);
  });

  it('HELLO, CLIENT, COMMAND, INFO, CONFIG and RESET say what clients need', async () => {
    const port = await start();
    const hello = String((await exchange(port, 'HELLO 3 SETNAME me\r\nCLIENT GETNAME\r\nRESET\r\n')).text);
    expect(hello).toMatch(/^%8\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n/);
    expect(hello).toContain('$2\r\nme\r\n+RESET\r\n');
    expect(await respCommand(port, ['HELLO', '4']).catch(String)).toContain('NOPROTO');
    expect(await respCommand(port, ['CLIENT', 'ID'])).toBeGreaterThan(0);
    expect(await respCommand(port, ['CLIENT', 'SETINFO', 'LIB-NAME', 'x'])).toBe('OK');
    expect(await respCommand(port, ['COMMAND', 'INFO', 'incr', 'set'])).toEqual([
      ['incr', 2, ['write', 'fast'], 1, 1, 1],
      null,
    ]);
    expect(((await respCommand(port, ['COMMAND'])) as unknown[]).length).toBe(
      await respCommand(port, ['COMMAND', 'COUNT']),
    );
    expect(await respCommand(port, ['CONFIG', 'GET', 'save'])).toEqual([]);
    expect(await respCommand(port, ['INFO'])).toContain('loading:0');
    expect(await respCommand(port, ['INCR']).catch(String)).toContain('wrong number of arguments');
    expect(await respCommand(port, ['__proto__']).catch(String)).toContain('unknown command');
  });
});

describe('the end', () => {
  it('answers what it has read, and numbers stay dense', async () => {
    const folder = await temporaryFolder();
    const one = await startServer({ ledger: await LmdbLedger.open({ folder: folder.path }) });
    const port = one.port('resp');
    const redis = createClient({ url: `redis://127.0.0.1:${port}`, socket: { reconnectStrategy: false } });
    redis.on('error', () => undefined);
    await redis.connect();
    const numbers: number[] = [];
    let stopped: Promise<boolean> | undefined;
    for (let round = 0; round < 200 && redis.isOpen; round += 1) {
      const replies = await Promise.allSettled(Array.from({ length: 20 }, () => redis.incr('seq:group:g')));
      for (const reply of replies) if (reply.status === 'fulfilled') numbers.push(Number(reply.value));
      if (round === 50) stopped = one.server.stop(5_000);
    }
    expect(await stopped).toBe(true);
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => index + 1));
    // What was left of the block is back in the folder.
    const again = await openEmbedded({ folder: folder.path });
    expect(await again.next(groupChat('g'))).toBe(numbers.length + 1);
    await again.close();
    await folder.remove();
  });
});
