/**
 * One process of the migration test: waits for a line, opens the ledger, and registers a history of its own and a shared
 * one. Prints what it got. Arguments: URL, own history, shared history.
 */

import { MySqlLedger } from '../../src/ledgers/mysql/mysql-ledger.js';

const [url, own, shared] = process.argv.slice(2);
process.stdin.once('data', () => void register());
process.stdout.write('ready\n');

async function register(): Promise<void> {
  const ledger = new MySqlLedger({ url: url!, poolSize: 1 });
  const generations = {
    own: await ledger.registerHistory(own!),
    shared: await ledger.registerHistory(shared!),
  };
  await ledger.close();
  process.stdout.write(`${JSON.stringify(generations)}\n`);
  process.stdin.destroy();
}
