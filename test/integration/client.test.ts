/** The client against real servers, over HTTP and gRPC: the same for both. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { connect, type TidemarkClient } from '../../src/client/index.js';
import { groupChat } from '../../src/core/conversation.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { failure } from '../support/generators.js';
import { startProxy } from '../support/proxy.js';
import { respCommands } from '../support/resp.js';
import { Started } from '../support/started.js';
import { type StartedServer, startServer } from '../support/started-server.js';

const g1 = groupChat('g1');
const all = ['resp', 'http', 'grpc'] as const;
const started = new Started();
afterEach(() => started.stop());

async function start(...options: Parameters<typeof startServer>): Promise<StartedServer> {
  return started.add(await startServer({ doors: all, ...options[0] }));
}

function client(...args: Parameters<typeof connect>): TidemarkClient {
  const made = connect(...args);
  started.add({
    stop: () => {
      made.close();
      return Promise.resolve();
    },
  });
  return made;
}

describe.each(['http', 'grpc'] as const)('over %s', (door) => {
  const urlOf = (server: StartedServer) => `${door}://127.0.0.1:${server.port(door)}`;

  it('every call does what it does in the library', async () => {
    const tidemark = client(urlOf(await start()));
    expect(await tidemark.current(g1)).toBe(0);
    expect(await tidemark.next(g1)).toBe(1);
    expect(await tidemark.nextMany(g1, 3)).toEqual({ first: 2, last: 4 });
    expect(await tidemark.next(g1, { messageId: 'm' })).toEqual({ number: 5, repeated: false });
    expect(await tidemark.next(g1, { messageId: 'm' })).toEqual({ number: 5, repeated: true });
    const take = await tidemark.take(g1, 2);
    expect(take).toMatchObject({ first: 6, last: 7, repeated: false, open: true });
    expect(await tidemark.completeUpTo(g1)).toBe(5);
    await take.renew();
    await take.settle();
    const given = await tidemark.take(g1, 1, { messageId: 'n' });
    await given.abandon();
    expect(await tidemark.completeUpTo(g1)).toBe(8);
    expect(await tidemark.gaps(g1)).toMatchObject([
      { conversation: 'group:g1', first: 8, last: 8, reason: 'abandoned', certain: true },
    ]);
    expect(await tidemark.explain(g1, 5)).toEqual({ number: 5, status: 'issued', complete: true });
    expect(await tidemark.explain(g1, 8)).toMatchObject({
      status: 'never_issued',
      gap: { first: 8, last: 8 },
    });
    expect(await tidemark.explain(g1, 9)).toEqual({ number: 9, status: 'not_issued_yet' });
  });

  it('calls of one moment share requests, and are in order', async () => {
    const tidemark = client(urlOf(await start()));
    const numbers = await Promise.all(Array.from({ length: 5_000 }, () => tidemark.next(g1)));
    expect(numbers).toEqual(Array.from({ length: 5_000 }, (_, index) => index + 1));
  });

  it('errors are those of the server, with their codes and conversations', async () => {
    const clients = [
      {
        name: 'reader',
        tokenSha256: createHash('sha256').update('t').digest('hex'),
        rights: ['read'] as const,
      },
    ];
    const server = await start({ clients });
    expect(await failure(client(urlOf(server)).next(g1))).toMatchObject({ code: 'unauthenticated' });
    const error = await failure(client(urlOf(server), { token: 't' }).next(g1));
    expect(error).toMatchObject({ code: 'permission_denied', conversation: 'group:g1', retryable: false });
    expect(error.message).toMatch(/^permission_denied: the client reader has no right to issue/);
    const tidemark = client(urlOf(server), { token: 't' });
    expect(await failure(tidemark.explain(g1, 0))).toMatchObject({ code: 'invalid_argument' });
    expect(await failure(tidemark.nextMany(g1, 1_001))).toMatchObject({ code: 'invalid_argument' });
  });

  it('goes on to the next server, and asks for no number twice that may have been issued', async () => {
    const first = await start();
    const second = await start();
    const tidemark = client([urlOf(first), urlOf(second)], { timeoutMs: 3_000 });
    expect(await tidemark.next(g1)).toBe(1);
    await first.stop();
    // A call on a connection that is just being closed could not know whether it was done.
    await sleep(100);
    // Its own series: these two servers have no stores in common.
    expect(await tidemark.next(g1)).toBe(1);
    expect(await tidemark.current(g1)).toBe(1);
  });

  it('an answer that is lost: with a message id the same number, without one an error', async () => {
    const server = await start();
    const proxy = started.add(await startProxy(server.port(door)));
    const tidemark = client(`${door}://127.0.0.1:${proxy.port}`, { timeoutMs: 5_000 });
    await tidemark.next(g1);
    void proxy.cutAfterNextReplyDropped();
    const repeated = tidemark.next(g1, { messageId: 'm' });
    expect((await repeated).number).toBe(2);
    void proxy.cutAfterNextReplyDropped();
    expect(await failure(tidemark.next(g1))).toMatchObject({
      code: 'server_unavailable',
      message: expect.stringContaining('may have been done'),
    });
  });

  it('deadline, signal, close, and a server that is not there', async () => {
    const silent = net.createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', () => resolve()));
    started.add({
      stop: () => {
        silent.close();
        return Promise.resolve();
      },
    });
    const { port } = silent.address() as net.AddressInfo;
    const tidemark = client(`${door}://127.0.0.1:${port}`);
    expect((await failure(tidemark.next(g1, { timeoutMs: 100 }))).retryable).toBe(true);
    const signal = AbortSignal.timeout(50);
    expect(await failure(tidemark.next(g1, { signal }))).toMatchObject({ code: 'aborted' });
    const current = failure(tidemark.current(g1));
    const next = failure(tidemark.next(g1));
    setTimeout(() => tidemark.close(), 50);
    expect(await current).toMatchObject({ code: 'closed' });
    expect(await next).toMatchObject({ code: 'closed' });
    silent.close();
    const nobody = client(`${door}://127.0.0.1:1`, { timeoutMs: 3_000 });
    expect(await failure(nobody.next(g1))).toMatchObject({
      code: 'server_unavailable',
      message: expect.stringContaining('was not done'),
    });
  });

  it('TLS with certificates on both sides', async () => {
    const authority = await createCertificateAuthority();
    const [own, theirs] = [await authority.issue(), await authority.issue()];
    const pem = (file: string) => readFileSync(file, 'utf8');
    const ca = pem(authority.caFile);
    const server = await start({ tls: { cert: pem(own.certFile), key: pem(own.keyFile), clientCa: ca } });
    const url = urlOf(server).replace(door, `${door}s`);
    const tls = { ca, cert: pem(theirs.certFile), key: pem(theirs.keyFile) };
    expect(await client(url, { tls }).next(g1)).toBe(1);
    expect(await failure(client(url, { tls: { ca }, timeoutMs: 300 }).next(g1))).toMatchObject({
      code: 'server_unavailable',
    });
    await authority.remove();
  });
});

it('one series behind all doors: dense, no number twice', async () => {
  const server = await start();
  const [http, grpc] = (['http', 'grpc'] as const).map((door) =>
    client(`${door}://127.0.0.1:${server.port(door)}`),
  );
  const numbers: number[] = [];
  const each = (work: () => Promise<number>) =>
    Promise.all(Array.from({ length: 400 }, () => work().then((number) => numbers.push(number))));
  const resp = async () => {
    for (let round = 0; round < 20; round += 1) {
      const commands = Array.from({ length: 20 }, () => ['INCR', 'seq:group:g1']);
      numbers.push(...((await respCommands(server.port('resp'), commands)) as number[]));
    }
  };
  await Promise.all([each(() => http!.next(g1)), each(() => grpc!.next(g1)), resp()]);
  expect(numbers.sort((one, other) => one - other)).toEqual(
    Array.from({ length: 1_200 }, (_, index) => index + 1),
  );
});

it.each([[[]], [['ftp://x']], [['http://user:secret@x']], [['nonsense']]])(
  'refuses the URLs %j, and repeats none',
  (urls) => {
    expect(() => connect(urls)).toThrow(/^invalid_argument: (?!.*secret)/);
  },
);
