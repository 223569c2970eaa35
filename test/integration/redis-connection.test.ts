import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect, promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Epoch } from '../../src/core/counter-store.js';
import {
  RedisCounterStore,
  type RedisCounterStoreOptions,
} from '../../src/counters/redis/redis-counter-store.js';
import { TidemarkError } from '../../src/errors.js';
import { freePort, type RedisServer, startRedis, temporaryFolder } from '../support/servers.js';

const password = 'pa55-w0rd-that-must-not-show';
/** The least rights that are enough, as the documentation gives them. */
const rights = ['evalsha', 'script|load', 'info', 'time', 'get', 'set', 'incrby', 'unlink', 'scan'].concat([
  'zadd',
  'zrange',
  'zrem',
  'zremrangebyscore',
]);

let server: RedisServer;
const open: RedisCounterStore[] = [];

beforeAll(async () => {
  server = await startRedis();
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((store) => store.close()));
});

afterAll(() => server?.stop());

describe('signing in', () => {
  it('a user with the least rights can do everything', async () => {
    await allow('least', rights);
    const url = `redis://least:${password}@127.0.0.1:${server.port}`;
    await useAll(storeWith({ url }), 'group:least');
    const log = (await server.command('ACL', 'LOG')) as unknown[];
    expect(log).toEqual([]);
  });

  it('each right is needed, and its lack is said at once with the rule to set', async () => {
    for (const missing of rights) {
      await allow(
        'lacking',
        rights.filter((right) => right !== missing),
      );
      const error = await failure(storeWith({ url: `redis://lacking:${password}@127.0.0.1:${server.port}` }));
      expect(error.code, missing).toBe('counter_unsupported');
      expect(error.message, missing).toContain('ACL SETUSER <user> ~seq:* +evalsha +script|load');
      expectNoPassword(error);
    }
  });

  it('a right that is given later is found without a restart', async () => {
    await allow('later', rights.slice(1));
    const store = storeWith({ url: `redis://later:${password}@127.0.0.1:${server.port}` });
    expect((await failure(store)).code).toBe('counter_unsupported');
    const up = new Promise<void>((resolve) =>
      store.onConnection(({ status }) => status === 'up' && resolve()),
    );
    await allow('later', rights);
    await up;
    expect((await store.history(0)).id).toMatch(/^[0-9a-f]{40}$/);
  });

  it('keys outside the prefix are not needed, and another prefix is said', async () => {
    await allow('prefixed', rights, '~chat:*');
    const url = `redis://prefixed:${password}@127.0.0.1:${server.port}`;
    await useAll(storeWith({ url, prefix: 'chat' }), 'group:prefixed');
    const error = await failure(storeWith({ url, prefix: 'talk' }));
    expect(error.code).toBe('counter_unsupported');
    expect(error.message).toContain('~talk:*');
  });

  it('a wrong password is unavailable, and no message shows it', async () => {
    await allow('known', rights);
    const wrong = storeWith({ url: `redis://known:${password}x@127.0.0.1:${server.port}` });
    const error = await failure(wrong);
    expect(error).toMatchObject({ code: 'counter_unavailable', retryable: true });
    expect(error.message).toContain('WRONGPASS');
    expectNoPassword(error, wrong);
    const options = {
      username: 'known',
      password: `${password}x`,
      socket: { host: '127.0.0.1', port: server.port },
    };
    const client = storeWith({ client: options });
    expectNoPassword(await failure(client), client);
  });

  it('a server password works without a user', async () => {
    const locked = await startRedis({ args: ['--requirepass', password] });
    try {
      await useAll(storeWith({ url: `redis://:${password}@127.0.0.1:${locked.port}` }), 'group:locked');
      const error = await failure(storeWith({ url: locked.url }));
      expect(error).toMatchObject({ code: 'counter_unavailable' });
      expect(error.message).toContain('give user and password');
    } finally {
      await locked.stop();
    }
  });

  it('no message shows the password of a server that is not there', async () => {
    const store = storeWith({ url: `redis://user:${password}@127.0.0.1:${await freePort()}/3` });
    const error = await failure(store);
    expect(error).toMatchObject({ code: 'counter_unavailable', retryable: true });
    expect(error.message).toMatch(/redis:\/\/127\.0\.0\.1:\d+\/3 .*ECONNREFUSED/);
    expectNoPassword(error, store);
    expectNoPassword(await failure(store), store);
  });
});

describe('where the words are', () => {
  it('keys have the shape that the documentation promises', async () => {
    await useAll(storeWith({ url: server.url }), 'private:user001:user002');
    expect(await server.command('EXISTS', 'seq:{private:user001:user002}:7')).toBe(1);
  });

  it('another database, by URL or option, holds other words', async () => {
    await useAll(storeWith({ url: `${server.url}/5` }), 'group:db5');
    const socket = { host: '127.0.0.1', port: server.port };
    await useAll(storeWith({ client: { socket, database: 6 } }), 'group:db6');
    expect(await server.command('EXISTS', 'seq:{group:db5}:7', 'seq:{group:db6}:7')).toBe(0);
    const keyspace = String(await server.command('INFO', 'keyspace'));
    expect(keyspace).toMatch(/db5:keys=\d+/);
    expect(keyspace).toMatch(/db6:keys=\d+/);
    const error = await failure(storeWith({ url: `${server.url}/99` }));
    expect(error).toMatchObject({ code: 'counter_unavailable' });
  });
});

describe('TLS', () => {
  it('is used and verified', async () => {
    const folder = await temporaryFolder();
    const tlsPort = await freePort();
    const [keyFile, certFile] = [path.join(folder.path, 'key.pem'), path.join(folder.path, 'cert.pem')];
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=tidemark test'],
      ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyFile, '-out', certFile],
    ]);
    const secured = await startRedis({
      args: [
        ...['--tls-port', String(tlsPort), '--tls-auth-clients', 'no'],
        ...['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile],
      ],
    });
    try {
      const ca = await readFile(certFile);
      const url = `rediss://127.0.0.1:${tlsPort}`;
      await useAll(storeWith({ client: { url, socket: { tls: true, ca } } }), 'group:tls');
      await useAll(
        storeWith({ client: { socket: { tls: true, ca, host: '127.0.0.1', port: tlsPort } } }),
        'group:tls2',
      );
      const unverified = await failure(storeWith({ url }));
      expect(unverified).toMatchObject({ code: 'counter_unavailable' });
      expect(unverified.message).toMatch(/self-signed certificate/);
      const plain = await failure(storeWith({ url: `redis://127.0.0.1:${tlsPort}` }));
      expect(plain).toMatchObject({ code: 'counter_unavailable' });
    } finally {
      await secured.stop();
      await folder.remove();
    }
  });
});

describe('which servers', () => {
  it.each([
    { info: 'redis_version:6.0.16\r\nredis_mode:standalone', says: 'is 6.0.16; Redis 6.2 or newer' },
    { info: 'redis_version:5.0.14', says: 'is 5.0.14; Redis 6.2 or newer' },
    { info: 'nothing:here', says: 'is an unknown version' },
    {
      info: 'redis_version:7.2.4\r\nredis_mode:cluster',
      says: 'cluster mode; it is a cluster node; give redis+cluster://',
    },
    { info: 'redis_version:7.2.4\r\nredis_mode:sentinel', says: 'give redis+sentinel://' },
    {
      info: 'redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.0.0\r\nserver_mode:cluster',
      says: 'cluster mode (Valkey); it is a cluster node',
    },
  ])('$info is refused', async ({ info, says }) => {
    const fake = await startFakeServer((command) =>
      command[0] === 'INFO' ? `$${info.length}\r\n${info}\r\n` : '+OK\r\n',
    );
    const error = await failure(storeWith({ url: `redis://127.0.0.1:${fake.port}` }));
    expect(error).toMatchObject({ code: 'counter_unsupported', retryable: false });
    expect(error.message).toContain(says);
    await closeAll();
    fake.stop();
  });

  it('a replica is refused, with what to do', async () => {
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(server.port)] });
    try {
      const error = await failure(storeWith({ url: replica.url }));
      expect(error).toMatchObject({ code: 'counter_unavailable' });
      expect(error.message).toContain('it is a replica; point to the primary');
    } finally {
      await replica.stop();
    }
  });

  it('a server that answers nonsense, or nothing, is unavailable', async () => {
    const nonsense = await startFakeServer(() => 'HTTP/1.1 400 Bad Request\r\n\r\n');
    expect(await failure(storeWith({ url: `redis://127.0.0.1:${nonsense.port}` }))).toMatchObject({
      code: 'counter_unavailable',
    });
    const silent = await startFakeServer(() => '');
    const startedAtMs = performance.now();
    const error = await failure(
      storeWith({ url: `redis://u:p@127.0.0.1:${silent.port}`, replyTimeoutMs: 200 }),
    );
    expect(error).toMatchObject({ code: 'counter_unavailable' });
    expect(performance.now() - startedAtMs).toBeLessThan(6_000);
    await closeAll();
    nonsense.stop();
    silent.stop();
  });

  it('a server with too many clients is found again when there is room', async () => {
    const full = await startRedis();
    try {
      const store = storeWith({ url: full.url });
      await full.command('CONFIG', 'SET', 'maxclients', '1');
      // The only place is taken by this connection.
      const guest = net.connect(full.port, '127.0.0.1');
      await new Promise((resolve) => guest.once('connect', resolve));
      guest.write('PING\r\n');
      await new Promise((resolve) => guest.once('data', resolve));
      expect(await failure(store)).toMatchObject({ code: 'counter_unavailable' });
      const up = new Promise<void>((resolve) =>
        store.onConnection(({ status }) => status === 'up' && resolve()),
      );
      guest.destroy();
      await up;
      expect((await store.history(0)).id).toMatch(/^[0-9a-f]{40}$/);
    } finally {
      await closeAll();
      await full.stop();
    }
  });
});

describe('losing the server', () => {
  it('rejects at once while it is away, tells down and up, and needs no new store', async () => {
    const own = await startRedis({ appendonly: true });
    try {
      const store = storeWith({ url: own.url });
      const changes: string[] = [];
      store.onConnection(({ status }) => changes.push(status));
      const epoch = { history: (await store.history(0)).id, generation: 1 };
      await own.kill();
      await until(() => changes.includes('down'));
      for (const call of [
        () => store.take(epoch, [{ conversation: 'group:g', count: 1 }]),
        () => store.read(epoch, ['group:g']),
        () => store.grant(epoch, []),
        () => store.history(0),
        () => store.sweep(0, () => 2, new AbortController().signal),
      ]) {
        const startedAtMs = performance.now();
        await expect(call()).rejects.toMatchObject({ code: 'counter_unavailable', retryable: true });
        expect(performance.now() - startedAtMs).toBeLessThan(500);
      }
      // Long enough for several tries; only the change is told.
      await sleep(300);
      expect(changes).toEqual(['up', 'down']);
      await own.start();
      await until(() => changes.length === 3);
      expect(changes).toEqual(['up', 'down', 'up']);
      const { id: history } = await store.history(0);
      expect(await store.take(epoch, [{ conversation: 'group:g', count: 1 }])).toEqual({
        status: 'stale',
        history,
      });
    } finally {
      await closeAll();
      await own.stop();
    }
  });

  it('close ends the tries', async () => {
    const store = storeWith({ url: `redis://127.0.0.1:${await freePort()}` });
    await failure(store);
    await store.close();
    await store.close();
    expect((await failure(store)).code).toBe('closed');
  });
});

function storeWith(options: RedisCounterStoreOptions): RedisCounterStore {
  const store = new RedisCounterStore(options);
  open.push(store);
  return store;
}

async function closeAll(): Promise<void> {
  await Promise.all(open.splice(0).map((store) => store.close()));
}

async function allow(user: string, commands: readonly string[], keys = '~seq:*'): Promise<void> {
  const allowed = commands.map((command) => `+${command}`);
  await server.command('ACL', 'SETUSER', user, 'reset', 'on', `>${password}`, keys, ...allowed, '+select');
  await server.command('ACL', 'LOG', 'RESET');
}

/** Every call of the port once, and what it must answer. */
async function useAll(store: RedisCounterStore, conversation: string): Promise<void> {
  const epoch: Epoch = { history: (await store.history(0)).id, generation: 7 };
  const requests = [{ conversation, count: 3 }];
  expect(await store.take(epoch, requests)).toMatchObject({ results: [{ status: 'missing' }] });
  const block = { start: 0, end: 10 };
  const grant = { conversation, block, mode: 'install' as const, expiresAtStoreTimeMs: 1e15 };
  expect(await store.grant(epoch, [grant])).toMatchObject({ results: ['granted'] });
  expect(await store.take(epoch, requests)).toMatchObject({
    results: [{ status: 'taken', word: { last: 3 } }],
  });
  expect(await store.read(epoch, [conversation])).toMatchObject({
    results: [{ word: { last: 3, remaining: 7 } }],
  });
  expect(await store.sweep(0, () => 7, new AbortController().signal)).toBe(0);
}

async function failure(store: RedisCounterStore): Promise<TidemarkError> {
  const error = await store.history(0).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TidemarkError);
  return error as TidemarkError;
}

/** Neither in the message nor in anything that a log of the error or of the store would print. */
function expectNoPassword(...values: unknown[]): void {
  for (const value of values) {
    for (const showHidden of [false, true])
      expect(inspect(value, { depth: 20, showHidden })).not.toContain(password);
    if (value instanceof Error) expect(value.message).not.toContain(password);
  }
}

/** A server that answers each command as it is told. */
async function startFakeServer(
  answer: (command: string[]) => string,
): Promise<{ port: number; stop(): void }> {
  const sockets = new Set<net.Socket>();
  const listener = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      for (const [, body] of chunk.toString().matchAll(/\*\d+\r\n((?:\$\d+\r\n[^\r]*\r\n)+)/g)) {
        const words = [...body!.matchAll(/\$\d+\r\n([^\r]*)\r\n/g)].map((match) => match[1]!);
        socket.write(answer(words));
      }
    });
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    port: (listener.address() as net.AddressInfo).port,
    stop() {
      for (const socket of sockets) socket.destroy();
      listener.close();
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(5)) if (condition()) return;
  throw new Error('it did not happen within 10 s');
}
