/** TLS of every door, from the same certificates. */

import type { TlsOptions } from 'node:tls';
import type { TlsMaterial } from './door.js';

export function tlsOptions({ cert, key, clientCa }: TlsMaterial): TlsOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    ...(clientCa !== undefined && { ca: clientCa, requestCert: true, rejectUnauthorized: true }),
  };
}
