/** What every door has: where it listens, what it works with, and how it is closed. */

import type { Logger } from 'pino';
import type { Access } from './access.js';
import type { Health } from './health.js';
import type { Door, ServerMetrics } from './metrics.js';
import type { Service } from './service.js';

/** Where a door listens; port 0 for any free one. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** Certificates, as PEM. */
export interface TlsMaterial {
  readonly cert: string;
  readonly key: string;
  /** Clients need a certificate signed by one of these (mTLS). */
  readonly clientCa?: string | undefined;
}

/** Bounds of what anybody may send. */
export interface DoorLimits {
  /** Connections of one door; further ones are closed at once. */
  readonly maxConnections: number;
  /** Bytes of one request or command. */
  readonly maxRequestBytes: number;
  /** Requests of one connection that wait for their answers; more are not read meanwhile. */
  readonly maxPipelined: number;
  /** A request whose bytes stop coming for so long ends its connection. */
  readonly requestTimeoutMs: number;
}

/** What a door works with. */
export interface DoorContext {
  readonly service: Service;
  readonly access: Access;
  readonly metrics: ServerMetrics;
  readonly health: Health;
  readonly log: Logger;
  readonly tls: TlsMaterial | undefined;
  readonly limits: DoorLimits;
  /** First part of keys in the Redis protocol, without the colon. */
  readonly keyPrefix: string;
  readonly version: string;
}

/** A door that listens. */
export interface OpenDoor {
  readonly door: Door;
  /** `host:port`, with the port that was found. */
  readonly address: string;
  /** Accepts nothing new, and resolves when everything that came before is answered and every connection closed. */
  close(): Promise<void>;
  /** Cuts what is still connected. */
  destroy(): void;
}

/** `host:port`, with an IPv6 host in brackets. */
export function addressText({ host, port }: Listen): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
