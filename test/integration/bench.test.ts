/** The benchmark on real private servers, as short as it can be. */

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { bulkCounters } from '../../bench/measure/measured.js';
import { renderDocs } from '../../bench/page/page.js';
import type { Results } from '../../bench/results.js';
import { writeCounters } from '../../bench/servers/bulk-words.js';
import { groupChat } from '../../src/core/conversation.js';
import { openTidemark } from '../../src/open.js';
import { compiledFile, repositoryRoot } from '../support/compiled.js';
import { startMariaDb, startRedis, temporaryFolder } from '../support/servers.js';

const timeoutMs = 120_000;

it('measures every peer of a workload, and writes the page from what it measured', {
  timeout: timeoutMs,
}, async () => {
  const folder = await temporaryFolder();
  try {
    const results = await bench(
      '--quick',
      '--workload',
      'uniform',
      '--workload',
      'cold-start',
      '--docs',
      folder.path,
    );
    const [uniform] = results.workloads.uniform!;
    const names = ['tidemark', 'incr', 'ioredis', 'redis-benchmark', 'mysql', 'block-sequence', 'harness'];
    expect(Object.keys(uniform!.peers)).toEqual(names);
    for (const [name, peer] of Object.entries(uniform!.peers)) {
      expect(peer.rounds[0]!.perSecond, name).toBeGreaterThan(0);
    }
    const { tidemark, incr, mysql } = uniform!.peers;
    expect(tidemark!.rounds[0]).toMatchObject({
      p99Us: expect.any(Number),
      clientCpuUsPerNumber: expect.any(Number),
      redisCpuUsPerNumber: expect.any(Number),
      garbageBytesPerNumber: expect.any(Number),
    });
    // A key and its entry in the table.
    for (const peer of [tidemark!, incr!]) expect(peer.footprint.redisBytes).toBeGreaterThan(40);
    // Every number of a row is a write.
    expect(mysql!.rounds[0]!.ledgerRowsPer1000).toBe(1_000);
    const recovered = results.workloads['cold-start']![0]!.peers['tidemark']!;
    // Each conversation was taken over, none twice.
    expect(recovered.events['takeover']).toBe(1_000);
    for (const [file, content] of Object.entries(renderDocs(results))) {
      expect(readFileSync(path.join(folder.path, file), 'utf8'), file).toBe(content);
    }
  } finally {
    await folder.remove();
  }
});

it('writes CPU profiles, and keeps the results that it began with', { timeout: timeoutMs }, async () => {
  const folder = await temporaryFolder();
  try {
    await bench('--workload', 'private-chats', '--docs', folder.path);
    const from = path.join(folder.path, 'performance.json');
    const args = ['--quick', '--from', from, '--workload', 'embedded-hot', '--profile', folder.path];
    const results = await bench(...args);
    expect(Object.keys(results.workloads).sort()).toEqual(['embedded-hot', 'private-chats']);
    for (const peer of ['embedded', 'incr']) {
      expect(existsSync(path.join(folder.path, `embedded-hot-1-${peer}.cpuprofile`)), peer).toBe(true);
    }
  } finally {
    await folder.remove();
  }
});

it('writes counters in bulk that Tidemark goes on from', { timeout: timeoutMs }, async () => {
  const [redis, mariaDb] = await Promise.all([startRedis(), startMariaDb()]);
  const generator = openTidemark({ redis: redis.url, mysql: mariaDb.url });
  try {
    // The first call makes the first generation.
    await generator.next(groupChat('g0'));
    const [before, count] = [Number(await redis.command('DBSIZE')), 2_500];
    const { key, value } = bulkCounters.tidemark!;
    await writeCounters(redis.port, { first: 1, end: count + 1 }, key, value);
    expect(Number(await redis.command('DBSIZE'))).toBe(before + count);
    for (const index of [1, 1_000, count]) expect(await generator.next(groupChat(`g${index}`))).toBe(231);
    expect(await generator.next(groupChat(`g${count + 1}`))).toBe(1);
  } finally {
    await generator.close();
    await Promise.all([redis.stop(), mariaDb.stop()]);
  }
});

it('says what is wrong with a command line', async () => {
  const wrong = promisify(execFile)(process.execPath, [compiledFile('bench/main.ts'), '--workload', 'none']);
  await expect(wrong).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('no workload none') });
});

async function bench(...args: string[]): Promise<Results> {
  const program = [compiledFile('bench/main.ts'), '--json', ...args];
  const { stdout } = await promisify(execFile)(process.execPath, program, {
    cwd: repositoryRoot,
    timeout: timeoutMs,
    maxBuffer: 2 ** 24,
  });
  return JSON.parse(stdout) as Results;
}
