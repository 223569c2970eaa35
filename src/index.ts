export type { SequenceRange } from './core/call.js';
export type { Clock } from './core/clock.js';
export {
  Conversation,
  conversation,
  groupChat,
  parseConversation,
  privateChat,
} from './core/conversation.js';
export type { CounterStore } from './core/counter-store.js';
export type { CounterWord } from './core/counter-word.js';
export type { DrainReport } from './core/draining.js';
export type { EventListener, TidemarkEvent } from './core/events.js';
export type { Explanation } from './core/explanations.js';
export { type Finding, type FindingKind, findingKinds } from './core/findings.js';
export type { CompleteMark, Gap, GapReason, Ledger, LedgerEntry, NewGap } from './core/ledger.js';
export { gapReasons } from './core/ledger.js';
export type { Inspection, RecoveryReport } from './core/lookups.js';
export type {
  CallOptions,
  DrainAllOptions,
  GeneratorOptions,
  MessageIdOptions,
  VerifyOptions,
} from './core/options.js';
export type { MessageNumber } from './core/receipts.js';
export type { ReservationPolicy } from './core/reservation-policy.js';
export { defaultReservationPolicy } from './core/reservation-policy.js';
export type { StoredNumber } from './core/stored-numbers.js';
export { TrackedTake } from './core/tracked-take.js';
export type { VerificationReport } from './core/verification.js';
export { MemoryCounterStore } from './counters/memory/memory-counter-store.js';
export { RedisCounterStore, type RedisCounterStoreOptions } from './counters/redis/redis-counter-store.js';
export type { Address, AddressMap, ClusterOptions, SentinelOptions } from './counters/redis/targets.js';
export { type ErrorCode, type ErrorCodeInfo, errorCodes, TidemarkError } from './errors.js';
export { LmdbLedger } from './ledgers/lmdb/lmdb-ledger.js';
export { MemoryLedger } from './ledgers/memory/memory-ledger.js';
export { MySqlLedger, type MySqlLedgerOptions } from './ledgers/mysql/mysql-ledger.js';
export {
  type EmbeddedOptions,
  openEmbedded,
  openTidemark,
  type TidemarkOptions,
  type TuningOptions,
} from './open.js';
export { SequenceGenerator } from './sequence-generator.js';
