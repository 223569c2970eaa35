/** Commands of Redis that would break a promise, or that make no sense here, each with the reason. */

const sets = 'numbers are only issued, never set: a number that is written by hand could come twice';
const lowers = 'numbers never go back';
const forgets = 'numbers never expire or vanish: what was issued must not be issued again';
const scripts = 'scripts could change numbers; use INCR, INCRBY, GET and MGET';
const transactions =
  'numbers that were taken cannot be rolled back; send the commands one by one, in a pipeline';
const subscriptions =
  'there is nothing to subscribe to; readers ask for the gaps and the complete mark over HTTP or gRPC';
const moves = 'a series belongs to its conversation; it cannot be renamed, copied or moved';
const floats = 'sequence numbers are whole; use INCR or INCRBY';

const reasons: Readonly<Record<string, readonly string[]>> = {
  [sets]: [
    'SET',
    'SETNX',
    'SETEX',
    'PSETEX',
    'MSET',
    'MSETNX',
    'GETSET',
    'APPEND',
    'SETRANGE',
    'SETBIT',
    'BITOP',
    'BITFIELD',
    'RESTORE',
  ],
  [lowers]: ['DECR', 'DECRBY'],
  [forgets]: [
    'DEL',
    'UNLINK',
    'GETDEL',
    'GETEX',
    'EXPIRE',
    'PEXPIRE',
    'EXPIREAT',
    'PEXPIREAT',
    'FLUSHDB',
    'FLUSHALL',
    'SWAPDB',
  ],
  [scripts]: ['EVAL', 'EVALSHA', 'EVAL_RO', 'EVALSHA_RO', 'FCALL', 'FCALL_RO', 'SCRIPT', 'FUNCTION'],
  [transactions]: ['MULTI', 'WATCH', 'UNWATCH'],
  [subscriptions]: [
    'SUBSCRIBE',
    'PSUBSCRIBE',
    'SSUBSCRIBE',
    'UNSUBSCRIBE',
    'PUNSUBSCRIBE',
    'SUNSUBSCRIBE',
    'MONITOR',
    'PUBLISH',
  ],
  [moves]: ['RENAME', 'RENAMENX', 'COPY', 'MOVE', 'MIGRATE'],
  [floats]: ['INCRBYFLOAT'],
};

const reasonOf = new Map(
  Object.entries(reasons).flatMap(([reason, names]) => names.map((name) => [name, reason] as const)),
);

/** Why a command is refused; undefined for one that nobody knows. */
export function refusalOf(name: string): string | undefined {
  return reasonOf.get(name);
}
