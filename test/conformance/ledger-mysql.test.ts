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
    const url = await server.createDatabase();
    let ledger = new MySqlLedger(url);
    return {
      get ledger() {
        return ledger;
      },
      reopen: async () => {
        await ledger.close();
        ledger = new MySqlLedger(url);
      },
      stop: () => ledger.close(),
    };
  },
});
