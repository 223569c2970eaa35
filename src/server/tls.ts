/** TLS of every door, from the same certificates. */

import type { TlsOptions } from 'node:tls';
import type { TlsMaterial } from './door.js';

/** How long a handshake may take, in milliseconds. */
const handshakeTimeoutMs = 10_000;

export function tlsOptions({ cert, key, clientCa }: TlsMaterial): TlsOptions {
  return {
    handshakeTimeout: handshakeTimeoutMs,
    cert,
    key,
    minVersion: 'TLSv1.2',
    ...(clientCa !== undefined && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  };
}
