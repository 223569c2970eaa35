import type { TidemarkError } from '../errors.js';
import type { Block } from './counter-store.js';
import type { NewGap } from './ledger.js';

/** What the generator tells its `onEvent` hook. The hook must not block; what it throws is ignored. */
export type TidemarkEvent =
  /** A lost or stale counter word was replaced by a fresh block behind the ledger's ceiling, with a gap. */
  | {
      readonly type: 'takeover';
      readonly conversation: string;
      readonly generation: number;
      readonly block: Block;
    }
  /** A gap was recorded. */
  | ({ readonly type: 'gap' } & NewGap)
  /** There is a newer generation, so this process talks to a store that is no longer the one. It issues nothing from it. */
  | {
      readonly type: 'fenced';
      /** Where the ledger refused to reserve; undefined when the process found out by itself. */
      readonly conversation: string | undefined;
      readonly generation: number;
      readonly newerGeneration: number;
    }
  /** The ledger is out of reach and a word was extended without it, up to `ceiling`. */
  | { readonly type: 'unbacked'; readonly conversation: string; readonly ceiling: number }
  /** The ledger knows the ceiling of an unbacked conversation again. */
  | { readonly type: 'backed'; readonly conversation: string }
  /** The ledger had lost something and was raised past the ceiling that was found in the word. */
  | { readonly type: 'ledger_healed'; readonly conversation: string; readonly ceiling: number }
  /** Callers had to wait because the block was used up before the next one was granted. */
  | { readonly type: 'refill_late'; readonly conversation: string }
  /** The counter store's data set has a history; the ledger gave it this generation. A cluster has several. */
  | {
      readonly type: 'generation';
      readonly history: string;
      readonly generation: number;
      /** What the same history was called before; nothing was lost. */
      readonly renamedFrom?: string;
    }
  /** A store was reached (again) or lost. */
  | {
      readonly type: 'store';
      readonly store: 'counters' | 'ledger';
      readonly status: 'up' | 'down';
      readonly cause?: unknown;
    }
  /** The ledger's server may lose what it has acknowledged. */
  | {
      readonly type: 'not_durable';
      readonly setting: string;
      readonly value: string;
      readonly advice: string;
    }
  /** A new history was met, and so many of this process' latest receipts are certainly in it. */
  | { readonly type: 'receipts_restored'; readonly generation: number; readonly receipts: number }
  /** A receipt was lost with its history, and the message id got a second number before it could be put back. */
  | {
      readonly type: 'receipt_lost';
      readonly conversation: string;
      readonly messageId: string;
      /** What this process gave to the message id. */
      readonly number: number;
      /** What it has now; undefined when something else is where its receipt was. */
      readonly newNumber: number | undefined;
    }
  /** Words were removed, by hand or because they were idle, and so many unused numbers went back to the ledger. */
  | { readonly type: 'drained'; readonly conversations: number; readonly numbers: number }
  /** Words of idle conversations could not be looked for, or not be drained; they stay until the next look. */
  | { readonly type: 'idle_failed'; readonly cause: TidemarkError }
  /** Words of earlier generations were deleted from the counter store. */
  | { readonly type: 'swept'; readonly generation: number; readonly words: number };

/** A hook for {@link TidemarkEvent}s. */
export type EventListener = (event: TidemarkEvent) => void;
