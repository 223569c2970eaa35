/**
 * Four processes send the messages of two hundred conversations, again and again, while replies are lost and stale
 * replicas are promoted; the judge reads what they wrote.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { TidemarkEvent } from '../../src/core/events.js';
import { compiledFile } from '../support/compiled.js';
import { judge } from '../support/judge.js';
import { gapsOf } from '../support/load.js';
import { asCalls, judgeMessages, type MessageRecord, type ReadRecord } from '../support/message-judge.js';
import { startProxy } from '../support/proxy.js';
import { replicate } from '../support/replicate.js';
import { freePort, startMariaDb, startRedis, temporaryFolder } from '../support/servers.js';
import type { MessagesOptions } from './messages-process.js';

const leaseMs = 1_500;
const seed = Number(process.env['TIDEMARK_SEED'] ?? 1);
/** So long the replica has not heard of anything when it is promoted. */
const lagMs = 400;

interface Line {
  readonly message?: MessageRecord;
  readonly read?: ReadRecord;
  readonly event?: TidemarkEvent;
  readonly code?: string;
}

it(`P5, I10–I12: retries, dropped replies and failovers (seed ${seed})`, async () => {
  const folder = await temporaryFolder();
  const maria = await startMariaDb();
  let [primary, replica] = [await startRedis(), await startRedis()];
  const proxy = await startProxy(primary.port);
  try {
    await replicate(replica, primary);
    const options = { redis: `redis://127.0.0.1:${proxy.port}`, mysql: await maria.createDatabase() };
    const load = startProcesses(folder.path, { ...options, seed, conversations: 200, senders: 10, leaseMs });
    await sleep(1_500);
    for (let failover = 0; failover < 3; failover += 1) {
      for (let drop = 0; drop < 15; drop += 1) {
        await proxy.cutAfterNextReplyDropped();
        await sleep(40);
      }
      await replica.command('REPLICAOF', '127.0.0.1', String(await freePort()));
      await sleep(lagMs);
      await primary.kill();
      await replica.command('REPLICAOF', 'NO', 'ONE');
      proxy.targetPort = replica.port;
      proxy.cutAll();
      [primary, replica] = [replica, primary];
      await replica.start();
      await replicate(replica, primary);
      await sleep(leaseMs + 500);
    }
    const lines = await load.finish();
    await check(lines, await gapsOf(options.mysql, conversationsOf(lines)));
  } finally {
    await proxy.stop();
    for (const server of [primary, replica, maria]) await server.stop();
    await folder.remove();
  }
}, 120_000);

async function check(lines: readonly Line[], gaps: Awaited<ReturnType<typeof gapsOf>>): Promise<void> {
  const messages = lastStates(lines);
  const reads = lines.flatMap(({ read }) => read ?? []);
  const events = lines.flatMap(({ event }) => event ?? []);
  const lost = events.filter((event) => event.type === 'receipt_lost');
  const { renumbered, silent, shared, ...reading } = judgeMessages(messages, reads, lost, gaps);
  const { duplicates, holes } = judge(asCalls(messages), gaps);
  const restored = events.reduce(
    (sum, event) => sum + (event.type === 'receipts_restored' ? event.receipts : 0),
    0,
  );
  const repeated = messages.filter((message) => message.repeated).length;
  const stored = messages.filter(({ storedAt }) => storedAt !== undefined).length;
  console.log(
    `${messages.length} calls, ${repeated} repeated, ${stored} messages stored, ${reads.length} reads;`,
    `${renumbered.length} message ids with a second number after a failover, ${lost.length} receipts told to be lost,`,
    `${restored} put back; ${messages.filter(({ settled }) => settled?.as === 'told').length} stored too late and told so`,
    count(lines.flatMap(({ code }) => code ?? [])),
  );
  expect({ seed, silent, shared, duplicates, holes, ...reading }).toEqual({
    ...{
      seed,
      silent: [],
      shared: [],
      duplicates: [],
      holes: [],
      passed: [],
      passedOnIsolated: [],
      hasty: [],
      unexplained: [],
    },
  });
  // Otherwise nothing was tried.
  expect(repeated).toBeGreaterThan(1_000);
  expect(reads.filter(({ completeUpTo }) => completeUpTo > 0).length).toBeGreaterThan(1_000);
  expect(restored).toBeGreaterThan(100);
}

/** A message is written when it has its number, and again when it is stored or abandoned. */
function lastStates(lines: readonly Line[]): MessageRecord[] {
  const messages = new Map<string, MessageRecord>();
  for (const { message } of lines) {
    if (message === undefined) continue;
    messages.set(`${message.conversation} ${message.messageId} ${message.start}`, message);
  }
  return [...messages.values()];
}

function conversationsOf(lines: readonly Line[]): Set<string> {
  return new Set(lines.flatMap(({ message }) => message?.conversation ?? []));
}

function startProcesses(folder: string, options: Omit<MessagesOptions, 'file' | 'maxDurationMs'>) {
  const files: string[] = [];
  let stderr = '';
  const processes = Array.from({ length: 4 }, (_, index): ChildProcess => {
    const file = path.join(folder, `messages-${index}.log`);
    files.push(file);
    const all = { ...options, seed: options.seed * 100 + index, file, maxDurationMs: 90_000 };
    const program = compiledFile('test/integration/messages-process.ts');
    const child = spawn(process.execPath, [program, JSON.stringify(all)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    child.stderr!.on('data', (chunk) => {
      stderr += String(chunk);
    });
    return child;
  });
  const ended = Promise.all(processes.map((child) => once(child, 'close')));
  return {
    async finish(): Promise<Line[]> {
      for (const child of processes) if (child.exitCode === null) child.send('stop');
      await ended;
      expect(stderr).toBe('');
      return files.flatMap((file) => {
        if (!existsSync(file)) return [];
        const text = readFileSync(file, 'utf8').trimEnd();
        return text.split('\n').map((line) => JSON.parse(line) as Line);
      });
    },
  };
}

function count(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}
