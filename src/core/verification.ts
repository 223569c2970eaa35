import { TidemarkError } from '../errors.js';
import { type Clock, sleep } from './clock.js';
import type { CounterStore, Epoch, ReadResult } from './counter-store.js';
import { maxSequenceNumber } from './counter-word.js';
import type { EpochCalls } from './epoch-calls.js';
import type { Epochs } from './epochs.js';
import type { EventListener } from './events.js';
import { compareLook, type Finding, type FindingKind, findingKinds, type Suspicion } from './findings.js';
import type { Gap, Ledger, LedgerEntry } from './ledger.js';
import { installWindowMs } from './recovery.js';
import { byConversation, type StoredConversation, type StoredNumber } from './stored-numbers.js';
import { VerificationRepairs } from './verification-repairs.js';
import { conversationOfCorrupt, VerificationStores } from './verification-stores.js';

/** Conversations that are looked at together. */
const batchSize = 500;
/** Gaps that are looked at for one conversation. */
const maxGaps = 10_000;
/** A conversation whose entry changes under every look is alive and well. */
const maxLooks = 5;
/** Suspicions that wait to be confirmed together. */
const maxSuspicions = 2_000;
/** Whatever was on its way when something was suspected has arrived by then, or never will (I8). */
const confirmAfterMs = 2 * installWindowMs + 100;
/** Numbers that a text names. */
const shownNumbers = 5;

/** What a verification is to look at. */
export interface VerificationScope {
  /** Only this conversation. */
  readonly conversation: string | undefined;
  /** Only conversations of this type. */
  readonly type: string | undefined;
  readonly messages: AsyncIterable<StoredNumber> | undefined;
  readonly repair: boolean;
  readonly onFinding: ((finding: Finding) => void) | undefined;
  readonly onProgress: ((report: VerificationReport) => void) | undefined;
}

/** What a verification has looked at, and how much it found. */
export interface VerificationReport {
  /** Conversations with an entry, a word, or messages, looked at in that order. */
  readonly conversations: number;
  /** Stored messages. */
  readonly messages: number;
  /** How often each kind was found. */
  readonly found: Readonly<Partial<Record<FindingKind, number>>>;
  /** Findings that nothing was done about, failures and warnings. */
  readonly failures: number;
  readonly warnings: number;
  readonly repaired: number;
}

/** Compares the counter words, the ledger and the numbers of stored messages, while others issue numbers. */
export class Verification {
  readonly #counters: CounterStore;
  readonly #ledger: Ledger;
  readonly #clock: Clock;
  readonly #stores: VerificationStores;
  readonly #repairs: VerificationRepairs;
  readonly #scope: VerificationScope;
  readonly #isOver: () => boolean;
  readonly #found: Partial<Record<FindingKind, number>> = {};
  #suspicions: Suspicion[] = [];
  #conversations = 0;
  #messages = 0;
  #failures = 0;
  #warnings = 0;
  #repaired = 0;

  constructor(
    parts: {
      counters: CounterStore;
      ledger: Ledger;
      clock: Clock;
      epochs: Epochs;
      calls: EpochCalls;
      emit: EventListener;
      announce: (epochs: Iterable<Epoch>) => Promise<void>;
    },
    scope: VerificationScope,
    isOver: () => boolean,
  ) {
    this.#counters = parts.counters;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#stores = new VerificationStores(parts, isOver);
    this.#repairs = new VerificationRepairs(parts, isOver);
    this.#scope = scope;
    this.#isOver = isOver;
  }

  async run(): Promise<VerificationReport> {
    const { conversation, messages } = this.#scope;
    if (conversation === undefined) {
      await this.#walkEntries();
      await this.#walkWords();
    } else {
      this.#conversations += 1;
      await this.#examine([conversation]);
    }
    if (messages !== undefined) await this.#walkMessages(messages);
    await this.#confirm();
    return this.report;
  }

  get report(): VerificationReport {
    return {
      conversations: this.#conversations,
      messages: this.#messages,
      found: { ...this.#found },
      failures: this.#failures,
      warnings: this.#warnings,
      repaired: this.#repaired,
    };
  }

  /** Every entry of the ledger, and the word that it belongs to. */
  async #walkEntries(): Promise<void> {
    let after: string | undefined;
    let limit = batchSize;
    while (!this.#isOver()) {
      try {
        const entries = await this.#ledger.list(this.#scope.type, { after, limit });
        if (entries.length === 0) return;
        await this.#examine(entries.map(({ conversation }) => conversation));
        after = entries.at(-1)!.conversation;
        this.#progress(entries.length);
      } catch (error) {
        const conversation = conversationOfCorrupt(error);
        if (conversation === undefined) throw error;
        // One after the other up to the one that makes no sense, and on behind it.
        if (limit > 1) limit = 1;
        else {
          await this.#examine([conversation]);
          after = conversation;
          limit = batchSize;
          this.#progress(1);
        }
      }
    }
  }

  /** Words of which the ledger knows nothing. */
  async #walkWords(): Promise<void> {
    const { signal } = new AbortController();
    const { type } = this.#scope;
    for (const [epoch, slot] of await this.#stores.everyEpoch()) {
      for await (const found of this.#counters.idle(slot, epoch, 0, signal)) {
        if (this.#isOver()) return;
        const conversations = [...new Set(found)].filter(
          (key) => type === undefined || key.startsWith(`${type}:`),
        );
        const entries = await this.#stores.load(conversations);
        const unknown = conversations.filter((_, index) => entries[index] === undefined);
        if (unknown.length > 0) await this.#examine(unknown);
        this.#progress(unknown.length);
      }
    }
  }

  async #walkMessages(messages: AsyncIterable<StoredNumber>): Promise<void> {
    const { conversation, type } = this.#scope;
    let batch: StoredConversation[] = [];
    for await (const stored of byConversation(messages)) {
      if (this.#isOver()) return;
      const { conversation: key } = stored;
      if (conversation !== undefined && key !== conversation) continue;
      if (type !== undefined && !key.startsWith(`${type}:`)) continue;
      this.#messages += stored.messages;
      batch.push(stored);
      if (batch.length < batchSize) continue;
      await this.#examineMessages(batch);
      batch = [];
    }
    if (batch.length > 0) await this.#examineMessages(batch);
  }

  /** Looks at conversations, and remembers what seems to be wrong. */
  async #examine(conversations: readonly string[]): Promise<void> {
    this.#suspicions.push(...(await this.#suspect(conversations)));
    if (this.#suspicions.length >= maxSuspicions) await this.#confirm();
  }

  async #suspect(conversations: readonly string[]): Promise<Suspicion[]> {
    const suspicions: Suspicion[] = [];
    let rest = conversations;
    for (let looks = 0; rest.length > 0 && looks < maxLooks && !this.#isOver(); looks += 1) {
      const before = await this.#stores.load(rest);
      const words = await this.#stores.read(rest);
      // A gap or mark that is read before the entry is not above it (I1).
      const gaps = await this.#stores.ask(rest, (key) =>
        this.#ledger.gaps(key, { from: 1, to: maxSequenceNumber, limit: maxGaps }),
      );
      const marks = await this.#stores.ask(rest, async (key) => (await this.#ledger.completeMarks([key]))[0]);
      const after = await this.#stores.load(rest);
      const moving: string[] = [];
      for (const [index, conversation] of rest.entries()) {
        const [one, other, word] = [before[index], after[index], words[index]];
        if (one instanceof TidemarkError || other instanceof TidemarkError) {
          suspicions.push({
            kind: 'entry_corrupt',
            conversation,
            found: textOf(one instanceof TidemarkError ? one : other),
          });
          continue;
        }
        const found = word && compareLook({ conversation, ...word, before: one, after: other });
        if (found === 'moving') moving.push(conversation);
        else if (found !== undefined) suspicions.push(found);
        suspicions.push(...besideEntry(conversation, other, gaps[index], marks[index]));
      }
      rest = moving;
    }
    return suspicions;
  }

  /** What still holds when everything that was on its way has arrived is a finding. */
  async #confirm(): Promise<void> {
    const suspicions = this.#suspicions;
    this.#suspicions = [];
    if (suspicions.length === 0 || this.#isOver()) return;
    await sleep(this.#clock, confirmAfterMs);
    const conversations = [...new Set(suspicions.map(({ conversation }) => conversation))];
    for (let at = 0; at < conversations.length; at += batchSize) {
      const again = await this.#suspect(conversations.slice(at, at + batchSize));
      const before = new Set(suspicions.map(nameOf));
      for (const suspicion of again) if (before.has(nameOf(suspicion))) await this.#report(suspicion);
    }
  }

  /** Messages were read before the stores are, so what the stores do not know is no chance. */
  async #examineMessages(batch: readonly StoredConversation[]): Promise<void> {
    const conversations = batch.map(({ conversation }) => conversation);
    const words = await this.#stores.read(conversations);
    const entries = await this.#stores.load(conversations);
    const gaps = await this.#stores.ask(conversations, (key) =>
      this.#ledger.gaps(key, { from: 1, to: maxSequenceNumber, limit: maxGaps }),
    );
    for (const [index, stored] of batch.entries()) {
      const { conversation, highest, twice, twiceFirst } = stored;
      if (twice > 0) {
        const more = twiceFirst.length > shownNumbers ? ' …' : '';
        const found = `${twiceFirst.slice(0, shownNumbers).join(', ')}${more}, so ${twice} too many messages`;
        await this.#report({ kind: 'number_twice', conversation, found });
      }
      const entry = entries[index];
      if (entry instanceof TidemarkError) continue;
      if (entry === undefined) this.#conversations += 1;
      const issuedUpTo = highestIssued(words[index]?.word, entry);
      if (highest > issuedUpTo) {
        const found = `a message has the number ${highest}, and the stores have issued no more than ${issuedUpTo}`;
        await this.#report({ kind: 'number_above', conversation, found, issuedUpTo: highest });
      }
      const recorded = gaps[index];
      if (Array.isArray(recorded)) await this.#reportMissing(stored, entry, recorded);
    }
  }

  async #reportMissing(
    { conversation, holes }: StoredConversation,
    entry: LedgerEntry | undefined,
    gaps: readonly Gap[],
  ): Promise<void> {
    // What lies above the floor may just be on its way to the table.
    const certain = holes.flatMap(({ first, last }) => {
      const end = Math.min(last, entry?.floor ?? 0);
      return first <= end ? [{ first, last: end }] : [];
    });
    const missing = certain.flatMap((hole) => outside(hole, gaps));
    if (missing.length === 0) return;
    const numbers = missing.reduce((sum, { first, last }) => sum + last - first + 1, 0);
    const shown = missing
      .slice(0, shownNumbers)
      .map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`));
    const more = missing.length > shownNumbers ? ' …' : '';
    const found = `${shown.join(', ')}${more}: ${numbers} below the highest are neither stored nor in a gap`;
    await this.#report({ kind: 'number_missing', conversation, found }, missing);
  }

  async #report(
    suspicion: Suspicion,
    missing: readonly { first: number; last: number }[] = [],
  ): Promise<void> {
    const { kind, conversation, found } = suspicion;
    const { severity, advice, repair } = findingKinds[kind];
    const isRepaired =
      this.#scope.repair && repair !== undefined && (await this.#repairs.repair(suspicion, missing));
    this.#found[kind] = (this.#found[kind] ?? 0) + 1;
    if (isRepaired) this.#repaired += 1;
    else if (severity === 'failure') this.#failures += 1;
    else this.#warnings += 1;
    this.#scope.onFinding?.({
      kind,
      conversation,
      found,
      advice,
      severity,
      repaired: isRepaired ? repair : undefined,
    });
  }

  #progress(conversations: number): void {
    this.#conversations += conversations;
    this.#scope.onProgress?.(this.report);
  }
}

function besideEntry(
  conversation: string,
  entry: LedgerEntry | undefined,
  gaps: readonly Gap[] | TidemarkError | undefined,
  mark: number | TidemarkError | undefined,
): Suspicion[] {
  const suspicions: Suspicion[] = [];
  const ceiling = entry?.ceiling ?? 0;
  if (gaps instanceof TidemarkError)
    suspicions.push({ kind: 'gap_corrupt', conversation, found: textOf(gaps) });
  else {
    // What a lost reply may have taken reaches up to where its block did, and the rest of that may have been handed back.
    const highest = Math.max(
      0,
      ...(gaps ?? []).map(({ last, reason }) => (reason === 'reply_lost' ? 0 : last)),
    );
    if (highest > ceiling) {
      const found = `a gap reaches up to ${highest}, the entry up to ${ceiling}`;
      suspicions.push({ kind: 'gap_above_ceiling', conversation, found, issuedUpTo: highest });
    }
  }
  if (mark instanceof TidemarkError)
    suspicions.push({ kind: 'mark_wrong', conversation, found: textOf(mark) });
  else if (mark !== undefined && mark > ceiling) {
    const found = `the complete mark is ${mark}, the entry reaches up to ${ceiling}`;
    suspicions.push({ kind: 'mark_wrong', conversation, found });
  }
  return suspicions;
}

/** No message can have a number above it. */
function highestIssued(word: ReadResult | undefined, entry: LedgerEntry | undefined): number {
  return word?.status === 'present' ? Math.max(word.word.last, entry?.floor ?? 0) : (entry?.ceiling ?? 0);
}

/** The parts of a range that no gap touches. Gaps are in order of their first numbers. */
function outside(
  { first, last }: { first: number; last: number },
  gaps: readonly Gap[],
): { first: number; last: number }[] {
  const parts: { first: number; last: number }[] = [];
  let next = first;
  for (const gap of gaps) {
    if (gap.last < next) continue;
    if (gap.first > last) break;
    if (gap.first > next) parts.push({ first: next, last: gap.first - 1 });
    next = gap.last + 1;
  }
  if (next <= last) parts.push({ first: next, last });
  return parts;
}

function nameOf({ kind, conversation }: Suspicion): string {
  return `${kind} ${conversation}`;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
