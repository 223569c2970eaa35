/**
 * Reads what happened, event by event in order of time, and says what is wrong with it. Knows nothing of how numbers are
 * made. What it remembers grows with conversations, holes and open calls, not with events, but for one bit for each number
 * of a tracked take, and the message ids of the last two windows.
 *
 * | what is judged | what is wrong |
 * |---|---|
 * | P1 | a number that two calls, or two messages, got |
 * | P2 | a call that started after another's reply, and got a smaller number |
 * | P4 | a number below the highest that nobody got, and no recorded gap explains |
 * | P5 | a message id with a second number within the window, of which nobody told |
 * | passed | a message stored where a reader had been told that everything is complete, and nobody was told of it |
 * | hasty | a holder was told that its take was given up, before its lease ended, and nobody abandoned or lost it |
 * | unexplained | the number of a message that was never stored, passed by readers without a recorded gap |
 */

import { BitSet, type NumberRange, RangeSet } from './numbers.js';

export type ViolationKind = 'P1' | 'P2' | 'P4' | 'P5' | 'passed' | 'hasty' | 'unexplained';

export interface Violation extends NumberRange {
  readonly kind: ViolationKind;
  readonly conversation: string;
  readonly messageId?: string;
  readonly text: string;
}

/** What is not held against a history, because the documentation excepts it. */
export interface Excuses {
  /** P2. */
  readonly order: boolean;
  /** P5: a message id with a second number of which nobody told. */
  readonly silentReceipts: boolean;
  /** Passed, hasty and unexplained. */
  readonly reading: boolean;
}

export interface Verdict {
  readonly isClean: boolean;
  /** Of each kind the first hundred, without what is excused. */
  readonly violations: readonly Violation[];
  /** How many of each kind, excused or not. */
  readonly found: Readonly<Record<ViolationKind, number>>;
  readonly counts: Readonly<Counts>;
}

export interface Counts {
  events: number;
  calls: number;
  failed: number;
  /** Calls that died with their process. */
  died: number;
  numbers: number;
  conversations: number;
  /** Numbers that more than one call got. */
  duplicates: number;
  /** Numbers below the highest that nobody got, explained or not (P3). */
  missing: number;
  /** Those of them that nothing explains, not even the death of a caller. */
  unexplained: number;
  /** Message ids with a second number, told of or not. */
  renumbered: number;
}

export interface JudgeOptions {
  readonly excuses?: Partial<Excuses>;
  /** How long a message id keeps its number, in the unit of the times. */
  readonly window?: number;
}

/** A call that has begun, as whoever feeds the judge keeps it until nothing more can come of it. */
export interface OpenCall {
  readonly conversation: Conversation;
  readonly count: number;
  readonly messageId: string | undefined;
  readonly tracked: boolean;
  /** The largest number that anybody had been told when it started. */
  readonly floor: number;
  first: number;
  openUntil: number | undefined;
  /** Stored by this call before anybody else, where readers had passed already, after its lease: wrong if it is settled. */
  passedLate: boolean;
}

interface Conversation {
  readonly name: string;
  replied: number;
  readonly issued: RangeSet;
  readonly gaps: RangeSet;
  /** Those of them that were lost with a history or a word. */
  readonly lost: RangeSet;
  /** How many numbers may have died with their callers. */
  lostWithCallers: number;
  /** The furthest that a reader was told. */
  told: number;
  tracking: Tracking | undefined;
}

/** First numbers of tracked takes. */
interface Tracking {
  readonly open: BitSet;
  readonly stored: BitSet;
  readonly abandoned: BitSet;
  /** Given up before the lease ended. */
  readonly hasty: Set<number>;
}

/** A class, because a history has many of them. */
class StartedCall implements OpenCall {
  readonly floor: number;
  first = 0;
  openUntil: number | undefined = undefined;
  passedLate = false;

  constructor(
    readonly conversation: Conversation,
    readonly count: number,
    readonly messageId: string | undefined,
    readonly tracked: boolean,
  ) {
    this.floor = conversation.replied;
  }
}

const keptOfEachKind = 100;
const tenMinutesUs = 600_000_000;

export class Judge {
  private readonly conversations = new Map<string, Conversation>();
  private readonly violations: Violation[] = [];
  private readonly found = { P1: 0, P2: 0, P4: 0, P5: 0, passed: 0, hasty: 0, unexplained: 0 };
  private readonly counts: Counts = {
    events: 0,
    calls: 0,
    failed: 0,
    died: 0,
    numbers: 0,
    conversations: 0,
    duplicates: 0,
    missing: 0,
    unexplained: 0,
    renumbered: 0,
  };
  private readonly ids: MessageIds;
  /** Message ids that were told to be lost, and those with a second number. */
  private readonly told = new Set<string>();
  private readonly renumbered = new Map<string, Violation>();
  private readonly excuses: Excuses;

  constructor({ excuses, window = tenMinutesUs }: JudgeOptions = {}) {
    this.excuses = { order: false, silentReceipts: false, reading: false, ...excuses };
    this.ids = new MessageIds(window);
  }

  start(conversation: string, count: number, messageId?: string, tracked = false): OpenCall {
    this.counts.events += 1;
    this.counts.calls += 1;
    return new StartedCall(this.of(conversation), count, messageId, tracked);
  }

  /** The call got the numbers `first … last`. */
  numbers(
    call: OpenCall,
    {
      first,
      last,
      repeated = false,
      openUntil,
    }: NumberRange & { repeated?: boolean; openUntil?: number | undefined },
    at: number,
  ): void {
    this.counts.events += 1;
    const { conversation, messageId } = call;
    call.first = first;
    call.openUntil = openUntil;
    if (openUntil !== undefined) trackingOf(conversation).open.add(first);
    if (messageId !== undefined && this.knows(conversation, messageId, first, at)) return;
    this.counts.numbers += last - first + 1;
    if (!repeated && first <= call.floor) {
      const text = `${first} was issued to a call that began after ${call.floor} was known`;
      this.add('P2', conversation, { first, last: call.floor }, text);
    }
    for (const twice of conversation.issued.add(first, last)) {
      this.counts.duplicates += twice.last - twice.first + 1;
      this.add('P1', conversation, twice, `${range(twice)} was issued twice`);
    }
    if (last > conversation.replied) conversation.replied = last;
  }

  failed(_call: OpenCall): void {
    this.counts.events += 1;
    this.counts.failed += 1;
  }

  /** The process of the call died: it may have taken numbers of which nobody can know. */
  died({ conversation, count }: OpenCall): void {
    this.counts.died += 1;
    conversation.lostWithCallers += count;
  }

  /** The message of a tracked take is stored. */
  stored(call: OpenCall, at: number): void {
    this.counts.events += 1;
    const { conversation, first, openUntil } = call;
    const { stored, abandoned } = trackingOf(conversation);
    if (stored.has(first)) return;
    stored.add(first);
    // Whoever stores what another holder has abandoned has been told (see docs/guarantees.md, P5).
    if (abandoned.has(first) || conversation.told < first) return;
    if (openUntil !== undefined && at <= openUntil) this.passed(call);
    else call.passedLate = true;
  }

  /**
   * A holder of a tracked take is about to say that its message will not be stored. Another one, who sent the same message,
   * may have stored it: that one is told, whenever its lease ends.
   */
  abandoned({ conversation, first }: OpenCall): void {
    this.counts.events += 1;
    trackingOf(conversation).abandoned.add(first);
  }

  /** Settling ended: `done`, `told` that the take was given up before, or in some other way. */
  settled(call: OpenCall, outcome: string, at: number): void {
    this.counts.events += 1;
    const { conversation, first, openUntil } = call;
    if (outcome === 'done' && call.passedLate) this.passed(call);
    const wasInTime = openUntil !== undefined && at <= openUntil;
    if (outcome === 'told' && wasInTime && !trackingOf(conversation).abandoned.has(first))
      trackingOf(conversation).hasty.add(first);
  }

  /** A reader was told that everything up to a number is complete. */
  completeUpTo(conversation: string, number: number): void {
    this.counts.events += 1;
    const of = this.of(conversation);
    if (number > of.told) of.told = number;
  }

  receiptLost(conversation: string, messageId: string): void {
    this.counts.events += 1;
    this.told.add(`${conversation} ${messageId}`);
  }

  gap(conversation: string, first: number, last: number, reason?: string): void {
    this.counts.events += 1;
    const of = this.of(conversation);
    of.gaps.add(first, last);
    if (reason === 'history_lost' || reason === 'word_lost') of.lost.add(first, last);
  }

  /** When everything has been told. */
  verdict(): Verdict {
    for (const conversation of this.conversations.values()) this.checkHoles(conversation);
    for (const conversation of this.conversations.values()) this.checkPassed(conversation);
    for (const [key, violation] of this.renumbered) if (!this.told.has(key)) this.push(violation);
    this.counts.conversations = this.conversations.size;
    this.counts.renumbered = this.renumbered.size;
    const { order, silentReceipts, reading } = this.excuses;
    const excused: Partial<Record<ViolationKind, boolean>> = {
      P2: order,
      P5: silentReceipts,
      passed: reading,
      hasty: reading,
      unexplained: reading,
    };
    const violations = this.violations.filter(({ kind }) => excused[kind] !== true);
    return { isClean: violations.length === 0, violations, found: this.found, counts: this.counts };
  }

  private of(name: string): Conversation {
    let found = this.conversations.get(name);
    if (found === undefined) {
      found = {
        name,
        replied: 0,
        issued: new RangeSet(),
        gaps: new RangeSet(),
        lost: new RangeSet(),
        lostWithCallers: 0,
        told: 0,
        tracking: undefined,
      };
      this.conversations.set(name, found);
    }
    return found;
  }

  /** Whether the message has this number already. A second number is noted. */
  private knows(conversation: Conversation, messageId: string, first: number, at: number): boolean {
    const key = `${conversation.name} ${messageId}`;
    const known = this.ids.noted(key, at);
    if (known.some(({ number }) => number === first)) return true;
    this.ids.note(key, first, at);
    const others = known.filter((noted) => at - noted.at <= this.ids.window).map(({ number }) => number);
    if (others.length === 0) return false;
    const text = `message ${messageId} got ${first} after ${others.join(', ')}, and no event told of it`;
    const violation = {
      kind: 'P5' as const,
      conversation: conversation.name,
      messageId,
      first,
      last: first,
      text,
    };
    if (!this.renumbered.has(key)) this.renumbered.set(key, violation);
    return false;
  }

  private passed({ conversation, first }: OpenCall): void {
    const text = `${first} was stored after a reader had been told that everything up to ${conversation.told} is complete`;
    this.add('passed', conversation, { first, last: first }, text);
  }

  private checkHoles(conversation: Conversation): void {
    let unexplained = 0;
    const holes: NumberRange[] = [];
    for (const hole of conversation.issued.holes()) {
      this.counts.missing += hole.last - hole.first + 1;
      for (const rest of conversation.gaps.missingFrom(hole)) {
        unexplained += rest.last - rest.first + 1;
        holes.push(rest);
      }
    }
    // Callers that died with their calls may have taken that many numbers at most.
    if (unexplained <= conversation.lostWithCallers) return;
    this.counts.unexplained += unexplained;
    for (const hole of holes)
      this.add('P4', conversation, hole, `nobody got ${range(hole)}, and no gap explains it`);
  }

  private checkPassed(conversation: Conversation): void {
    const { tracking, told, gaps, lost } = conversation;
    if (tracking === undefined) return;
    for (const first of tracking.hasty) {
      // What was settled is forgotten with the counters: see docs/guarantees.md, complete up to.
      if (lost.has(first)) continue;
      this.add('hasty', conversation, { first, last: first }, `${first} was given up before its lease ended`);
    }
    for (const first of tracking.open) {
      if (first > told) break;
      if (tracking.stored.has(first) || gaps.has(first)) continue;
      const text = `${first} was never stored, and readers passed it without a gap`;
      this.add('unexplained', conversation, { first, last: first }, text);
    }
  }

  private add(kind: ViolationKind, { name }: Conversation, { first, last }: NumberRange, text: string): void {
    this.push({ kind, conversation: name, first, last, text });
  }

  private push(violation: Violation): void {
    this.found[violation.kind] += 1;
    if (this.found[violation.kind] <= keptOfEachKind) this.violations.push(violation);
  }
}

function trackingOf(conversation: Conversation): Tracking {
  conversation.tracking ??= {
    open: new BitSet(),
    stored: new BitSet(),
    abandoned: new BitSet(),
    hasty: new Set(),
  };
  return conversation.tracking;
}

function range({ first, last }: NumberRange): string {
  return first === last ? String(first) : `${first}…${last}`;
}

/** A number of a message id, and when its reply came. */
interface Noted {
  readonly number: number;
  readonly at: number;
}

/** The numbers of message ids, each for one window at least. */
class MessageIds {
  private recent = new Map<string, readonly Noted[]>();
  private older = new Map<string, readonly Noted[]>();
  private turnedAt: number | undefined;

  constructor(readonly window: number) {}

  noted(key: string, at: number): readonly Noted[] {
    this.turnedAt ??= at;
    if (at - this.turnedAt > this.window) {
      this.turnedAt = at;
      this.older = this.recent;
      this.recent = new Map();
    }
    return this.recent.get(key) ?? this.older.get(key) ?? [];
  }

  note(key: string, number: number, at: number): void {
    this.recent.set(key, [...this.noted(key, at), { number, at }]);
  }
}
