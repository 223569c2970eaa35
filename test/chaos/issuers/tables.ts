import type { PeerName } from './issuer.js';

/** The table in which each keeps what it knows of a conversation; who is missing has none. */
export const tableOf: Readonly<Partial<Record<PeerName, string>>> = {
  tidemark: 'tidemark_ledger',
  'incr-snapshot': 'peer_snapshots',
  'mysql-row': 'peer_rows',
};
