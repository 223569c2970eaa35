import { TidemarkError } from '../errors.js';
import type { Clock } from './clock.js';
import type { CounterStore } from './counter-store.js';
import type { EventListener } from './events.js';
import type { Ledger } from './ledger.js';
import { defaultReservationPolicy, maxBlockSize, type ReservationPolicy } from './reservation-policy.js';

/** Most numbers that one call, and one take of a conversation, may ask for. */
export const maxCountPerCall = 1_000;
/** Longest deadline of a call, in milliseconds. */
export const maxTimeoutMs = 600_000;

/** How a generator is set up. Everything but the two stores has a default. */
export interface GeneratorOptions {
  /** Where the counter words are. The generator closes it. */
  readonly counters: CounterStore;
  /** Where the high-water marks are. The generator closes it. */
  readonly ledger: Ledger;
  /** Deadline of a call that names none, in milliseconds, 1 to 600,000; 5,000 by default. */
  readonly timeoutMs?: number;
  /** How large the next block is; see {@link defaultReservationPolicy}. */
  readonly reservation?: ReservationPolicy;
  /** Policies of conversation types. */
  readonly reservationByType?: Readonly<Record<string, ReservationPolicy>>;
  /**
   * The policy of one conversation, by its key; undefined for that of its type. Asked each time a conversation comes into
   * use, so it must be quick.
   */
  readonly reservationFor?: (conversation: string) => ReservationPolicy | undefined;
  /**
   * What happens when a block is used up while the ledger is out of reach: `continue` (default) extends it without the
   * ledger and backs it later, `refuse` lets calls wait until their deadline. With counters that end with the process it
   * is always `refuse`: a crash would lose both.
   */
  readonly ledgerOutage?: 'continue' | 'refuse';
  /** After how long without an answer the ledger counts as out of reach, in milliseconds, 10 to 60,000; 1,000 by default. */
  readonly ledgerPatienceMs?: number;
  /** Most calls that may wait or be under way at once, 1 to 10,000,000; 100,000 by default. More are `overloaded`. */
  readonly maxCalls?: number;
  /** Most conversations in one take, 1 to 1,000; 250 by default. */
  readonly maxBatch?: number;
  /** Most takes under way at once, 1 to 8; 4 by default. */
  readonly maxTakes?: number;
  /** Most conversations of which the process remembers the last number that it saw, 1,000 to 100,000,000; 100,000 by default. */
  readonly maxRemembered?: number;
  /** Is told what happens; see {@link TidemarkEvent}. */
  readonly onEvent?: EventListener;
  /** Time and scheduling; the system's by default. */
  readonly clock?: Clock;
}

/** Options of a single call. */
export interface CallOptions {
  /** Gives the call up when it aborts. */
  readonly signal?: AbortSignal;
  /** Deadline in milliseconds, 1 to 600,000. */
  readonly timeoutMs?: number;
}

/** The options with every default filled in. */
export interface ResolvedOptions {
  readonly timeoutMs: number;
  readonly policyFor: (conversation: string, type: string) => ReservationPolicy;
  readonly ledgerOutage: 'continue' | 'refuse';
  readonly ledgerPatienceMs: number;
  readonly maxCalls: number;
  readonly maxBatch: number;
  readonly maxTakes: number;
  readonly maxRemembered: number;
}

/** Checks the options and fills in the defaults. */
export function resolveOptions(options: GeneratorOptions): ResolvedOptions {
  const policy = checkPolicy('reservation', options.reservation ?? defaultReservationPolicy);
  const byType = new Map(
    Object.entries(options.reservationByType ?? {}).map(([type, of]) => [
      type,
      checkPolicy(`reservationByType.${type}`, of),
    ]),
  );
  const { reservationFor } = options;
  const outage = options.ledgerOutage ?? 'continue';
  if (outage !== 'continue' && outage !== 'refuse') {
    throw invalid(`ledgerOutage must be 'continue' or 'refuse', got ${String(outage)}`);
  }
  return {
    timeoutMs: checkInteger('timeoutMs', options.timeoutMs ?? 5_000, 1, maxTimeoutMs),
    policyFor: (conversation, type) => {
      const own = reservationFor && askFor(conversation, reservationFor);
      return own ?? byType.get(type) ?? policy;
    },
    ledgerOutage: options.counters.traits.private ? 'refuse' : outage,
    ledgerPatienceMs: checkInteger('ledgerPatienceMs', options.ledgerPatienceMs ?? 1_000, 10, 60_000),
    maxCalls: checkInteger('maxCalls', options.maxCalls ?? 100_000, 1, 10_000_000),
    maxBatch: checkInteger('maxBatch', options.maxBatch ?? 250, 1, 1_000),
    maxTakes: checkInteger('maxTakes', options.maxTakes ?? 4, 1, 8),
    maxRemembered: checkInteger('maxRemembered', options.maxRemembered ?? 100_000, 1_000, 100_000_000),
  };
}

/** The deadline of a call, in milliseconds from its start. */
export function checkTimeout(timeoutMs: number): number {
  return checkInteger('timeoutMs', timeoutMs, 1, maxTimeoutMs);
}

/** Refuses everything but an integer from `min` to `max`. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw invalid(`${name} must be an integer from ${min} to ${max}, got ${String(value)}`);
}

function askFor(
  conversation: string,
  reservationFor: NonNullable<GeneratorOptions['reservationFor']>,
): ReservationPolicy | undefined {
  let policy: ReservationPolicy | undefined;
  try {
    policy = reservationFor(conversation);
  } catch (cause) {
    const message = `reservationFor failed for ${conversation} (${String(cause)}); it must return a policy or undefined`;
    throw new TidemarkError('invalid_argument', message, { conversation, cause });
  }
  return policy && checkPolicy(`reservationFor(${conversation})`, policy);
}

function checkPolicy(name: string, policy: ReservationPolicy): ReservationPolicy {
  if (policy.kind === 'fixed') {
    checkInteger(`${name}.size`, policy.size, 1, maxBlockSize);
  } else if (policy.kind === 'adaptive') {
    checkInteger(`${name}.initial`, policy.initial, 1, maxBlockSize);
    checkInteger(`${name}.max`, policy.max, policy.initial, maxBlockSize);
    checkInteger(`${name}.growBelowMs`, policy.growBelowMs, 0, Number.MAX_SAFE_INTEGER);
    checkInteger(`${name}.shrinkAboveMs`, policy.shrinkAboveMs, policy.growBelowMs, Number.MAX_SAFE_INTEGER);
  } else {
    throw invalid(`${name}.kind must be 'fixed' or 'adaptive'`);
  }
  return policy;
}

function invalid(message: string): TidemarkError {
  return new TidemarkError('invalid_argument', message);
}
