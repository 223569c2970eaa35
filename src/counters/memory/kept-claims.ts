import type {
  ClaimResult,
  ExpiredTake,
  OpenResult,
  OpenTake,
  Receipt,
  RenewResult,
  SettleResult,
  TakeName,
  TakeRequest,
} from '../../core/counter-store.js';
import type { CounterWord } from '../../core/counter-word.js';

/** Most expired takes that one reading of a conversation names. */
const maxExpired = 100;
const fresh = { status: 'fresh' } as const;

interface Open {
  readonly first: number;
  readonly last: number;
  readonly expiresAtMs: number;
}

/** The open takes of one conversation. */
interface OpenTakesOf {
  /** The generation that tracking has begun in. */
  generation: number;
  /** What may have been open in earlier histories, until its lease ends. */
  hold: Open | undefined;
  /** By first number. */
  readonly takes: Map<number, Open>;
}

/** What takes leave beside words: receipts of message ids, and takes that are open until they are settled. */
export class KeptClaims {
  readonly #maxReceipts: number;
  /** The oldest first; those are forgotten first. */
  readonly #receipts = new Map<string, { readonly number: number; readonly expiresAtMs: number }>();
  readonly #open = new Map<string, OpenTakesOf>();

  constructor(maxReceipts: number) {
    this.#maxReceipts = maxReceipts;
  }

  /** What is known of the message ids of a request. */
  lookUp({ conversation, claims }: TakeRequest, nowMs: number): readonly ClaimResult[] {
    return claims!.calls.map(({ messageId }): ClaimResult => {
      const number = messageId && this.#number(conversation, messageId, nowMs);
      return number ? { status: 'repeated', number } : fresh;
    });
  }

  /** Whether tracking has begun, if the request asks for it. */
  mayTake({ conversation, claims }: TakeRequest, generation: number): boolean {
    if (!claims!.calls.some(({ tracked }) => tracked)) return true;
    return this.#open.get(conversation)?.generation === generation;
  }

  /**
   * Keeps what a take leaves; `start` is the number before its first one.
   *
   * @returns the results, with what is open
   */
  keep(
    { conversation, claims }: TakeRequest,
    results: readonly ClaimResult[],
    start: number,
    nowMs: number,
  ): readonly ClaimResult[] {
    let repeated = 0;
    return claims!.calls.map(({ offset, count, messageId, tracked }, index) => {
      const result = results[index]!;
      const open = tracked ? this.#open.get(conversation)! : undefined;
      const expiresAtMs = nowMs + claims!.leaseMs;
      if (result.status === 'repeated') {
        repeated += 1;
        const { number } = result;
        if (open === undefined) return result;
        const known = open.takes.get(number);
        const isOpen = known !== undefined && known.expiresAtMs > nowMs;
        if (isOpen) open.takes.set(number, { first: number, last: number, expiresAtMs });
        return { ...result, open: isOpen };
      }
      const first = start + 1 + offset - repeated;
      if (messageId !== undefined)
        this.#addReceipt(conversation, messageId, first, nowMs + claims!.receiptTtlMs);
      open?.takes.set(first, { first, last: first + count - 1, expiresAtMs });
      return result;
    });
  }

  /** Puts a receipt back, unless there is one; the number that the message id has then. */
  restore({ conversation, messageId, number, ttlMs }: Receipt, nowMs: number): number {
    const known = this.#number(conversation, messageId, nowMs);
    if (known === undefined) this.#addReceipt(conversation, messageId, number, nowMs + ttlMs);
    return known ?? number;
  }

  track(
    conversation: string,
    generation: number,
    range: { readonly completeUpTo: number; readonly last: number },
    expiresAtMs: number,
  ): void {
    const known = this.#open.get(conversation);
    if (known?.generation === generation) return;
    const takes = new Map([...(known?.takes ?? [])].filter(([first]) => first > range.completeUpTo));
    const first = range.completeUpTo + 1;
    const hold = range.last < first ? undefined : { first, last: range.last, expiresAtMs };
    this.#open.set(conversation, { generation, hold, takes });
  }

  read(conversation: string, word: CounterWord, generation: number, nowMs: number): OpenResult {
    const open = this.#open.get(conversation);
    if (open?.generation !== generation) return { status: 'untracked', word };
    const takes = [...open.takes.values()].sort((a, b) => a.first - b.first);
    const all = open.hold === undefined ? takes : [open.hold, ...takes];
    const expired: ExpiredTake[] = [];
    for (const take of all) {
      if (take.expiresAtMs > nowMs || expired.length === maxExpired) break;
      const { first, last } = take;
      expired.push({ conversation, first, last, written: written(take, take === open.hold) });
    }
    return { status: 'tracked', word, firstOpen: all[0]?.first, expired };
  }

  renew({ conversation, first, last, leaseMs }: OpenTake, generation: number, nowMs: number): RenewResult {
    const open = this.#open.get(conversation);
    if (open?.generation !== generation) return 'untracked';
    const known = open.takes.get(first);
    if (known === undefined && !isHeld(open, first)) return 'gone';
    open.takes.set(first, { first, last, expiresAtMs: nowMs + leaseMs });
    return known !== undefined && known.expiresAtMs > nowMs ? 'open' : 'reopened';
  }

  settle({ conversation, first }: TakeName, nowMs: number): SettleResult {
    const open = this.#open.get(conversation);
    const take = open?.takes.get(first);
    if (take === undefined) return 'gone';
    open!.takes.delete(first);
    return take.expiresAtMs > nowMs ? 'open' : 'expired';
  }

  /** Removes exactly what was read. */
  expire(expired: ExpiredTake, nowMs: number): SettleResult {
    const open = this.#open.get(expired.conversation);
    if (open?.hold !== undefined && written(open.hold, true) === expired.written) {
      const { expiresAtMs } = open.hold;
      open.hold = undefined;
      return expiresAtMs > nowMs ? 'open' : 'expired';
    }
    const take = open?.takes.get(expired.first);
    if (take === undefined || written(take, false) !== expired.written) return 'gone';
    return this.settle(expired, nowMs);
  }

  /** A copy, as a replica has it. */
  clone(): KeptClaims {
    const copy = new KeptClaims(this.#maxReceipts);
    for (const [key, receipt] of this.#receipts) copy.#receipts.set(key, receipt);
    for (const [key, open] of this.#open) copy.#open.set(key, { ...open, takes: new Map(open.takes) });
    return copy;
  }

  clear(): void {
    this.#receipts.clear();
    this.#open.clear();
  }

  #number(conversation: string, messageId: string, nowMs: number): number | undefined {
    const receipt = this.#receipts.get(receiptKey(conversation, messageId));
    return receipt !== undefined && receipt.expiresAtMs > nowMs ? receipt.number : undefined;
  }

  #addReceipt(conversation: string, messageId: string, number: number, expiresAtMs: number): void {
    const key = receiptKey(conversation, messageId);
    this.#receipts.delete(key);
    this.#receipts.set(key, { number, expiresAtMs });
    for (const oldest of this.#receipts.keys()) {
      if (this.#receipts.size <= this.#maxReceipts) break;
      this.#receipts.delete(oldest);
    }
  }
}

function isHeld({ hold }: OpenTakesOf, first: number): boolean {
  return hold !== undefined && hold.first <= first && first <= hold.last;
}

function written({ first, last, expiresAtMs }: Open, isHold: boolean): string {
  return `${isHold ? 'hold ' : ''}${first} ${last} ${expiresAtMs}`;
}

/** No conversation has a control character. */
function receiptKey(conversation: string, messageId: string): string {
  return `${conversation}\0${messageId}`;
}
