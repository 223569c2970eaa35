/** The support code is part of every proof, so it is tested itself. */

import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createConnection } from 'mysql2/promise';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCertificateAuthority, type TlsFiles } from './certificates.js';
import { startCluster } from './cluster.js';
import { startProxy, type TcpProxy } from './proxy.js';
import { redisExecutables, valkeyExecutable } from './redis-executables.js';
import { respCommand } from './resp.js';
import { startSentinels } from './sentinels.js';
import { freePort, type RedisServer, startMariaDb, startRedis } from './servers.js';

describe('startRedis', () => {
  test('starts, is killed, starts again empty on the same port, and stops', async () => {
    const redis = await startRedis();
    const { port, pid } = redis;
    expect(await redis.command('SET', 'key', 'väl ue')).toBe('OK');
    expect(await redis.command('GET', 'key')).toBe('väl ue');
    await expect(redis.command('INCR', 'key')).rejects.toThrow(/not an integer/);
    expect(await redis.command('EVAL', 'return {1, "a", {false}}', '0')).toEqual([1, 'a', [null]]);
    await redis.kill();
    await expect(redis.command('PING')).rejects.toThrow(/ECONNREFUSED/);
    await redis.start();
    expect(redis.port).toBe(port);
    expect(redis.pid).not.toBe(pid);
    expect(await redis.command('GET', 'key')).toBeNull();
    await redis.stop();
    expect(existsSync(redis.dir)).toBe(false);
  });

  test('keeps its data with appendonly and a clean end', async () => {
    const redis = await startRedis({ appendonly: true });
    await redis.command('SET', 'key', '1');
    await redis.kill('SIGTERM');
    await redis.start();
    expect(await redis.command('GET', 'key')).toBe('1');
    await redis.stop();
  });

  test('refuses a port that is taken instead of using the server on it', async () => {
    const first = await startRedis();
    await expect(startRedis({ port: first.port })).rejects.toThrow(/did not start/);
    expect(await first.command('PING')).toBe('PONG');
    await first.stop();
  });

  test('a paused server answers after it is resumed', async () => {
    const redis = await startRedis();
    redis.pause();
    const answer = redis.command('PING');
    expect(await Promise.race([answer, sleep(100, 'nothing')])).toBe('nothing');
    redis.resume();
    expect(await answer).toBe('PONG');
    await redis.stop();
  });
});

test('startMariaDb keeps what was committed through a SIGKILL', async () => {
  const server = await startMariaDb();
  const url = await server.createDatabase();
  let connection = await createConnection(url);
  await connection.query('CREATE TABLE t (n INT) ENGINE=InnoDB');
  await connection.query('INSERT INTO t VALUES (7)');
  connection.on('error', () => {});
  await server.kill();
  await server.start();
  connection = await createConnection(url);
  const [rows] = await connection.query('SELECT n, @@innodb_flush_log_at_trx_commit AS flush FROM t');
  expect(rows).toEqual([{ n: 7, flush: 1 }]);
  expect(server.url).toBe(`mysql://root@127.0.0.1:${server.port}/tidemark`);
  connection.destroy();
  await server.stop();
});

test('startRedis with TLS asks clients for a certificate of the authority', async () => {
  const authority = await createCertificateAuthority();
  const [server, client] = [await authority.issue(), await authority.issue()];
  const redis = await startRedis({ tls: { server, client } });
  expect(redis.url).toBe(`rediss://127.0.0.1:${redis.port}`);
  expect(await redis.command('PING')).toBe('PONG');
  await expect(respCommand(redis.port, ['PING'])).rejects.toThrow();
  const stranger = await createCertificateAuthority();
  const tls = { ca: readFileSync(authority.caFile), ...keyPair(await stranger.issue()) };
  await expect(respCommand(redis.port, ['PING'], { tls })).rejects.toThrow(/unknown ca|ECONNRESET/);
  await redis.stop();
  await authority.remove();
  await stranger.remove();
});

test('the Redis servers of this machine are found', async () => {
  const found = redisExecutables();
  expect(found.map(({ product }) => product)).toContain('Redis');
  for (const { executable, product, version } of found) {
    const redis = await startRedis({ executable });
    const info = String(await redis.command('INFO', 'server'));
    expect(info).toContain(`${product.toLowerCase()}_version:${version}\r`);
    await redis.stop();
  }
});

test.skipIf(valkeyExecutable() === undefined)(
  'Valkey is among them; without it no test runs on it',
  async () => {
    const valkey = await startRedis({ executable: valkeyExecutable()!.executable });
    expect(String(await valkey.command('INFO', 'server'))).toContain('valkey_version:');
    await valkey.stop();
  },
);

describe.each([...redisExecutables()])('startCluster with $name', ({ executable }) => {
  test('replaces a killed primary, moves slots with their keys to a new one, and stops', async () => {
    const cluster = await startCluster({ executable });
    expect(cluster.nodes).toHaveLength(6);
    const first = await cluster.primaryOf(0);
    const [slot = -1] = await cluster.slotsOf(['b']);
    const owner = await cluster.primaryOf(slot);
    await owner.command('SET', 'b', 'kept');
    const { promoted, tookMs } = await cluster.failOver(first);
    expect(promoted).not.toBe(first);
    expect(tookMs).toBeLessThan(10_000);
    expect(await cluster.replicasOf(promoted)).toEqual([first]);
    const added = await cluster.addNode();
    await cluster.moveSlots(
      { first: slot - 100, last: slot + 100 },
      owner === first ? promoted : owner,
      added,
    );
    expect(await cluster.primaryOf(slot)).toBe(added);
    expect(await added.command('GET', 'b')).toBe('kept');
    await expect(promoted.command('GET', 'b')).rejects.toThrow(`MOVED ${slot} 127.0.0.1:${added.port}`);
    await cluster.stop();
    expect(cluster.nodes.some(({ dir }) => existsSync(dir))).toBe(false);
  });

  test('an isolated primary goes on beside the one that replaced it', async () => {
    const cluster = await startCluster({ executable });
    const old = await cluster.primaryOf(16_383);
    const [key, slot] = ['e', 15_363];
    expect(await cluster.slotsOf([key])).toEqual([slot]);
    const promoted = await cluster.isolate(old);
    expect(promoted).not.toBe(old);
    await sleep(1_500);
    expect(await old.command('SET', key, 'old')).toBe('OK');
    expect(await promoted.command('SET', key, 'new')).toBe('OK');
    expect(await old.command('GET', key)).toBe('old');
    await cluster.stop();
  });
});

describe.each([...redisExecutables()])('startSentinels with $name', ({ executable }) => {
  test('replaces a killed primary and an isolated one, takes them back as replicas, and stops', async () => {
    const watched = await startSentinels({ executable });
    const first = await watched.primary();
    expect(first).toBe(watched.servers[0]);
    expect(watched.url).toMatch(/^redis\+sentinel:\/\/(127\.0\.0\.1:\d+,?){3}\/mymaster$/);
    const { promoted, tookMs } = await watched.failOver();
    expect(promoted).not.toBe(first);
    expect(tookMs).toBeLessThan(10_000);
    expect(await first.command('ROLE')).toContain('slave');
    const second = await watched.isolate();
    expect(second).not.toBe(promoted);
    expect(await promoted.command('SET', 'key', 'old')).toBe('OK');
    expect(await second.command('SET', 'key', 'new')).toBe('OK');
    await watched.reconnect(promoted);
    expect(await promoted.command('GET', 'key')).toBe('new');
    await watched.stop();
    expect([...watched.servers, ...watched.sentinels].some(({ dir }) => existsSync(dir))).toBe(false);
  });
});

describe('startProxy', () => {
  let redis: RedisServer;
  let proxy: TcpProxy;
  beforeAll(async () => {
    redis = await startRedis();
    proxy = await startProxy(redis.port);
  });
  afterAll(async () => {
    await proxy.stop();
    await redis.stop();
  });

  test('passes everything', async () => {
    const value = 'x'.repeat(2_000_000);
    expect(await respCommand(proxy.port, ['SET', 'large', value])).toBe('OK');
    expect(await respCommand(proxy.port, ['GET', 'large'])).toBe(value);
  });

  test('loses one reply and resets the connection; the command has run', async () => {
    const cut = proxy.cutAfterNextReplyDropped();
    await expect(respCommand(proxy.port, ['INCR', 'n'])).rejects.toThrow(/ECONNRESET/);
    await cut;
    expect(await respCommand(proxy.port, ['INCR', 'n'])).toBe(2);
  });

  test('drops replies and cuts', async () => {
    proxy.dropReplies(true);
    const lost = respCommand(proxy.port, ['INCR', 'm']);
    expect(await Promise.race([lost, sleep(100, 'nothing')])).toBe('nothing');
    expect(proxy.connections).toBe(1);
    proxy.dropReplies(false);
    proxy.cutAll();
    await expect(lost).rejects.toThrow(/ECONNRESET/);
    expect(proxy.connections).toBe(0);
    expect(await redis.command('GET', 'm')).toBe('1');
  });

  test('holds both directions, and passes what was held', async () => {
    proxy.hold(true);
    const answer = respCommand(proxy.port, ['INCR', 'held']);
    expect(await Promise.race([answer, sleep(100, 'nothing')])).toBe('nothing');
    expect(await redis.command('GET', 'held')).toBeNull();
    proxy.hold(false);
    expect(await answer).toBe(1);
  });

  test('delays each direction and keeps the order', async () => {
    proxy.delayMs = 50;
    const startedAtMs = performance.now();
    expect(await respCommand(proxy.port, ['ECHO', 'y'.repeat(500_000)])).toBe('y'.repeat(500_000));
    // A timer may fire up to a millisecond early.
    expect(performance.now() - startedAtMs).toBeGreaterThan(98);
    proxy.delayMs = 0;
  });

  test('resets a connection whose server is away', async () => {
    const nowhere = await startProxy(await freePort());
    await expect(respCommand(nowhere.port, ['PING'])).rejects.toThrow(/ECONNRESET/);
    await nowhere.stop();
  });

  test('stops listening', async () => {
    const other = await startProxy(redis.port);
    await other.stop();
    const error = await new Promise((resolve) => net.connect(other.port, '127.0.0.1').once('error', resolve));
    expect(String(error)).toContain('ECONNREFUSED');
  });
});

function keyPair({ keyFile, certFile }: TlsFiles): { key: Buffer; cert: Buffer } {
  return { key: readFileSync(keyFile), cert: readFileSync(certFile) };
}
