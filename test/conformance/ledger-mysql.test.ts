import { afterAll, beforeAll } from 'vitest';
import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';
import { type MariaDbServer, startMariaDb } from '../support/servers.js';
import { runLedgerSuite } from './ledger.suite.js';

let server: MariaDbServer;
beforeAll(async () => {
  server = await startMariaDb();
});
afterAll(() => server.stop());

runLedgerSuite({
  name: 'MySQL (a private MariaDB)',
  create: async () => {
    const ledger = new MySqlLedger(await server.createDatabase());
    return { ledger, stop: () => ledger.close() };
  },
});
