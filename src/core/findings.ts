/** What a verification can find, and how two looks at a conversation are compared: pure. */

import type { ReadResult } from './counter-store.js';
import { ceilingOf } from './counter-word.js';
import type { LedgerEntry } from './ledger.js';
import { quote } from './quote.js';

/** How bad each finding is, what it means and what to do. What `repair` does is said where it does something. */
export const findingKinds = {
  /** The ledger has no entry of a word, or one whose ceiling is below the word's: it lost rows, or was not reached for a while. */
  ledger_behind: {
    severity: 'failure',
    repair: 'the ledger is raised past the word',
    advice:
      'the ledger lost rows, or was out of reach; repair it before Redis fails over, or numbers come twice',
  },
  /** The word has issued less than the ledger certainly knows: it is an older one, and numbers may be coming twice. */
  word_behind: {
    severity: 'failure',
    repair: 'the word is removed; what it may have issued is recorded as a gap',
    advice:
      'somebody put an older state of Redis back without a restart; numbers may have been issued twice since',
  },
  /** What is under the key of a word is none. */
  word_corrupt: {
    severity: 'failure',
    repair: undefined,
    advice:
      'find out who wrote it, then delete the key: the next call recovers the conversation with a recorded gap',
  },
  /** The ledger's entry belongs to a newer generation than this Redis has. */
  fenced: {
    severity: 'failure',
    repair: undefined,
    advice:
      'this Redis was replaced by another one, or the table of generations was lost; look at the right Redis',
  },
  entry_corrupt: {
    severity: 'failure',
    repair: undefined,
    advice: 'find out who wrote it, and restore or correct the entry: nothing is issued until then',
  },
  gap_corrupt: {
    severity: 'failure',
    repair: undefined,
    advice: 'find out who wrote it, and correct or delete the gap',
  },
  /** A recorded gap lies above the entry's ceiling: the entry is older than its gaps. */
  gap_above_ceiling: {
    severity: 'failure',
    repair: 'the ledger is raised past the gap, and an older word is removed',
    advice: 'the ledger was restored without its newest entries; repair it, or numbers come twice',
  },
  mark_wrong: {
    severity: 'failure',
    repair: undefined,
    advice: 'restore the ledger, or correct the complete mark: readers would pass what is not stored',
  },
  /** A stored message has a number that neither store has issued yet. */
  number_above: {
    severity: 'failure',
    repair: 'the ledger is raised past the number, and an older word is removed',
    advice:
      'the stores lost what they knew, or the message has a number from elsewhere; repair, or numbers come twice',
  },
  number_twice: {
    severity: 'failure',
    repair: undefined,
    advice:
      'give one of the messages another number, and tell the readers; find out how both came to be stored',
  },
  /** Numbers that were issued, and are neither stored nor explained. */
  number_missing: {
    severity: 'warning',
    repair: 'the numbers are recorded as a gap, reply_lost',
    advice: 'their messages were not stored (yet), or their callers died with the numbers in hand',
  },
} as const satisfies Record<
  string,
  { readonly severity: 'failure' | 'warning'; readonly repair: string | undefined; readonly advice: string }
>;

/** One of {@link findingKinds}. */
export type FindingKind = keyof typeof findingKinds;

/** Something that a verification has found. */
export interface Finding {
  readonly kind: FindingKind;
  readonly conversation: string;
  /** What was seen. */
  readonly found: string;
  /** What it means, and what to do. */
  readonly advice: string;
  readonly severity: 'failure' | 'warning';
  /** What was done about it; undefined when nothing was. */
  readonly repaired: string | undefined;
}

/** Before it is known whether anything is done about it. */
export interface Suspicion {
  readonly kind: FindingKind;
  readonly conversation: string;
  readonly found: string;
  /** Everything up to this number was certainly issued; set where the stores know less. */
  readonly issuedUpTo?: number;
}

/** The word of a conversation, and its entry as it was before and after the word was read. */
export interface Look {
  readonly conversation: string;
  readonly generation: number;
  readonly before: LedgerEntry | undefined;
  readonly word: ReadResult;
  readonly after: LedgerEntry | undefined;
}

/**
 * What is wrong with a word and its entry; `moving` when the entry changed while the word was read: look again.
 *
 * An entry that is the same before and after was so when the word was read, so what contradicts it then is no chance (I1).
 */
export function compareLook({
  conversation,
  generation,
  before,
  word,
  after,
}: Look): Suspicion | 'moving' | undefined {
  if (word.status === 'corrupt')
    return { kind: 'word_corrupt', conversation, found: `the word is ${quote(word.found)}` };
  if (!isSame(before, after)) return 'moving';
  const entry = after;
  if (entry !== undefined && entry.generation > generation) {
    const found = `the entry is of generation ${entry.generation}, this Redis of ${generation}`;
    return { kind: 'fenced', conversation, found };
  }
  if (word.status === 'missing') return undefined;
  const { last } = word.word;
  const ceiling = ceilingOf(word.word);
  if (entry === undefined)
    return {
      kind: 'ledger_behind',
      conversation,
      found: `the word reaches up to ${ceiling}, and there is no entry`,
    };
  if (ceiling > entry.ceiling) {
    const found = `the word reaches up to ${ceiling}, the entry up to ${entry.ceiling}`;
    return { kind: 'ledger_behind', conversation, found };
  }
  if (last < entry.floor) {
    const found = `the word's last number is ${last}, and numbers up to ${entry.floor} were issued`;
    return { kind: 'word_behind', conversation, found, issuedUpTo: entry.floor };
  }
  return undefined;
}

function isSame(one: LedgerEntry | undefined, other: LedgerEntry | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return (
    one.ceiling === other.ceiling &&
    one.floor === other.floor &&
    one.generation === other.generation &&
    one.reservedAtMs === other.reservedAtMs &&
    one.frozenUntilMs === other.frozenUntilMs
  );
}
