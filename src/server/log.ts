/** Logs: one JSON object a line on stderr. Tokens, passwords and the contents of requests are never written. */

import { type Logger, pino } from 'pino';
import type { TidemarkEvent } from '../core/events.js';
import { TidemarkError } from '../errors.js';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Written at once: what a process logged before it died is there. */
export function openLog(level: LogLevel): Logger {
  return pino({ name: 'tidemark', level, base: null }, pino.destination({ fd: 2, sync: true }));
}

/** Events that somebody should act on, at the level that says so. Those that come with every failover by the thousand are debug. */
const levels: Readonly<Record<TidemarkEvent['type'], 'debug' | 'info' | 'warn' | 'error'>> = {
  takeover: 'debug',
  gap: 'debug',
  fenced: 'warn',
  unbacked: 'debug',
  backed: 'debug',
  ledger_healed: 'warn',
  refill_late: 'debug',
  generation: 'info',
  store: 'warn',
  not_durable: 'warn',
  receipts_restored: 'info',
  receipt_lost: 'warn',
  drained: 'info',
  idle_failed: 'warn',
  swept: 'info',
};

export function logEvent(log: Logger, event: TidemarkEvent): void {
  const level = event.type === 'store' && event.status === 'up' ? 'info' : levels[event.type];
  if (!log.isLevelEnabled(level)) return;
  const fields: Record<string, unknown> = { ...event };
  if ('cause' in event) fields['cause'] = describe(event.cause);
  // The id of a message is the user's own.
  delete fields['messageId'];
  log[level](fields, `event ${event.type}`);
}

/** Messages of our errors hold no secrets; those of drivers may. */
function describe(cause: unknown): string | undefined {
  if (cause === undefined) return undefined;
  if (cause instanceof TidemarkError) return cause.message;
  const { code } = cause as { code?: unknown };
  return typeof code === 'string' ? code : 'unknown';
}
