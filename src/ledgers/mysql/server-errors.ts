/** What errors of the server and the driver mean: one table, so that every call reports them alike. */

import type { ErrorCode } from '../../errors.js';
import { TidemarkError } from '../../errors.js';

/**
 * What a failure says about the ledger as a whole: `connection`: it cannot be reached; `writes`: it can be read but not
 * written; `call`: only this call failed.
 */
export type FailureReach = 'connection' | 'writes' | 'call';

/** A failed call, ready to be thrown. */
export interface Failure {
  readonly error: TidemarkError;
  readonly reach: FailureReach;
}

interface Meaning {
  readonly code: ErrorCode;
  readonly reach: FailureReach;
  /** What happened, and what to do. */
  readonly text: string;
}

const meanings = new Map<number, Meaning>();
mean([1045, 1698, 1044, 1251, 1275, 1862, 3118, 4151], {
  code: 'ledger_unavailable',
  reach: 'connection',
  text: 'refuses the user; check its name, password and grants',
});
mean([1129, 1130], {
  code: 'ledger_unavailable',
  reach: 'connection',
  text: 'does not admit this host; check its grants',
});
mean([1049], { code: 'ledger_unavailable', reach: 'connection', text: 'has no such database; create it' });
mean([1040, 1203, 1226], {
  code: 'ledger_unavailable',
  reach: 'connection',
  text: 'has too many connections; raise max_connections or lower poolSize',
});
mean([1142, 1143, 1227, 1370], {
  code: 'ledger_unavailable',
  reach: 'writes',
  text: 'lacks a grant for this user; grant SELECT, INSERT and UPDATE on the tables tidemark_*, and CREATE and ALTER to migrate',
});
mean([1290, 1792, 1836, 1874, 3100], {
  code: 'ledger_unavailable',
  reach: 'writes',
  text: 'is read-only; connect to the primary, or make this server one',
});
mean([1665], {
  code: 'ledger_unavailable',
  reach: 'writes',
  text: 'logs statements instead of rows; set binlog_format to ROW or MIXED',
});
mean([1213, 1205, 3101, 1062, 1020], {
  code: 'ledger_unavailable',
  reach: 'call',
  text: 'did not free the rows in time; other processes reserve the same conversations, or a session holds their locks',
});
mean([1021, 1114], { code: 'ledger_full', reach: 'call', text: 'has no space left; free disk space' });
mean([1146, 1054, 1051], {
  code: 'schema_missing',
  reach: 'call',
  text: 'has no tables of Tidemark, or not all of their columns; run `tidemark migrate`',
});
mean([1034, 1035, 1194, 1195, 1712, 1877], {
  code: 'ledger_corrupt',
  reach: 'call',
  text: 'reports a damaged table; read its error log before anything is written again',
});
const timedOut: Meaning = {
  code: 'ledger_unavailable',
  reach: 'connection',
  text: 'did not answer in time; check its load and the network',
};
const unreachable: Meaning = {
  code: 'ledger_unavailable',
  reach: 'connection',
  text: 'cannot be reached; check that it runs, its address and the network',
};
const untrusted: Meaning = {
  code: 'ledger_unavailable',
  reach: 'connection',
  text: 'cannot prove who it is over TLS; give its certificate authority as ca, and connect by the name in its certificate',
};
const unexpected: Meaning = { code: 'ledger_unavailable', reach: 'call', text: 'failed' };

/** errno 28 of the operating system, however the server words it. */
const diskFull = /(?:err(?:or|no|code):?\s*28\b)|no space left on device/i;
const duplicateKey = 1062;
/** Deadlock, lock wait timeout, certification conflict of a cluster, and "record has changed since last read". */
const conflicts = new Set([1213, 1205, 3101, 1020]);
const shutdowns = new Set([
  1053, 1077, 1079, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 4031, 1047,
]);

interface DriverError {
  readonly errno?: number;
  readonly code?: string;
  readonly sqlState?: string;
  readonly fatal?: boolean;
  readonly message: string;
}

/** Turns whatever a call threw into the error that its caller gets. */
export function failureOf(error: unknown, server: string): Failure {
  if (error instanceof TidemarkError) return { error, reach: 'call' };
  if (!isDriverError(error)) {
    return {
      error: new TidemarkError('internal', `the MySQL ledger failed: ${String(error)}`, { cause: error }),
      reach: 'call',
    };
  }
  const { code, reach, text } = meaningOf(error);
  const message = `the MySQL server ${server} ${text} (${error.code ?? 'error'}: ${firstLine(error.message)})`;
  return { error: new TidemarkError(code, message, { cause: error }), reach };
}

/** True when the transaction was rolled back and may run again. */
export function isConflict(error: unknown): boolean {
  const errno = (error as DriverError | undefined)?.errno;
  return errno !== undefined && (conflicts.has(errno) || errno === duplicateKey);
}

/** True when the table does not exist. */
export function isMissingTable(error: unknown): boolean {
  return (error as DriverError | undefined)?.errno === 1146;
}

/** True when the connection may be used again after a rollback: the server itself said no, and goes on. */
export function leavesConnectionUsable(error: unknown): boolean {
  if (error instanceof TidemarkError) return true;
  const { sqlState, fatal, errno } = error as DriverError;
  // A server that became read-only is left, too: after a failover the same name leads to another one.
  return (
    sqlState !== undefined &&
    fatal !== true &&
    errno !== undefined &&
    !shutdowns.has(errno) &&
    !isReadOnly(errno)
  );
}

function isReadOnly(errno: number): boolean {
  return meanings.get(errno)?.reach === 'writes';
}

function meaningOf(error: DriverError): Meaning {
  if (diskFull.test(error.message)) return meanings.get(1021)!;
  if (error.code === 'PROTOCOL_SEQUENCE_TIMEOUT' || error.code === 'ETIMEDOUT') return timedOut;
  if (error.code === 'HANDSHAKE_SSL_ERROR') return untrusted;
  if (error.code === 'HANDSHAKE_NO_SSL_SUPPORT')
    return { ...unreachable, text: 'does not offer TLS, which was asked for' };
  if (
    error.sqlState === undefined ||
    error.fatal === true ||
    (error.errno !== undefined && shutdowns.has(error.errno))
  ) {
    return meanings.get(error.errno ?? 0) ?? unreachable;
  }
  return meanings.get(error.errno ?? 0) ?? unexpected;
}

/** Errors of the driver have a code, errors of its queue do not; anything else is a fault of ours. */
function isDriverError(error: unknown): error is DriverError {
  return error instanceof Error && ('errno' in error || 'code' in error || 'fatal' in error);
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0]!.slice(0, 300);
}

function mean(errnos: readonly number[], meaning: Meaning): void {
  for (const errno of errnos) meanings.set(errno, meaning);
}
