/** `tidemark serve` as people run it: processes of their own, on real stores, that are stopped, reloaded and killed. */

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'redis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.js';
import { groupChat } from '../../src/core/conversation.js';
import { openTidemark } from '../../src/open.js';
import { type RunningCommand, runCommand, startCommand } from '../support/command.js';
import { respCommand } from '../support/resp.js';
import { freePort, type MariaDbServer, startMariaDb, temporaryFolder } from '../support/servers.js';
import { Started } from '../support/started.js';
import { waitUntil } from '../support/wait.js';

const started = new Started();
let maria: MariaDbServer;

beforeAll(async () => {
  maria = await startMariaDb();
});
afterAll(() => maria.stop());
afterEach(() => started.stop());

interface Served {
  readonly running: RunningCommand;
  readonly ports: Readonly<Record<'resp' | 'http' | 'grpc', number>>;
}

/** Starts a server, and waits until it says how to talk to it. */
async function serve(...args: string[]): Promise<Served> {
  const [resp, http, grpc] = [await freePort(), await freePort(), await freePort()];
  const doors = Object.entries({ resp, http, grpc }).flatMap(([door, port]) => [
    `--${door}`,
    `127.0.0.1:${port}`,
  ]);
  const running = startCommand(['serve', ...doors, ...args]);
  started.add({
    async stop() {
      running.child.kill('SIGKILL');
      await running.result;
    },
  });
  await waitUntil('the server listens', async () => running.stdoutSoFar().includes('Ctrl-C ends it.'));
  return { running, ports: { resp, http, grpc } };
}

async function folder(): Promise<string> {
  const made = await temporaryFolder();
  started.add({ stop: () => made.remove() });
  return made.path;
}

describe('embedded', () => {
  it('says how to talk to each door, and SIGTERM hands back and ends with 0', async () => {
    const data = await folder();
    const { running, ports } = await serve('--data', data);
    const printed = running.stdoutSoFar();
    expect(printed).toContain(`redis-cli -h 127.0.0.1 -p ${ports.resp} INCR seq:group:g1`);
    expect(printed).toContain(`curl -X POST http://127.0.0.1:${ports.http}/v1/conversations/group:g1/next`);
    expect(printed).toContain(`127.0.0.1:${ports.grpc} tidemark.v1.Tidemark/Next`);
    expect(await respCommand(ports.resp, ['INCR', 'seq:group:g1'])).toBe(1);
    const answer = await fetch(`http://127.0.0.1:${ports.http}/v1/conversations/group:g1/next`, {
      method: 'POST',
    });
    expect(await answer.json()).toMatchObject({ first: 2 });
    await waitUntil('it is ready', async () => (await fetch(`http://127.0.0.1:${ports.http}/readyz`)).ok);
    const metrics = await (await fetch(`http://127.0.0.1:${ports.http}/metrics`)).text();
    expect(metrics).toContain('tidemark_numbers_issued_total{type="group"} 2');
    expect(metrics).toContain('tidemark_calls_total{door="resp",method="next",code="ok"} 1');
    running.child.kill('SIGTERM');
    expect((await running.result).status).toBe(0);
    expect(await runCommand(['next', 'group:g1', '--data', data])).toMatchObject({
      status: 0,
      stdout: '3\n',
    });
  });

  it('a second server on the folder is refused, and so is a port that is in use', async () => {
    const data = await folder();
    const { ports } = await serve('--data', data);
    const other = ['--http', 'off', '--grpc', 'off'];
    expect(await runCommand(['serve', '--data', data, '--resp', '127.0.0.1:0', ...other])).toMatchObject({
      status: 4,
      stderr: expect.stringContaining('ledger_in_use'),
    });
    const address = `127.0.0.1:${ports.resp}`;
    expect(await runCommand(['serve', '--data', await folder(), '--resp', address, ...other])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('something else listens there'),
    });
  });
});

describe('clients', () => {
  it('a token is made, known by its hash, and read again at SIGHUP; it is in no log', async () => {
    const where = await folder();
    const file = path.join(where, 'clients.json');
    const make = async (name: string) =>
      JSON.parse((await runCommand(['token', name, '--json'])).stdout) as { token: string; client: object };
    const [one, other] = [await make('one'), await make('other')];
    expect(JSON.stringify(one.client)).not.toContain(one.token);
    await writeFile(file, JSON.stringify({ clients: [one.client] }));
    const { running, ports } = await serve(
      '--data',
      path.join(where, 'data'),
      '--clients',
      file,
      '--log-level',
      'debug',
    );
    const login = (token: string) => respCommand(ports.resp, ['AUTH', token]).catch(String);
    expect([await login(one.token), await login(other.token)]).toEqual([
      'OK',
      expect.stringContaining('WRONGPASS'),
    ]);
    await writeFile(file, '{ "clients": "nonsense" }');
    running.child.kill('SIGHUP');
    await sleep(300);
    expect(await login(one.token)).toBe('OK');
    await writeFile(file, JSON.stringify({ clients: [other.client] }));
    running.child.kill('SIGHUP');
    await waitUntil('the new token is known', async () => (await login(other.token)) === 'OK');
    expect(await login(one.token)).toContain('WRONGPASS');
    running.child.kill('SIGTERM');
    const { stdout, stderr } = await running.result;
    expect(stderr).toContain('the old clients stay');
    for (const { token } of [one, other]) expect(stdout + stderr).not.toContain(token);
  });

  it.each([
    ['no JSON', '{', 'is not JSON'],
    ['no clients', '{}', 'must hold'],
    ['an unknown key', '{"clients":[{"nmae":"x"}]}', 'unknown key'],
    [
      'no hash',
      '{"clients":[{"name":"x","tokenSha256":"secret","rights":["read"]}]}',
      'its value is not shown',
    ],
    [
      'the same name twice',
      `{"clients":[${Array(2).fill(`{"name":"x","tokenSha256":"${'0'.repeat(64)}","rights":["read"]}`)}]}`,
      'same name',
    ],
  ])('a clients file with %s is refused', async (_, content, reason) => {
    const file = path.join(await folder(), 'clients.json');
    await writeFile(file, content);
    const { status, stderr } = await runCommand(['serve', '--data', './never-made', '--clients', file]);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(reason) });
    expect(stderr).not.toContain('secret');
  });
});

describe('settings', () => {
  it('flags before the environment before the file; no password is printed', async () => {
    const where = await folder();
    const config = path.join(where, 'tidemark.config.json');
    const server = { resp: '127.0.0.1:1001', http: '127.0.0.1:1002', grpc: 'off', maxPipelined: 7 };
    await writeFile(
      config,
      JSON.stringify({ redis: 'redis://u:p@ss@h:1', ledger: 'mysql://u:p%40ss@h/d?password=pass', server }),
    );
    const { status, stdout, stderr } = await runCommand(
      ['serve', '--print-config', '--resp', '127.0.0.1:1'],
      {
        folder: where,
        environment: { TIDEMARK_HTTP: '[::1]:2', TIDEMARK_RESP: '127.0.0.1:3' },
      },
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ resp: '127.0.0.1:1', http: '[::1]:2', grpc: 'off', keyPrefix: 'seq' },
      stores: { redis: 'redis://h:1', ledger: 'mysql://h/d', prefix: 'seq' },
      limits: { maxPipelined: 7 },
    });
    expect(stdout).not.toMatch(/p@ss|p%40ss|pass/);
    await writeFile(config, JSON.stringify({ data: 'd', server: { resp: 1 } }));
    expect(await runCommand(['serve'], { folder: where })).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('"resp" must be a text'),
    });
  });

  it.each([
    [['--resp', '0.0.0.0:1'], 'can be reached from other machines'],
    [['--resp', 'nonsense'], 'write host:port'],
    [['--resp', 'off', '--http', 'off', '--grpc', 'off'], 'every door is off'],
    [['--tls-key', 'k'], 'TLS needs a certificate and its key'],
    [['--tls-key', 'k', '--tls-cert', 'c'], 'cannot be read (ENOENT)'],
    [['--key-prefix', 'a:b'], '--key-prefix must'],
    [['--log-level', 'loud'], '--log-level must be one of'],
  ])('refuses %j', async (args, reason) => {
    const { status, stderr } = await runCommand(['serve', '--data', './never-made', ...args]);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(reason) });
  });
});

describe('two servers over one Redis and one MySQL', () => {
  it('kill -9 of one, under load through each door: clients go on with the other, no number twice', async () => {
    const redis = await started.redis();
    const mysql = await maria.createDatabase();
    const stores = ['--redis', redis.url, '--ledger', mysql];
    expect((await runCommand(['migrate', '--ledger', mysql])).status).toBe(0);
    const [first, second] = [await serve(...stores), await serve(...stores)];
    const numbers: number[] = [];
    const after = { resp: 0, http: 0, grpc: 0 };
    let killed = false;
    const endMs = performance.now() + 3_000;
    const repeat = async (door: keyof typeof after, issue: () => Promise<number>) => {
      while (performance.now() < endMs) {
        // One that failed may have been issued: it is lost, and never seen twice.
        const number = await issue().catch(() => undefined);
        if (number === undefined) await sleep(5);
        else {
          numbers.push(number);
          if (killed) after[door] += 1;
        }
      }
    };
    const of = groupChat('g1');
    const [http, grpc] = (['http', 'grpc'] as const).map((door) =>
      connect(
        [first, second].map(({ ports }) => `${door}://127.0.0.1:${ports[door]}`),
        { timeoutMs: 2_000 },
      ),
    );
    const overRedis = [first, second].map(({ ports }) =>
      createClient({ url: `redis://127.0.0.1:${ports.resp}`, socket: { reconnectStrategy: false } }),
    );
    for (const client of overRedis) {
      client.on('error', () => undefined);
      await client.connect();
    }
    const incr = () => (overRedis[0]!.isReady ? overRedis[0]! : overRedis[1]!).incr('seq:group:g1');
    const load = (['resp', 'http', 'grpc'] as const).flatMap((door) =>
      Array.from({ length: 8 }, () => {
        const client = door === 'http' ? http! : grpc!;
        return repeat(door, door === 'resp' ? async () => Number(await incr()) : () => client.next(of));
      }),
    );
    await sleep(1_000);
    first.running.child.kill('SIGKILL');
    killed = true;
    await Promise.all(load);
    for (const client of overRedis) client.destroy();
    for (const client of [http!, grpc!]) client.close();
    expect(new Set(numbers).size).toBe(numbers.length);
    for (const [door, count] of Object.entries(after))
      expect(count, `numbers over ${door} after the kill`).toBeGreaterThan(50);
    console.log(`${numbers.length} numbers; after the kill ${JSON.stringify(after)}`);
    const sequences = openTidemark({ redis: redis.url, mysql });
    expect(await sequences.next(of)).toBeGreaterThan(Math.max(...numbers));
    await sequences.close();
  });
});

it('what is in package.json under start is what README.md says it is', async () => {
  const { scripts } = JSON.parse(await readFile('package.json', 'utf8')) as {
    scripts: Record<string, string>;
  };
  expect(scripts['start']).toContain('dist/cli/main.js serve --data ./tidemark-data');
});
