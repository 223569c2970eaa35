import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisServer } from './servers.js';

/** Makes a server the replica of another, and waits until it has caught up. */
export async function replicate(replica: RedisServer, primary: RedisServer): Promise<void> {
  await replica.command('REPLICAOF', '127.0.0.1', String(primary.port));
  for (let waitedMs = 0; waitedMs < 10_000; waitedMs += 20) {
    if (String(await replica.command('INFO', 'replication')).includes('master_link_status:up')) return;
    await sleep(20);
  }
  throw new Error('the replica did not connect to its primary');
}
