/** Listening on an address, with errors that say what to do. */

import type { Server } from 'node:net';
import { TidemarkError } from '../errors.js';
import { addressText, type Listen } from './door.js';

/** Resolves with `host:port` when the server listens. */
export function listenOn(server: Server, listen: Listen): Promise<string> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException) => reject(cannotListen(listen, error.code));
    server.once('error', failed);
    server.listen(listen.port, listen.host, () => {
      server.off('error', failed);
      const { port } = server.address() as { port: number };
      resolve(addressText({ host: listen.host, port }));
    });
  });
}

export function cannotListen(listen: Listen, code: string | undefined): TidemarkError {
  const advice =
    code === 'EADDRINUSE' ? 'something else listens there; choose another port' : 'choose another address';
  return new TidemarkError(
    'invalid_argument',
    `the server cannot listen on ${addressText(listen)} (${code ?? 'unknown'}): ${advice}`,
  );
}
