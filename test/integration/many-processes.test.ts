/** Processes come and go, as with every release of a service, and share the conversations: nobody notices. */

import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { judge } from '../support/judge.js';
import { gapsOf, type Load, type LoadResult, startLoad } from '../support/load.js';
import { startMariaDb, startRedis, temporaryFolder } from '../support/servers.js';

const processes = 20;
/** How many work at the same time. */
const atOnce = 3;

it('20 processes join and leave under load: no failure, not one gap', async () => {
  const folder = await temporaryFolder();
  const [redis, maria] = await Promise.all([startRedis(), startMariaDb()]);
  try {
    const mysql = await maria.createDatabase();
    const working: Load[] = [];
    const results: Promise<LoadResult>[] = [];
    for (let index = 0; index < processes; index += 1) {
      const own = path.join(folder.path, `process-${index}`);
      await mkdir(own);
      const load = startLoad(own, { redis: redis.url, mysql, processCount: 1, callers: 4, seed: index + 1 });
      working.push(load);
      // It works before the next one comes and the oldest one goes.
      await load.running(100);
      if (working.length > atOnce) results.push(working.shift()!.finish());
    }
    results.push(...working.map((load) => load.finish()));

    const all = await Promise.all(results);
    for (const { failures, stderr } of all)
      expect({ failures, stderr }).toEqual({ failures: {}, stderr: '' });
    const calls = all.flatMap((result) => result.calls);
    const gaps = await gapsOf(mysql, new Set(calls.map(({ conversation }) => conversation)));
    const verdict = judge(calls, gaps);
    const { numbers, conversations } = verdict;
    console.log(`${numbers} numbers of ${conversations} conversations by ${processes} processes`);
    expect(gaps).toEqual([]);
    expect(verdict).toMatchObject({
      duplicates: [],
      regressions: [],
      holes: [],
      missing: 0,
      conversations: 50,
    });
  } finally {
    await Promise.all([redis.stop(), maria.stop()]);
    await folder.remove();
  }
});
