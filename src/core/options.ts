import { TidemarkError } from '../errors.js';
import type { SequenceRange } from './call.js';
import type { Clock } from './clock.js';
import type { Conversation } from './conversation.js';
import type { CounterStore } from './counter-store.js';
import { maxSequenceNumber } from './counter-word.js';
import type { DrainReport } from './draining.js';
import type { EventListener } from './events.js';
import type { Finding } from './findings.js';
import type { Ledger } from './ledger.js';
import { quote, shown } from './quote.js';
import { defaultReservationPolicy, maxBlockSize, type ReservationPolicy } from './reservation-policy.js';
import type { StoredNumber } from './stored-numbers.js';
import type { VerificationReport } from './verification.js';

/** Most numbers that one call, and one take of a conversation, may ask for. */
export const maxCountPerCall = 1_000;
/** Longest deadline of a call, in milliseconds. */
export const maxTimeoutMs = 600_000;
/** Longest message id, in bytes of UTF-8. */
export const maxMessageIdBytes = 255;
/** Others take a process for gone that was not seen for 5 s. */
export const maxFenceCheckMs = 2_000;
/** 30 days. */
export const maxIdleMs = 2_592_000_000;
/** Longest part of an error of the caller's own that a message repeats, in characters. */
const maxReasonLength = 200;
/** A week. */
const maxWindowMs = 604_800_000;

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
  /**
   * How long a message id keeps its number, in milliseconds, 1,000 to 604,800,000 (a week); 600,000 (ten minutes) by
   * default. The same in all processes.
   */
  readonly messageIdWindowMs?: number;
  /** The same for conversation types. */
  readonly messageIdWindowMsByType?: Readonly<Record<string, number>>;
  /**
   * Of how many of its latest message ids the process remembers the numbers, 0 to 1,000,000; 10,000 by default. After a
   * failover it puts their receipts back where they were lost.
   */
  readonly maxRememberedReceipts?: number;
  /**
   * How long a tracked take stays open, in milliseconds, 1,000 to 3,600,000; 30,000 by default. The same in all processes:
   * after a failover each of them waits one lease for the others' takes.
   */
  readonly leaseMs?: number;
  /**
   * How often the process makes sure that the counter store was not replaced, in milliseconds, 100 to 2,000, or 0 for
   * never; 1,000 by default. So long can a process on an isolated old primary go on with the block that it holds.
   */
  readonly fenceCheckMs?: number;
  /**
   * After how long without a call a conversation's unused numbers go back to the ledger, so that it takes no memory in the
   * counter store, in milliseconds, 1,000 to 2,592,000,000 (30 days); never by default.
   */
  readonly idleAfterMs?: number;
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

/** Options of a call for the number of a message. */
export interface MessageIdOptions extends CallOptions {
  /** Any text of 1 to 255 bytes of UTF-8 that is the same when the message is sent again. */
  readonly messageId: string;
}

/** Options of draining many conversations. */
export interface DrainAllOptions extends CallOptions {
  /** Only conversations of this type; all by default. */
  readonly type?: string;
  /** Is told the sums so far, now and then. */
  readonly onProgress?: (report: DrainReport) => void;
}

/** Options of a verification. */
export interface VerifyOptions extends CallOptions {
  /** Only this conversation; all by default. */
  readonly conversation?: Conversation;
  /** Only conversations of this type; all by default. */
  readonly type?: string;
  /**
   * The number of every stored message, in order of the conversations' key bytes and then of the numbers, from a read that
   * began before this call. One conversation at a time is held in memory.
   */
  readonly messages?: AsyncIterable<StoredNumber>;
  /** Mends what can be mended while others issue numbers; nothing is changed by default. */
  readonly repair?: boolean;
  /** Is told each finding. */
  readonly onFinding?: (finding: Finding) => void;
  /** Is told the sums so far, now and then. */
  readonly onProgress?: (report: VerificationReport) => void;
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
  readonly messageIdWindowMs: (type: string) => number;
  readonly maxRememberedReceipts: number;
  readonly leaseMs: number;
  readonly fenceCheckMs: number;
  readonly idleAfterMs: number | undefined;
}

/**
 * Checks the options and fills in the defaults.
 *
 * @throws TidemarkError `invalid_argument`
 */
export function resolveOptions(options: GeneratorOptions): ResolvedOptions {
  try {
    return resolve(options);
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    // A getter or a proxy of the caller's own.
    throw new TidemarkError('invalid_argument', 'an option cannot be read; give plain values', { cause });
  }
}

function resolve(options: GeneratorOptions): ResolvedOptions {
  checkStores(options);
  const policy = checkPolicy('reservation', options.reservation ?? defaultReservationPolicy);
  const byType = new Map<string, ReservationPolicy>();
  for (const [name, type, of] of entriesByType('reservationByType', options.reservationByType))
    byType.set(type, checkPolicy(name, of as ReservationPolicy));
  const { reservationFor } = options;
  if (reservationFor !== undefined && typeof reservationFor !== 'function')
    throw invalid(`reservationFor must be a function, got ${shown(reservationFor)}`);
  const outage = options.ledgerOutage ?? 'continue';
  if (outage !== 'continue' && outage !== 'refuse') {
    throw invalid(`ledgerOutage must be 'continue' or 'refuse', got ${shown(outage)}`);
  }
  return {
    timeoutMs: checkInteger('timeoutMs', options.timeoutMs ?? 5_000, 1, maxTimeoutMs),
    policyFor: (conversation, type) => {
      const own = reservationFor && askFor(conversation, reservationFor);
      if (own !== undefined || byType.size === 0) return own ?? policy;
      return byType.get(type) ?? policy;
    },
    ledgerOutage: options.counters.traits.private ? 'refuse' : outage,
    ledgerPatienceMs: checkInteger('ledgerPatienceMs', options.ledgerPatienceMs ?? 1_000, 10, 60_000),
    maxCalls: checkInteger('maxCalls', options.maxCalls ?? 100_000, 1, 10_000_000),
    maxBatch: checkInteger('maxBatch', options.maxBatch ?? 250, 1, 1_000),
    maxTakes: checkInteger('maxTakes', options.maxTakes ?? 4, 1, 8),
    maxRemembered: checkInteger('maxRemembered', options.maxRemembered ?? 100_000, 1_000, 100_000_000),
    messageIdWindowMs: resolveWindows(options),
    maxRememberedReceipts: checkInteger(
      'maxRememberedReceipts',
      options.maxRememberedReceipts ?? 10_000,
      0,
      1_000_000,
    ),
    leaseMs: checkInteger('leaseMs', options.leaseMs ?? 30_000, 1_000, 3_600_000),
    fenceCheckMs:
      options.fenceCheckMs === 0
        ? 0
        : checkInteger('fenceCheckMs', options.fenceCheckMs ?? 1_000, 100, maxFenceCheckMs),
    idleAfterMs:
      options.idleAfterMs === undefined
        ? undefined
        : checkInteger('idleAfterMs', options.idleAfterMs, 1_000, maxIdleMs),
  };
}

/** What cannot work as a store, or as a listener, is told now and not at the first call. */
function checkStores(options: GeneratorOptions): void {
  if (typeof options !== 'object' || options === null)
    throw invalid(`give { counters, ledger }, got ${shown(options)}`);
  const { counters, ledger, onEvent } = options as Partial<GeneratorOptions>;
  if (typeof counters?.take !== 'function' || typeof counters.traits !== 'object' || counters.traits === null)
    throw invalid(`counters must be a counter store, such as a RedisCounterStore, got ${shown(counters)}`);
  if (typeof ledger?.reserve !== 'function')
    throw invalid(`ledger must be a ledger, such as a MySqlLedger, got ${shown(ledger)}`);
  if (onEvent !== undefined && typeof onEvent !== 'function')
    throw invalid(`onEvent must be a function, got ${shown(onEvent)}`);
}

/** The settings of conversation types: what each is called in messages, its type, and its value. */
function entriesByType(
  option: string,
  settings: unknown,
): readonly (readonly [name: string, type: string, value: unknown])[] {
  if (settings === undefined || settings === null) return [];
  // The entries of a Map are no properties: its settings would be ignored.
  if (typeof settings !== 'object' || Symbol.iterator in settings)
    throw invalid(`${option} must be an object with a value for each type, got ${shown(settings)}`);
  return Object.entries(settings).map(([type, value]) => {
    return [`${option}.${quote(type).slice(1, -1)}`, type, value];
  });
}

/** The deadline of a call, in milliseconds from its start. */
export function checkTimeout(timeoutMs: number): number {
  return checkInteger('timeoutMs', timeoutMs, 1, maxTimeoutMs);
}

/** Refuses everything but a message id. */
export function checkMessageId(messageId: unknown): string {
  if (typeof messageId !== 'string') throw invalid(`messageId must be a string, got ${typeof messageId}`);
  if (!messageId.isWellFormed()) throw invalid('messageId has a lone surrogate; it is not valid Unicode');
  // A UTF-16 unit takes at most three bytes, so shorter ids need no count.
  const fits =
    messageId.length * 3 <= maxMessageIdBytes ||
    (messageId.length <= maxMessageIdBytes && Buffer.byteLength(messageId) <= maxMessageIdBytes);
  if (messageId !== '' && fits) return messageId;
  throw invalid(`messageId must have 1 to ${maxMessageIdBytes} bytes of UTF-8`);
}

/** A range has no receipt: a caller who thinks otherwise would burn numbers with every retry. */
export function checkNoMessageId(options: object | undefined): void {
  if ((options as Partial<MessageIdOptions> | null | undefined)?.messageId === undefined) return;
  throw invalid('only next and take for one number know a messageId; call next for each message');
}

/** Refuses everything but the numbers of one take. */
export function checkTakeRange(range: SequenceRange): SequenceRange {
  const first = checkInteger('first', range?.first, 1, maxSequenceNumber);
  const most = Math.min(first + maxCountPerCall - 1, maxSequenceNumber);
  return { first, last: checkInteger('last', range.last, first, most) };
}

/** Refuses everything but an integer from `min` to `max`. */
export function checkInteger(name: string, value: unknown, min: number, max: number): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return value as number;
  throw invalid(`${name} must be an integer from ${min} to ${max}, got ${shown(value)}`);
}

function resolveWindows(options: GeneratorOptions): (type: string) => number {
  const check = (name: string, windowMs: unknown) => checkInteger(name, windowMs, 1_000, maxWindowMs);
  const windowMs = check('messageIdWindowMs', options.messageIdWindowMs ?? 600_000);
  const byType = new Map<string, number>();
  const { messageIdWindowMsByType } = options;
  for (const [name, type, of] of entriesByType('messageIdWindowMsByType', messageIdWindowMsByType))
    byType.set(type, check(name, of));
  return (type) => byType.get(type) ?? windowMs;
}

function askFor(
  conversation: string,
  reservationFor: NonNullable<GeneratorOptions['reservationFor']>,
): ReservationPolicy | undefined {
  try {
    const policy: ReservationPolicy | null | undefined = reservationFor(conversation);
    return policy === undefined || policy === null
      ? undefined
      : checkPolicy(`reservationFor(${conversation})`, policy);
  } catch (cause) {
    if (cause instanceof TidemarkError) throw cause;
    const why = cause instanceof Error ? cause.message.slice(0, maxReasonLength) : shown(cause);
    const message = `reservationFor failed for ${conversation} (${why}); it must return a policy or undefined`;
    throw new TidemarkError('invalid_argument', message, { conversation, cause });
  }
}

function checkPolicy(name: string, policy: ReservationPolicy): ReservationPolicy {
  if (typeof policy !== 'object' || policy === null)
    throw invalid(`${name} must be an object with a kind, got ${shown(policy)}`);
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
