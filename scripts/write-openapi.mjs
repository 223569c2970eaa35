/** `npm run openapi`: writes docs/openapi.json, as a server of this version gives it. */

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const built = (file) => import(path.join(root, 'dist', file));
const { MemoryCounterStore, MemoryLedger } = await built('index.js');
const { Server } = await built('server/server.js');
const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));

const server = await Server.start({
  counters: new MemoryCounterStore(),
  ledger: new MemoryLedger(),
  tuning: {},
  doors: { http: { host: '127.0.0.1', port: 0 } },
  clients: undefined,
  tls: undefined,
  limits: { maxConnections: 1, maxRequestBytes: 1_000, maxPipelined: 1, requestTimeoutMs: 10_000 },
  keyPrefix: 'seq',
  version,
  log: pino({ level: 'silent' }),
});
const answer = await fetch(`http://${server.doors[0].address}/openapi.json`);
const document = await answer.json();
await writeFile(path.join(root, 'docs/openapi.json'), `${JSON.stringify(document, undefined, 2)}\n`);
await server.stop(1_000);
