/** Writes millions of counters into a Redis, which would take an hour by asking for numbers. */

import { once } from 'node:events';
import net from 'node:net';

const keysPerCommand = 1_000;

/** Sets `key(first)` … `key(end − 1)` to `value`, for `first` and `end` as given. */
export async function writeCounters(
  port: number,
  { first, end }: { readonly first: number; readonly end: number },
  key: (index: number) => string,
  value: string,
): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  const commands = Math.ceil((end - first) / keysPerCommand);
  const answered = replies(socket, commands);
  for (let from = first; from < end; from += keysPerCommand) {
    const to = Math.min(end, from + keysPerCommand);
    const parts = ['MSET'];
    for (let index = from; index < to; index += 1) parts.push(key(index), value);
    if (!socket.write(encoded(parts))) await once(socket, 'drain');
  }
  await answered;
  socket.destroy();
}

function encoded(parts: readonly string[]): string {
  return `*${parts.length}\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join('')}`;
}

/** Waits for so many `+OK`. */
function replies(socket: net.Socket, count: number): Promise<void> {
  const okLength = '+OK\r\n'.length;
  let bytes = 0;
  return new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('Redis closed the connection of the bulk load')));
    socket.on('data', (piece) => {
      if (piece.includes('-')) reject(new Error(`Redis refused the bulk load: ${piece}`));
      bytes += piece.length;
      if (bytes === count * okLength) resolve();
    });
  });
}
