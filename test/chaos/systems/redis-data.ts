/** What happens to the data of Redis servers while they run. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisServer } from '../../support/servers.js';
import type { Fault } from '../schedule.js';
import type { Inflictions } from './system.js';

const keysAtOnce = '500';
/** So long at most is looked for words to delete or evict. */
const evictionMs = 300;

/** Faults that any primary can have, whoever watches over it. */
export function dataFaults(primary: (pick: number) => Promise<RedisServer>): Inflictions {
  const on = (act: (server: RedisServer, fault: Fault) => Promise<void>) => async (fault: Fault) =>
    act(await primary(fault.pick), fault);
  return {
    flush: on(async (server) => {
      await server.command('FLUSHALL');
    }),
    'delete-words': on(deleteWords),
    'evict-words': on(evict),
    'pause-counters': on(async (server, { durationMs }) => {
      server.pause();
      await sleep(durationMs);
      server.resume();
    }),
  };
}

async function deleteWords(server: RedisServer, { pick }: Fault): Promise<void> {
  const words: string[] = [];
  let cursor = '0';
  do {
    const reply = await server.command('SCAN', cursor, 'COUNT', keysAtOnce, 'MATCH', 'seq:{*}:[1-9]*');
    const [next, keys] = reply as [string, string[]];
    cursor = next;
    words.push(...keys.map(String));
  } while (cursor !== '0');
  if (words.length === 0) return;
  const share = Math.max(1, Math.floor(words.length * pick));
  // Every key by itself: in a cluster they are in different slots.
  await server.commands(words.slice(0, share).map((key) => ['DEL', key]));
}

/** Memory is short for a moment, and Redis drops what it likes. */
async function evict(server: RedisServer): Promise<void> {
  const used = Number(/used_memory:(\d+)/.exec(String(await server.command('INFO', 'memory')))?.[1]);
  await server.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-random');
  await server.command('CONFIG', 'SET', 'maxmemory', String(Math.floor(used * 0.97)));
  await sleep(evictionMs);
  await server.command('CONFIG', 'SET', 'maxmemory', '0');
  await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
}

/** Ends the connections of all clients; replicas and Sentinels keep theirs. */
export async function cutClients(server: RedisServer): Promise<void> {
  await server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
}
