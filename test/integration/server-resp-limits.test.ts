/** The Redis protocol of the server, spoken by nobody that a client should be, and by clients that may do this or that. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { createClient } from 'redis';
import { afterEach, describe, expect, it } from 'vitest';
import type { ClientOptions } from '../../src/server/access.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { exchange, respCommand, respCommands } from '../support/resp.js';
import { Started } from '../support/started.js';
import { type StartServerOptions, startServer } from '../support/started-server.js';

const started = new Started();
afterEach(() => started.stop());

async function start(options: StartServerOptions = {}): Promise<number> {
  return started.add(await startServer(options)).port('resp');
}

const sha256 = (token: string) => createHash('sha256').update(token).digest('hex');
const client = (name: string, options: Partial<ClientOptions> = {}): ClientOptions => ({
  ...{ name, tokenSha256: sha256(`${name}-token`), rights: ['issue', 'read'] },
  ...options,
});

describe('what a stranger may send is bounded', () => {
  it.each([
    ['a negative length', '*-1\r\n'],
    ['a length that is none', '*x\r\n'],
    ['a length that never ends', `*${'0'.repeat(100)}`],
    ['too many words', '*99999\r\n'],
    ['a word that is too long', '*2\r\n$4\r\nINCR\r\n$99999999\r\n'],
    ['words that are too long together', `*3\r\n$60000\r\n${'x'.repeat(60_000)}\r\n$60000\r\n`],
    ['no CRLF behind a word', '*1\r\n$4\r\nPINGxx'],
    ['another kind', '*1\r\n:1\r\n'],
    ['a line that never ends', 'x'.repeat(70_000)],
    ['quotation marks on a line', 'INCR "a b"\r\n'],
    ['what a browser sends', 'POST / HTTP/1.1\r\nHost: x\r\n\r\nINCR seq:group:g1\r\n'],
    ['what a browser looks for', 'GET / HTTP/1.1\r\nHost: x\r\nINCR seq:group:g1\r\n'],
    ['bytes that are no UTF-8', Buffer.from([...Buffer.from('*2\r\n$4\r\nINCR\r\n$1\r\n'), 0xff, 13, 10])],
  ])('%s: an error, and the connection is closed', async (_, bytes) => {
    const port = await start();
    const { text, closed } = await exchange(port, bytes, 1_000);
    expect(text).toMatch(/^(?:-ERR wrong number.*\r\n)?-ERR Protocol error: /);
    expect(text).not.toContain(':1');
    expect(closed).toBe(true);
    expect(await respCommand(port, ['PING'])).toBe('PONG');
  });

  it('any bytes in any pieces are read as the whole is, or refused', async () => {
    const port = await start();
    const whole = '*2\r\n$4\r\nINCR\r\n$6\r\nключ\r\n\r\nPING\r\n*0\r\n*1\r\n$4\r\nPING\r\n'.replace(
      '$6',
      '$8',
    );
    const bytes = Buffer.from(whole);
    for (let at = 1; at < bytes.length; at += 1) {
      const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString();
      });
      socket.write(bytes.subarray(0, at));
      await new Promise((resolve) => setImmediate(resolve));
      socket.end(bytes.subarray(at));
      await new Promise((resolve) => socket.once('close', resolve));
      expect(text, `cut at ${at}`).toBe(`:${at}\r\n+PONG\r\n+PONG\r\n`);
    }
  });

  it('a command that does not go on ends its connection; an idle connection stays', async () => {
    const port = await start({ limits: { requestTimeoutMs: 300 } });
    const idle = net.connect({ port, host: '127.0.0.1' });
    const { text, closed } = await exchange(port, '*2\r\n$4\r\nINCR\r\n', 5_000);
    expect({ text, closed }).toEqual({
      text: '-ERR the rest of a command did not come in time\r\n',
      closed: true,
    });
    await sleep(300);
    expect(idle.destroyed).toBe(false);
    idle.destroy();
  });

  it('no more connections than allowed', async () => {
    const port = await start({ limits: { maxConnections: 2 } });
    const two = [1, 2].map(() => net.connect({ port, host: '127.0.0.1' }));
    await sleep(100);
    expect((await exchange(port, 'PING\r\n')).text).toBe('-ERR max number of clients reached\r\n');
    for (const socket of two) socket.destroy();
    await sleep(100);
    expect(await respCommand(port, ['PING'])).toBe('PONG');
  });

  it('somebody who sends and never reads keeps no more than the bound waiting', async () => {
    const { port, counters } = started.add(await startServer({ limits: { maxPipelined: 50 } }));
    let most = 0;
    let underWay = 0;
    const take = counters.take.bind(counters);
    counters.takeNow = () => undefined;
    counters.take = async (epoch, requests) => {
      underWay += requests.reduce((sum, { count }) => sum + count, 0);
      most = Math.max(most, underWay);
      await sleep(5);
      const reply = await take(epoch, requests);
      underWay -= requests.reduce((sum, { count }) => sum + count, 0);
      return reply;
    };
    const replies = await respCommands(
      port('resp'),
      Array.from({ length: 2_000 }, () => ['INCR', 'a']),
    );
    expect(replies).toEqual(Array.from({ length: 2_000 }, (_, index) => index + 1));
    expect(most).toBeLessThanOrEqual(50);
  });

  it('a thousand idle connections take less than 50 MB', async () => {
    const port = await start({ limits: { maxConnections: 2_000 } });
    const before = process.memoryUsage().rss;
    // Both ends live in this process, so the server's share is less than what is seen.
    const sockets = Array.from({ length: 1_000 }, () => net.connect({ port, host: '127.0.0.1' }));
    await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
    await respCommand(port, ['PING']);
    const grownMb = (process.memoryUsage().rss - before) / 1e6;
    console.log(`1,000 idle connections, both ends: ${grownMb.toFixed(1)} MB`);
    for (const socket of sockets) socket.destroy();
    expect(grownMb).toBeLessThan(50);
  });
});

describe('who may do what', () => {
  const clients = [
    client('chat', { conversations: ['group:', 'key:'] }),
    client('reader', { rights: ['read'] }),
    client('slow', { callsPerSecond: 5 }),
  ];

  it('nothing without a token, and no token in an answer', async () => {
    const port = await start({ clients });
    const replies = await respCommands(port, [
      ...[['INCR', 'a'], ['PING'], ['HELLO', '3'], ['AUTH', 'wrong-token'], ['INCR', 'a']],
      ...[['AUTH', 'default', 'chat-token'], ['INCR', 'a'], ['RESET'], ['INCR', 'a']],
    ]);
    expect(replies.map((reply) => (reply instanceof Error ? reply.message.split(' ')[0] : reply))).toEqual([
      ...['NOAUTH', 'NOAUTH', 'NOAUTH', 'WRONGPASS', 'NOAUTH', 'OK', 1, 'RESET', 'NOAUTH'],
    ]);
    expect(replies.map(String).join()).not.toContain('wrong-token');
  });

  it('rights, conversations and rates', async () => {
    const port = await start({ clients });
    const as = (name: string, ...commands: string[][]) =>
      respCommands(port, [['AUTH', `${name}-token`], ...commands]).then(([, ...replies]) =>
        replies.map(String),
      );
    expect(await as('chat', ['INCR', 'seq:group:g'], ['INCR', 'seq:private:a:b'])).toEqual([
      '1',
      "Error: NOPERM permission_denied: the client chat may not use the conversation private:a:b; add its beginning to the client's conversations",
    ]);
    expect(await as('reader', ['GET', 'seq:group:g'], ['INCR', 'seq:group:g'])).toEqual([
      '1',
      expect.stringContaining('NOPERM permission_denied: the client reader has no right to issue'),
    ]);
    const slow = await as('slow', ...Array.from({ length: 10 }, () => ['INCR', 'a']));
    expect(slow.slice(0, 5)).toEqual(['1', '2', '3', '4', '5']);
    expect(slow[9]).toContain('ERR rate_limited: the client slow makes more than 5 calls a second');
  });

  it('a reload replaces the clients; who is connected goes on', async () => {
    const { server, port } = started.add(await startServer({ clients }));
    const redis = createClient({ url: `redis://127.0.0.1:${port('resp')}`, password: 'chat-token' });
    await redis.connect();
    server.reload([client('other')]);
    expect(await redis.incr('seq:group:g')).toBe(1);
    await redis.close();
    await expect(respCommand(port('resp'), ['AUTH', 'chat-token'])).rejects.toThrow('WRONGPASS');
    expect(await respCommand(port('resp'), ['AUTH', 'other-token'])).toBe('OK');
  });

  it('TLS, and certificates of clients', async () => {
    const authority = await createCertificateAuthority();
    const [own, theirs] = [await authority.issue(), await authority.issue()];
    const [cert, key, ca] = [own.certFile, own.keyFile, authority.caFile].map((file) =>
      readFileSync(file, 'utf8'),
    );
    const port = await start({ tls: { cert: cert!, key: key!, clientCa: ca! } });
    const tls = { ca: ca!, host: '127.0.0.1' };
    const known = { ...tls, cert: readFileSync(theirs.certFile), key: readFileSync(theirs.keyFile) };
    expect(await respCommand(port, ['INCR', 'a'], { tls: known })).toBe(1);
    await expect(respCommand(port, ['INCR', 'a'], { tls })).rejects.toThrow();
    await new Promise((resolve) =>
      connectTls({ ...tls, port, maxVersion: 'TLSv1.1' }).once('error', resolve),
    );
    await authority.remove();
  });
});
