/** The Redis protocol: code that does `INCR seq:group:g1` changes only its address. */

import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { DoorContext, Listen, OpenDoor } from '../door.js';
import { listenOn } from '../listen.js';
import { tlsOptions } from '../tls.js';
import { type CommandContext, redisVersion } from './commands.js';
import { RespConnection } from './connection.js';
import { ConversationKeys } from './keys.js';

/** How often slow senders are looked for, in milliseconds. */
const patienceCheckMs = 500;

/**
 * Opens the door.
 *
 * @throws TidemarkError `invalid_argument` when the address cannot be used
 */
export async function openRespDoor(context: DoorContext, listen: Listen): Promise<OpenDoor> {
  const connections = new Set<RespConnection>();
  const commands: CommandContext = {
    service: context.service,
    keys: new ConversationKeys(context.keyPrefix),
    version: context.version,
    info: () => infoOf(context, connections.size, startedAtMs),
  };
  const startedAtMs = performance.now();
  let nextId = 1;
  const accept = (socket: Socket) => {
    if (connections.size >= context.limits.maxConnections) {
      context.metrics.refused('resp', 'full');
      socket.on('error', () => undefined);
      socket.end('-ERR max number of clients reached\r\n');
      return;
    }
    const connection = new RespConnection(nextId, socket, context, commands);
    nextId += 1;
    connections.add(connection);
    context.metrics.connected('resp');
    socket.on('close', () => {
      connections.delete(connection);
      context.metrics.disconnected('resp');
    });
  };
  const options = { noDelay: true, keepAlive: true, allowHalfOpen: true };
  const server: Server =
    context.tls === undefined
      ? createServer(options, accept)
      : createTlsServer({ ...options, ...tlsOptions(context.tls) }, accept);
  const address = await listenOn(server, listen);
  const patience = setInterval(() => {
    const nowMs = performance.now();
    for (const connection of connections) connection.checkPatience(nowMs);
  }, patienceCheckMs);
  return {
    door: 'resp',
    address,
    close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      void closed.then(() => clearInterval(patience));
      for (const connection of connections) connection.end();
      return closed;
    },
    destroy() {
      clearInterval(patience);
      server.close();
      for (const connection of connections) connection.destroy();
    },
  };
}

/** What clients look for before they go on, and what people want to know. */
function infoOf(context: DoorContext, connections: number, startedAtMs: number) {
  const { ready, reasons } = context.health.readiness;
  return [
    [
      'Server',
      [
        `redis_version:${redisVersion}`,
        'redis_mode:standalone',
        `tidemark_version:${context.version}`,
        `uptime_in_seconds:${Math.floor((performance.now() - startedAtMs) / 1_000)}`,
      ],
    ],
    ['Clients', [`connected_clients:${connections}`]],
    ['Persistence', ['loading:0']],
    ['Replication', ['role:master', 'connected_slaves:0']],
    ['Tidemark', [`ready:${ready ? 1 : 0}`, `reasons:${reasons.join(', ')}`]],
  ] as const;
}
