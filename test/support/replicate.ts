import type { RedisServer } from './servers.js';
import { waitUntil } from './wait.js';

/** Makes a server the replica of another, and waits until it has caught up. */
export async function replicate(replica: RedisServer, primary: RedisServer): Promise<void> {
  const command = ['REPLICAOF', '127.0.0.1', String(primary.port)];
  // While it loads its data it refuses.
  await waitUntil('the replica knows its primary', async () => (await replica.command(...command)) === 'OK');
  await hasCaughtUp(replica);
}

/** Waits until a server that is to be a replica has everything that its primary has. */
export async function hasCaughtUp(replica: RedisServer): Promise<void> {
  await waitUntil('the replica has caught up', async () =>
    String(await replica.command('INFO', 'replication')).includes('master_link_status:up'),
  );
}
