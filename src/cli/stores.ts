/** Opens what the settings name. Drivers are loaded only where they are used: most of a command's start is loading. */

import type { CounterStore } from '../core/counter-store.js';
import type { EventListener } from '../core/events.js';
import type { Ledger } from '../core/ledger.js';
import { TidemarkError } from '../errors.js';
import { SequenceGenerator } from '../sequence-generator.js';
import { requireServers, requireStores, type Settings } from './config.js';

/** Two stores, opened. */
export interface OpenStores {
  readonly counters: CounterStore;
  readonly ledger: Ledger;
}

/**
 * The stores that the settings name.
 *
 * @throws TidemarkError `invalid_argument`, and what opening an embedded folder throws
 */
export async function openStores(settings: Settings): Promise<OpenStores> {
  const stores = requireStores(settings);
  if (stores.kind === 'embedded') {
    const { MemoryCounterStore } = await import('../counters/memory/memory-counter-store.js');
    const { LmdbLedger } = await import('../ledgers/lmdb/lmdb-ledger.js');
    const ledger = await LmdbLedger.open({ folder: stores.folder });
    return { counters: new MemoryCounterStore(), ledger };
  }
  const { redis, ledger: ledgerUrl } = requireServers(stores);
  const { RedisCounterStore } = await import('../counters/redis/redis-counter-store.js');
  const { MySqlLedger } = await import('../ledgers/mysql/mysql-ledger.js');
  const prefix = settings.prefix === undefined ? {} : { prefix: settings.prefix };
  const counters = new RedisCounterStore({ url: redis, ...prefix });
  return { counters, ledger: new MySqlLedger(ledgerUrl) };
}

/**
 * The generator over the stores that the settings name.
 *
 * @throws TidemarkError `invalid_argument`, and what opening an embedded folder throws
 */
export async function openGenerator(
  settings: Settings,
  extra: { readonly onEvent?: EventListener; readonly timeoutMs?: number } = {},
): Promise<SequenceGenerator> {
  const { counters, ledger } = await openStores(settings);
  return closedUnlessMade(
    ledger,
    () => new SequenceGenerator({ counters, ledger, ...extra, ...settings.tuning }),
  );
}

/** A ledger whose generator could not be made would keep its folder. */
async function closedUnlessMade(
  ledger: { close(): Promise<void> },
  make: () => SequenceGenerator,
): Promise<SequenceGenerator> {
  try {
    return make();
  } catch (error) {
    await ledger.close();
    throw error;
  }
}

/** The URL of the ledger's server alone, for what needs no counters. */
export function requireLedgerUrl(settings: Settings): string {
  const { stores } = settings;
  if (stores?.kind === 'embedded') {
    throw new TidemarkError(
      'invalid_argument',
      'the embedded ledger makes its own tables; migrate is for --ledger mysql://user@host:3306/database',
    );
  }
  if (stores?.ledger !== undefined) return stores.ledger;
  throw new TidemarkError(
    'invalid_argument',
    'no ledger is named; give --ledger mysql://user@host:3306/database (or TIDEMARK_LEDGER, or the config file)',
  );
}
