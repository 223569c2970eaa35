/** Users with few rights, TLS, passwords that change, and several Tidemarks in one Redis: on real servers. */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { groupChat } from '../../src/core/conversation.js';
import type { TidemarkEvent } from '../../src/core/events.js';
import type { GeneratorOptions } from '../../src/core/options.js';
import {
  RedisCounterStore,
  type RedisCounterStoreOptions,
} from '../../src/counters/redis/redis-counter-store.js';
import type { TidemarkError } from '../../src/errors.js';
import { MemoryLedger } from '../../src/ledgers/memory/memory-ledger.js';
import { SequenceGenerator } from '../../src/sequence-generator.js';
import {
  type CertificateAuthority,
  createCertificateAuthority,
  type TlsFiles,
  tlsOptions,
} from '../support/certificates.js';
import { startCluster } from '../support/cluster.js';
import { repositoryRoot } from '../support/compiled.js';
import { failure, g1 } from '../support/generators.js';
import { redisExecutables } from '../support/redis-executables.js';
import { startSentinels } from '../support/sentinels.js';
import { type RedisServer, startRedis } from '../support/servers.js';
import { waitUntil } from '../support/wait.js';

const password = 'pa55-w0rd-that-must-not-show';
const source = readFileSync(
  path.join(repositoryRoot, 'src/counters/redis/redis-counter-store.ts'),
  'utf8',
).replaceAll(/\n \* ?/g, ' ');
/** The rule of the documentation, word by word, from the keys on. */
const documentedRule = /`ACL SETUSER tidemark on >PASSWORD ([^`]+)`/.exec(source)![1]!.trim().split(/\s+/);
const keys = documentedRule.filter((word) => word.startsWith('~'));
const commands = documentedRule.filter((word) => word.startsWith('+'));

/** What a test started, ended after it, newest first. */
let started: { end(): Promise<unknown> }[] = [];

afterEach(async () => {
  for (const one of started.reverse()) await one.end();
  started = [];
});

async function redisServer(options?: Parameters<typeof startRedis>[0]): Promise<RedisServer> {
  const server = await startRedis(options);
  started.push({ end: () => server.stop() });
  return server;
}

function open(redis: RedisCounterStoreOptions, options: Partial<GeneratorOptions> = {}) {
  const counters = new RedisCounterStore(redis);
  const events: TidemarkEvent[] = [];
  const sequences = new SequenceGenerator({
    counters,
    ledger: new MemoryLedger(),
    timeoutMs: 3_000,
    onEvent: (event) => events.push(event),
    ...options,
  });
  started.push({ end: () => sequences.close() });
  const seen = (type: TidemarkEvent['type']) =>
    waitUntil(`an event ${type}`, async () => events.some((event) => event.type === type));
  return { counters, sequences, events, seen };
}

function asUser(server: { port: number }, database = ''): RedisCounterStoreOptions {
  return { url: `redis://tidemark:${password}@127.0.0.1:${server.port}${database}` };
}

function userArguments(rights: readonly string[]): string[] {
  return ['--user', 'tidemark', 'on', `>${password}`, ...rights];
}

/** The error, after making sure that neither it nor what a log would print of it shows the password. */
async function failureWithoutSecret(work: Promise<unknown>): Promise<TidemarkError> {
  const error = await failure(work);
  expect(inspect(error, { depth: 20, showHidden: true })).not.toContain(password);
  return error;
}

describe.each([...redisExecutables()])('the documented rights, with $name', ({ executable }) => {
  it('name keys and single commands only', () => {
    expect(keys).toEqual(['~seq:*']);
    expect(commands.length).toBeGreaterThan(10);
    expect([...keys, ...commands]).toEqual(documentedRule);
    for (const command of commands) expect(command).toMatch(/^\+[a-z|]+$/);
  });

  it('are enough for every kind of call, for sweeping and draining', async () => {
    const server = await redisServer({ executable, appendonly: true, args: userArguments(documentedRule) });
    const { sequences, events, seen } = open(asUser(server));
    expect(await sequences.next(g1)).toBe(1);
    expect(await sequences.nextMany(g1, 10)).toEqual({ first: 2, last: 11 });
    expect(await sequences.next(g1, { messageId: 'm' })).toMatchObject({ number: 12 });
    expect(await sequences.next(g1, { messageId: 'm' })).toMatchObject({ number: 12, repeated: true });
    const take = await sequences.take(g1, 2);
    expect([take.first, take.last, await sequences.completeUpTo(g1)]).toEqual([13, 14, 12]);
    await sequences.renew(g1, take);
    await take.settle();
    expect(await sequences.completeUpTo(g1)).toBe(14);
    expect(await sequences.current(g1)).toBe(14);
    expect(await sequences.drain(g1)).toMatchObject({ conversations: 1 });
    expect(await sequences.next(g1)).toBe(15);
    await expectNothingDenied(server);
    // The words of the first generation come back from the file, and nobody can reach them any more.
    await server.kill('SIGTERM');
    await server.start();
    expect(await sequences.next(g1)).toBeGreaterThan(15);
    await seen('swept');
    expect(events).toContainEqual(expect.objectContaining({ type: 'swept', words: 1 }));
    await expectNothingDenied(server);
  });

  it.each(commands)('%s is needed, and its lack is said with the rule to set', async (missing) => {
    const rights = documentedRule.filter((right) => right !== missing);
    const server = await redisServer({ executable, args: userArguments(rights) });
    const { sequences } = open(asUser(server), { timeoutMs: 500 });
    const error = await failureWithoutSecret(sequences.next(g1));
    expect(error).toMatchObject({ code: 'counter_unsupported', retryable: false });
    expect(error.message).toContain(`ACL SETUSER <user> ${documentedRule.join(' ')}`);
  });

  it('keys of another prefix are out of reach, and the message says the prefix', async () => {
    const server = await redisServer({ executable, args: userArguments(documentedRule) });
    const { sequences } = open({ ...asUser(server), prefix: 'chat' }, { timeoutMs: 500 });
    const error = await failureWithoutSecret(sequences.next(g1));
    expect(error.code).toBe('counter_unsupported');
    expect(error.message).toContain('~chat:*');
  });

  it('need +select for a database other than 0', async () => {
    const server = await redisServer({ executable, args: userArguments(documentedRule) });
    const without = open(asUser(server, '/3'), { timeoutMs: 500 });
    const error = await failureWithoutSecret(without.sequences.next(g1));
    expect(error.message).toMatch(/select/i);
    await server.command('ACL', 'SETUSER', 'tidemark', '+select');
    const withRight = open(asUser(server, '/3'));
    expect(await withRight.sequences.next(g1)).toBe(1);
    expect(String(await server.command('INFO', 'keyspace'))).toMatch(/db3:keys=\d/);
  });

  it('need +object|idletime so that idle words expire', async () => {
    const server = await redisServer({
      executable,
      args: userArguments([...documentedRule, '+object|idletime']),
    });
    const { sequences, seen } = open(asUser(server), { idleAfterMs: 1_000 });
    expect(await sequences.next(g1)).toBe(1);
    await seen('drained');
    expect(await sequences.next(g1)).toBe(2);
    await expectNothingDenied(server);
  });

  it('need +cluster|slots in a cluster', async () => {
    const cluster = await startCluster({
      executable,
      replicasPerPrimary: 0,
      args: userArguments(documentedRule),
    });
    started.push({ end: () => cluster.stop() });
    const url = cluster.url.replace('://', `://tidemark:${password}@`);
    const without = open({ url }, { timeoutMs: 1_500 });
    const error = await failureWithoutSecret(without.sequences.next(g1));
    expect(error.code).toBe('counter_unsupported');
    expect(error.message).toContain('+cluster|slots');
    for (const node of cluster.nodes) await node.command('ACL', 'SETUSER', 'tidemark', '+cluster|slots');
    const { sequences } = open({ url });
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) expect(await sequences.next(groupChat(name))).toBe(1);
    const take = await sequences.take(groupChat('a'));
    await take.settle();
    expect(await sequences.drain(groupChat('a'))).toMatchObject({ conversations: 1 });
  });

  it('are enough behind Sentinels', async () => {
    const watched = await startSentinels({ executable, replicas: 1, args: userArguments(documentedRule) });
    started.push({ end: () => watched.stop() });
    const { sequences } = open({ url: watched.url.replace('://', `://tidemark:${password}@`) });
    expect(await sequences.next(g1)).toBe(1);
    await expectNothingDenied(await watched.primary());
  });
});

describe('TLS', () => {
  let authority: CertificateAuthority;
  let server: TlsFiles;
  let client: TlsFiles;
  let secured: RedisServer;
  beforeAll(async () => {
    authority = await createCertificateAuthority();
    server = await authority.issue();
    client = await authority.issue();
    secured = await startRedis({ tls: { server, client } });
  });
  afterAll(async () => {
    await secured?.stop();
    await authority?.remove();
  });

  const over = (url: string, socket: object): RedisCounterStoreOptions => ({
    client: { url, password, socket: { tls: true, ...socket } },
  });

  it('works with certificates on both sides', async () => {
    await secured.command('ACL', 'SETUSER', 'default', `>${password}`);
    const { sequences } = open(over(secured.url, tlsOptions(client)));
    expect(await sequences.nextMany(g1, 3)).toEqual({ first: 1, last: 3 });
  });

  it('refuses a server of an unknown authority', async () => {
    const other = await createCertificateAuthority();
    started.push({ end: () => other.remove() });
    const trust = { ...tlsOptions(client), ca: readFileSync(other.caFile) };
    const { sequences } = open(over(secured.url, trust), { timeoutMs: 1_500 });
    const error = await failureWithoutSecret(sequences.next(g1));
    expect(error).toMatchObject({ code: 'counter_unavailable', retryable: true });
    expect(error.message).toMatch(/unable to (verify|get)|self-signed/);
    expect(error.message).toContain(`rediss://127.0.0.1:${secured.port}`);
  });

  it('refuses a server whose certificate names another host', async () => {
    const misnamed = await redisServer({ tls: { server: await authority.issue('redis.test'), client } });
    const { sequences } = open(over(misnamed.url, tlsOptions(client)), { timeoutMs: 1_500 });
    const error = await failureWithoutSecret(sequences.next(g1));
    expect(error.code).toBe('counter_unavailable');
    expect(error.message).toMatch(/does not match certificate/);
  });

  it('says so when the server asks for a certificate that it does not get', async () => {
    const { sequences } = open(over(secured.url, tlsOptions(client, true)), { timeoutMs: 1_500 });
    const error = await failureWithoutSecret(sequences.next(g1));
    expect(error.code).toBe('counter_unavailable');
    expect(error.message).toMatch(/certificate required|ECONNRESET|closed/i);
  });

  it('works with every node of a cluster', async () => {
    const cluster = await startCluster({ replicasPerPrimary: 0, tls: { server, client } });
    started.push({ end: () => cluster.stop() });
    const nodes = cluster.nodes.map(({ port }) => ({ host: '127.0.0.1', port }));
    const { sequences } = open({
      cluster: { nodes: nodes.slice(0, 1), client: { socket: { tls: true, ...tlsOptions(client) } } },
    });
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) expect(await sequences.next(groupChat(name))).toBe(1);
  });

  it('works with Sentinels and the servers that they watch', async () => {
    const watched = await startSentinels({ replicas: 1, tls: { server, client } });
    started.push({ end: () => watched.stop() });
    const nodes = watched.sentinels.map(({ port }) => ({ host: '127.0.0.1', port }));
    const secure = tlsOptions(client);
    const { sequences } = open({
      sentinel: {
        name: 'mymaster',
        nodes: nodes.slice(0, 1),
        tls: { ...secure },
        client: { socket: { tls: true, ...secure } },
      },
    });
    expect(await sequences.next(g1)).toBe(1);
  });
});

describe('a password that changes', () => {
  it('does not disturb what is connected, and is asked for again at the next connection', async () => {
    const server = await redisServer({ args: userArguments(documentedRule) });
    let current = password;
    const provider = {
      type: 'async-credentials-provider' as const,
      credentials: async () => ({ username: 'tidemark', password: current }),
    };
    const socket = { host: '127.0.0.1', port: server.port };
    const { sequences, events } = open({ client: { socket, credentialsProvider: provider } });
    expect(await sequences.next(g1)).toBe(1);
    await server.command('ACL', 'SETUSER', 'tidemark', 'resetpass', `>${password}-new`);
    expect(await sequences.nextMany(g1, 500)).toEqual({ first: 2, last: 501 });
    current = `${password}-new`;
    expect(await server.command('CLIENT', 'KILL', 'USER', 'tidemark')).toBe(1);
    expect(await sequences.next(g1)).toBe(502);
    expect(events.some(({ type }) => type === 'takeover' || type === 'gap')).toBe(false);
    expect(events.map((event) => event.type === 'store' && event.store).filter(Boolean)).toContain(
      'counters',
    );
  });

  it('is found later, too: calls fail with what is wrong until then', async () => {
    const server = await redisServer({ args: userArguments(documentedRule) });
    let current = `${password}-old`;
    const credentials = async () => ({ username: 'tidemark', password: current });
    const socket = { host: '127.0.0.1', port: server.port };
    const { sequences } = open({
      client: { socket, credentialsProvider: { type: 'async-credentials-provider', credentials } },
    });
    const error = await failureWithoutSecret(sequences.next(g1, { timeoutMs: 1_500 }));
    expect(error).toMatchObject({ code: 'counter_unavailable', retryable: true });
    expect(error.message).toContain('WRONGPASS');
    current = password;
    expect(await sequences.next(g1)).toBe(1);
  });
});

describe('several Tidemarks in one Redis', () => {
  it('do not see each other: neither numbers, nor message ids, nor sweeping, nor draining', async () => {
    const server = await redisServer();
    const one = open({ url: server.url });
    const prefixed = open({ url: server.url, prefix: 'chat' });
    const elsewhere = open({ url: `${server.url}/7` });
    const others = [prefixed, elsewhere];
    expect(await one.sequences.nextMany(g1, 40)).toEqual({ first: 1, last: 40 });
    expect(await one.sequences.next(g1, { messageId: 'm' })).toMatchObject({ number: 41, repeated: false });
    for (const { sequences } of others) {
      expect(await sequences.next(g1)).toBe(1);
      expect(await sequences.next(g1, { messageId: 'm' })).toMatchObject({ number: 2, repeated: false });
      await sequences.take(g1);
    }
    expect(await one.sequences.completeUpTo(g1)).toBe(41);
    const { counters } = one;
    const slot = counters.slotOf(g1.key);
    expect(await counters.sweep(slot, () => 1_000, new AbortController().signal)).toBe(1);
    await one.sequences.drainAll();
    await sleep(50);
    for (const { sequences, events } of others) {
      expect(await sequences.next(g1)).toBe(4);
      expect(events.some(({ type }) => type === 'takeover')).toBe(false);
    }
  });
});

async function expectNothingDenied(server: RedisServer): Promise<void> {
  expect(await server.command('ACL', 'LOG')).toEqual([]);
}
