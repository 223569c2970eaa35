import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerNotice, ReserveOutcome, ReserveRequest } from '../../src/core/ledger.js';
import { TidemarkError } from '../../src/errors.js';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import { startProxy, type TcpProxy } from '../support/proxy.js';
import { type MariaDbServer, startMariaDb } from '../support/servers.js';
import { ask, errorOf, kindOf, sql, statesOf, until } from './mysql-support.js';

let server: MariaDbServer;
beforeAll(async () => {
  server = await startMariaDb();
});
afterAll(() => server.stop());

/** A counter store as far as the ledger can tell: blocks are granted only onto the ceiling that they begin at. */
class Grants {
  readonly ceilings = new Map<string, number>();
  readonly acknowledged = new Map<string, number>();
  readonly kinds = new Map<string, number>();
  granted = 0;

  request(conversation: string): ReserveRequest {
    const ceiling = this.ceilings.get(conversation);
    return ask(conversation, ceiling === undefined ? undefined : [ceiling, 0]);
  }

  apply(conversation: string, outcome: ReserveOutcome): void {
    this.kinds.set(kindOf(outcome), (this.kinds.get(kindOf(outcome)) ?? 0) + 1);
    if (outcome.status !== 'reserved') return;
    const { start, end } = outcome.block;
    this.acknowledged.set(conversation, Math.max(end, this.acknowledged.get(conversation) ?? 0));
    const ceiling = this.ceilings.get(conversation);
    const fits = outcome.mode === 'extend' ? ceiling === start : ceiling === undefined || ceiling <= start;
    if (!fits) return;
    this.ceilings.set(conversation, end);
    this.granted += end - start;
  }
}

interface Worker {
  readonly ledger: MySqlLedger;
  readonly notices: LedgerNotice[];
  acknowledged: number;
  failed: number;
  done: Promise<void>;
}

const conversations = Array.from({ length: 60 }, (_, index) => `group:crash-${index}`);

function startWorker(url: string, grants: Grants, index: number, signal: AbortSignal): Worker {
  const ledger = new MySqlLedger({ url, queryTimeoutMs: 2_000 });
  const worker: Worker = { ledger, notices: [], acknowledged: 0, failed: 0, done: Promise.resolve() };
  ledger.onNotice((notice) => worker.notices.push(notice));
  const run = async (): Promise<void> => {
    for (let round = index; !signal.aborted; round += 7) {
      const batch = Array.from(
        { length: 20 },
        (_, at) => conversations[(round + at * 3) % conversations.length]!,
      );
      try {
        const outcomes = await ledger.reserve(batch.map((conversation) => grants.request(conversation)));
        for (const [at, outcome] of outcomes.entries()) grants.apply(batch[at]!, outcome);
        worker.acknowledged += 1;
      } catch (error) {
        if (!(error instanceof TidemarkError) || error.code !== 'ledger_unavailable') throw error;
        worker.failed += 1;
        await sleep(20);
      }
    }
  };
  worker.done = run();
  return worker;
}

it('kill -9 and restart under load, three times: every acknowledged reservation is there, and no block twice', async () => {
  const url = await server.createDatabase();
  const grants = new Grants();
  const stop = new AbortController();
  const workers = Array.from({ length: 4 }, (_, index) => startWorker(url, grants, index, stop.signal));
  try {
    await until(() => workers.every((worker) => worker.acknowledged > 20), 'all workers reserve');
    for (let crash = 0; crash < 3; crash += 1) {
      await sleep(100);
      await server.kill();
      const atCrash = workers.map((worker) => worker.acknowledged);
      const failed = workers.map((worker) => worker.failed);
      await until(() => workers.every((worker, index) => worker.failed > failed[index]!), 'all workers fail');
      await server.start();
      await until(
        () => workers.every((worker, index) => worker.acknowledged > atCrash[index]! + 20),
        'all go on',
      );
    }
  } finally {
    stop.abort();
    await Promise.all(workers.map((worker) => worker.done));
  }
  const entries = await workers[0]!.ledger.load(conversations);
  for (const [index, conversation] of conversations.entries()) {
    const ceiling = entries[index]!.ceiling;
    expect(ceiling, conversation).toBeGreaterThanOrEqual(grants.acknowledged.get(conversation)!);
    expect(ceiling, conversation).toBeGreaterThanOrEqual(grants.ceilings.get(conversation)!);
  }
  // Blocks were granted end to end, so the numbers granted are all different: as many as the ceilings add up to, less
  // what takeovers skipped with a record of it.
  let skipped = 0;
  for (const conversation of conversations) {
    for (const gap of await workers[0]!.ledger.gaps(conversation, { from: 1, to: 1e12, limit: 1_000 })) {
      skipped += gap.last - gap.first + 1;
    }
  }
  const sumOfCeilings = [...grants.ceilings.values()].reduce((sum, ceiling) => sum + ceiling, 0);
  expect(grants.granted).toBeLessThanOrEqual(sumOfCeilings);
  expect(grants.granted).toBeGreaterThanOrEqual(sumOfCeilings - skipped);
  // `healed` would mean that the ledger had lost something that it had acknowledged.
  expect(
    [...grants.kinds.keys()].filter(
      (kind) => !['new', 'extended', 'adopted', 'busy', 'takeover'].includes(kind),
    ),
  ).toEqual([]);
  expect(grants.kinds.get('extended')).toBeGreaterThan(100);
  for (const { notices } of workers) {
    // Three outages at least; a slow machine may add one.
    expect(statesOf(notices).join(' ')).toMatch(/^down up down up down up( down up)*$/);
  }
  await Promise.all(workers.map(({ ledger }) => ledger.close()));
}, 120_000);

describe('a server that does not answer', () => {
  /** A ledger behind a proxy that can hold everything back, with a connection that is open already. */
  async function behindProxy(use: (ledger: MySqlLedger, proxy: TcpProxy) => Promise<void>): Promise<void> {
    const proxy = await startProxy(server.port);
    const url = new URL(await server.createDatabase());
    url.port = String(proxy.port);
    const ledger = new MySqlLedger({ url: url.href, queryTimeoutMs: 1_000, connectTimeoutMs: 1_000 });
    try {
      await ledger.reserve([ask('group:a')]);
      await use(ledger, proxy);
    } finally {
      await ledger.close();
      await proxy.stop();
    }
  }

  it('costs one statement timeout, is told as down, and as up when it answers again', async () => {
    await behindProxy(async (ledger, proxy) => {
      const notices: LedgerNotice[] = [];
      ledger.onNotice((notice) => notices.push(notice));
      proxy.hold(true);
      const startMs = performance.now();
      const calls = Array.from({ length: 400 }, () => errorOf(ledger.reserve([ask('group:a', [10, 0])])));
      const errors = await Promise.all(calls);
      expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['ledger_unavailable']));
      expect(errors[0]!.message).toContain('did not answer in time');
      // 400 calls over 4 connections, each for a second, would take 100 s one after the other.
      expect(performance.now() - startMs).toBeLessThan(20_000);
      expect(statesOf(notices)).toEqual(['down']);
      proxy.hold(false);
      // Calls that gave up are not in the way of the next one.
      const reserving = () => ledger.reserve([ask('group:a', [10, 0])]);
      await until(
        () =>
          reserving().then(
            ([outcome]) => ['extended', 'adopted'].includes(kindOf(outcome)),
            () => false,
          ),
        'up',
      );
      expect(statesOf(notices)).toEqual(['down', 'up']);
    });
  });

  it('does not keep close from returning', async () => {
    await behindProxy(async (ledger, proxy) => {
      proxy.hold(true);
      const underWay = errorOf(ledger.load(['group:a']));
      const startMs = performance.now();
      await ledger.close();
      expect((await underWay).code).toBe('ledger_unavailable');
      expect(performance.now() - startMs).toBeLessThan(10_000);
    });
  });

  it('connections that were cut while idle are replaced', async () => {
    const proxy = await startProxy(server.port);
    const url = new URL(await server.createDatabase());
    url.port = String(proxy.port);
    const ledger = new MySqlLedger(url.href);
    await Promise.all(Array.from({ length: 8 }, () => ledger.load(['group:a'])));
    expect(proxy.connections).toBe(4);
    proxy.cutAll();
    await until(() => ledger.reserve([ask('group:a')]).then(Boolean, () => false), 'the ledger works again');
    await ledger.close();
    await proxy.stop();
  });
});

/** A proxy that loses the reply to the first COMMIT, and the connection with it. */
async function loseCommitReply(targetPort: number): Promise<{ port: number; lost(): number; stop(): void }> {
  let lost = 0;
  const listener = net.createServer((client) => {
    const target = net.connect(targetPort, '127.0.0.1');
    let dropping = false;
    client.on('data', (chunk) => {
      if (lost === 0 && chunk.toString('latin1').endsWith('COMMIT')) {
        dropping = true;
        lost += 1;
      }
      target.write(chunk);
    });
    target.on('data', (chunk) => {
      if (dropping) client.resetAndDestroy();
      else client.write(chunk);
    });
    for (const [one, other] of [
      [client, target],
      [target, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    port: (listener.address() as net.AddressInfo).port,
    lost: () => lost,
    stop: () => listener.close(),
  };
}

it('a lost reply to COMMIT is not an outcome: the caller asks again and adopts what was reserved', async () => {
  const direct = await server.createDatabase();
  const first = new MySqlLedger(direct);
  await first.reserve([ask('group:a')]);
  const proxy = await loseCommitReply(server.port);
  const url = new URL(direct);
  url.port = String(proxy.port);
  const ledger = new MySqlLedger(url.href);
  const error = await errorOf(ledger.reserve([ask('group:a', [9, 1])]));
  expect([error.code, error.retryable, proxy.lost()]).toEqual(['ledger_unavailable', true, 1]);
  // The server had committed; the retry is not a second block.
  expect(await sql(direct, 'SELECT ceiling FROM tidemark_ledger')).toEqual([{ ceiling: 20 }]);
  expect(await ledger.reserve([ask('group:a', [9, 1])])).toMatchObject([
    { kind: 'adopted', block: { start: 10, end: 20 } },
  ]);
  await Promise.all([ledger.close(), first.close()]);
  proxy.stop();
});
