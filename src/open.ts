import type { GeneratorOptions } from './core/options.js';
import { MemoryCounterStore } from './counters/memory/memory-counter-store.js';
import { RedisCounterStore, type RedisCounterStoreOptions } from './counters/redis/redis-counter-store.js';
import { LmdbLedger } from './ledgers/lmdb/lmdb-ledger.js';
import { MySqlLedger, type MySqlLedgerOptions } from './ledgers/mysql/mysql-ledger.js';
import { SequenceGenerator } from './sequence-generator.js';

/** Everything about a generator but its stores. */
export type TuningOptions = Omit<GeneratorOptions, 'counters' | 'ledger'>;

/** Options of {@link openEmbedded}. */
export interface EmbeddedOptions extends TuningOptions {
  /** Folder of the ledger; made if it is missing. One process at a time. */
  readonly folder: string;
  /** Most message ids whose numbers are remembered, 1 to 10,000,000; 250,000 by default, the oldest are forgotten first. */
  readonly maxReceipts?: number;
}

/**
 * Opens a generator that needs no server: counters in this process, the ledger in a folder.
 *
 * @param options - the folder, and tuning as in {@link GeneratorOptions}
 * @returns the generator; close it to go on without a gap at the next start
 * @throws TidemarkError `invalid_argument`, `ledger_in_use`, `ledger_unavailable`, `ledger_full`, `schema_too_new`
 * @example
 * ```ts
 * import { groupChat, openEmbedded } from 'tidemark';
 * const sequences = await openEmbedded({ folder: './tidemark-data' });
 * console.log(await sequences.next(groupChat('g1'))); // 1
 * await sequences.close();
 * ```
 */
export async function openEmbedded({
  folder,
  maxReceipts,
  ...tuning
}: EmbeddedOptions): Promise<SequenceGenerator> {
  const counters = new MemoryCounterStore(maxReceipts === undefined ? {} : { maxReceipts });
  const ledger = await LmdbLedger.open({ folder });
  return new SequenceGenerator({ counters, ledger, ...tuning });
}

/** Options of {@link openTidemark}. */
export interface TidemarkOptions extends TuningOptions {
  /** URL of the Redis that holds the counters, or all options of the store. */
  readonly redis: string | RedisCounterStoreOptions;
  /** URL of the MySQL or MariaDB database that holds the ledger, or all options of the ledger. */
  readonly mysql: string | MySqlLedgerOptions;
}

/**
 * Opens a generator over Redis and MySQL (or MariaDB). Any number of processes may run side by side.
 *
 * @param options - the two servers, and tuning as in {@link GeneratorOptions}
 * @returns the generator; it connects with its first call
 * @throws TidemarkError `invalid_argument`
 * @example
 * ```ts
 * import { openTidemark, privateChat } from 'tidemark';
 * const sequences = openTidemark({ redis: process.env.REDIS_URL!, mysql: process.env.MYSQL_URL! });
 * console.log(await sequences.next(privateChat('alice', 'bob')));
 * await sequences.close();
 * ```
 */
export function openTidemark({ redis, mysql, ...tuning }: TidemarkOptions): SequenceGenerator {
  const counters = new RedisCounterStore(typeof redis === 'string' ? { url: redis } : redis);
  const ledger = new MySqlLedger(typeof mysql === 'string' ? { url: mysql } : mysql);
  return new SequenceGenerator({ counters, ledger, ...tuning });
}
