import type { Session } from './connections.js';
import type { Health } from './health.js';

/** Warns when the server may lose what it has acknowledged. Looked at once per connection: a restart may change it. */
export async function checkDurability(session: Session, health: Health): Promise<void> {
  let row: readonly unknown[] | undefined;
  try {
    [row] = await session.query(
      'SELECT @@GLOBAL.innodb_flush_log_at_trx_commit, @@GLOBAL.sync_binlog, @@GLOBAL.log_bin',
    );
  } catch (error) {
    // A proxy or a hosted server may hide its settings; then there is nothing to tell.
    if ((error as { sqlState?: string }).sqlState !== undefined) return;
    throw error;
  }
  const [flush, syncBinlog, binlog] = (row ?? []).map(String);
  // 3 is MariaDB's older way of flushing at every commit.
  report(health, 'innodb_flush_log_at_trx_commit', flush, flush === '1' || flush === '3');
  report(health, 'sync_binlog', syncBinlog, syncBinlog === '1' || binlog === '0');
}

function report(health: Health, setting: string, value: string | undefined, safe: boolean): void {
  if (safe || value === undefined) {
    health.safe(setting);
    return;
  }
  const advice = `set ${setting} = 1; with ${value} a crash of the server forgets reservations that it has acknowledged`;
  health.risk({ status: 'not_durable', setting, value, advice });
}
