/**
 * One client of the campaign: takes numbers, stores messages that it does not have, reads, and writes down all of it. The
 * runner stops it, kills it, suspends it and turns its clock.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Conversation, groupChat } from '../../src/core/conversation.js';
import type { TrackedTake } from '../../src/core/tracked-take.js';
import { TidemarkError } from '../../src/errors.js';
import { nowUs } from '../support/load-log.js';
import { Random } from '../support/random.js';
import { HistoryWriter } from './history-writer.js';
import { type Issuer, openIssuer, type PeerName } from './issuers/issuer.js';
import type { Workload } from './schedule.js';

export interface ClientStores {
  readonly redis?: string;
  /** The proxy before each server that Sentinels or a cluster name, by its port. */
  readonly proxies?: Readonly<Record<number, number>>;
  readonly mysql?: string;
  /** Of an embedded generator, instead of both. */
  readonly folder?: string;
}

export interface ClientOptions {
  readonly issuer: PeerName;
  readonly stores: ClientStores;
  readonly workload: Workload;
  readonly file: string;
  readonly seed: number;
  /** Deadline of a call. */
  readonly timeoutMs: number;
  /** Ends by itself after this. */
  readonly maxDurationMs: number;
}

export type ClientMessage = { readonly stop: true } | { readonly turnClockMs: number };

/** How long two message ids of a conversation are in use before the next two. */
const idPeriodUs = 500_000;
/** Longest time from the number of a message to its being stored. */
const maxStoreMs = 60;
const replyTimeoutMs = 1_000;
const openAgainMs = 100;

class Client {
  readonly #options: ClientOptions;
  readonly #random: Random;
  readonly #history: HistoryWriter;
  readonly #issuer: Issuer;
  #running = true;
  #calls = 0;

  constructor(options: ClientOptions, history: HistoryWriter, issuer: Issuer) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#history = history;
    this.#issuer = issuer;
  }

  async run(): Promise<void> {
    const timer = setTimeout(() => this.stop(), this.#options.maxDurationMs);
    const { callers, readers } = this.#options.workload;
    await Promise.all([
      ...Array.from({ length: callers }, () => this.#repeat(() => this.#call())),
      ...Array.from({ length: readers }, () => this.#repeat(() => this.#read())),
    ]);
    clearTimeout(timer);
    await this.#issuer.close().catch((error: unknown) => {
      // What an embedded generator cannot hand back, because the disk is full, the next one explains.
      if (!(error instanceof TidemarkError && error.retryable)) throw error;
    });
  }

  stop(): void {
    this.#running = false;
  }

  async #repeat(act: () => Promise<void>): Promise<void> {
    while (this.#running) {
      await act();
      await sleep(this.#random.below(this.#options.workload.maxPauseMs + 1));
    }
  }

  async #call(): Promise<void> {
    const random = this.#random;
    const { mix } = this.#options.workload;
    const of = this.#conversation();
    const choice = random.next();
    const tracked = this.#issuer.take !== undefined && random.chance(mix.tracked);
    const messageId =
      this.#issuer.next !== undefined && random.chance(mix.messageIds) ? this.#messageId(tracked) : undefined;
    const count = messageId === undefined && choice < mix.many ? 2 + random.below(49) : 1;
    const timeoutMs = random.chance(mix.impatient) ? 1 + random.below(20) : this.#options.timeoutMs;
    const call = this.#calls;
    this.#calls += 1;
    this.#history.start(call, of.key, count, messageId, tracked);
    const startedUs = nowUs();
    try {
      if (tracked) {
        const take = await this.#issuer.take!(of, count, {
          timeoutMs,
          ...(messageId !== undefined && { messageId }),
        });
        const { first, last, repeated, open } = take;
        const openUntilUs = open ? startedUs + this.#options.workload.leaseMs * 1_000 : undefined;
        this.#history.numbers(call, first, last, repeated, openUntilUs);
        await this.#store(call, take, messageId !== undefined);
      } else if (messageId !== undefined) {
        const { number, repeated } = await this.#issuer.next!(of, { timeoutMs, messageId });
        this.#history.numbers(call, number, number, repeated);
      } else {
        const { first, last } = await this.#issuer.nextMany(of, count, { timeoutMs });
        this.#history.numbers(call, first, last);
      }
    } catch (error) {
      this.#history.failed(call, codeOf(error));
    }
  }

  /** What follows a tracked take: the message is stored, or not, or it never will be. */
  async #store(call: number, take: TrackedTake, hasMessageId: boolean): Promise<void> {
    const random = this.#random;
    await sleep(random.below(maxStoreMs));
    if (random.chance(0.03)) return;
    if (!hasMessageId && random.chance(0.1)) {
      this.#history.abandoning(call);
      await take.abandon().catch(() => undefined);
      return;
    }
    this.#history.stored(call);
    const outcome = await take.settle().then(
      () => 'done',
      (error: unknown) => (codeOf(error) === 'lease_expired' ? 'told' : codeOf(error)),
    );
    this.#history.settled(call, outcome);
  }

  async #read(): Promise<void> {
    const of = this.#conversation();
    const completeUpTo = await this.#issuer.completeUpTo?.(of).catch(() => undefined);
    if (completeUpTo !== undefined) this.#history.completeUpTo(of.key, completeUpTo);
  }

  #conversation(): Conversation {
    const { conversations, skew } = this.#options.workload;
    return groupChat(`g${Math.floor(conversations * this.#random.next() ** skew)}`);
  }

  /**
   * Clients send the same messages without talking to each other: the id follows from the time. A message is tracked by all
   * who send it, or by nobody: a number that was once taken without counts as settled.
   */
  #messageId(tracked: boolean): string {
    const random = this.#random;
    const period = Math.floor(nowUs() / idPeriodUs) - (random.chance(0.3) ? random.below(8) : 0);
    return `${tracked ? 't' : 'm'}${period}-${random.below(2)}`;
  }
}

function codeOf(error: unknown): string {
  if (error instanceof TidemarkError) return error.code;
  return (error instanceof Error ? error.name : 'unknown').replace(/\s+/g, '_');
}

/** The wall clock of this process, as wrong as the runner likes. */
function turnClock(byMs: number): void {
  const right = Date.now;
  Date.now = () => right() + byMs;
}

/** A process whose start fails is started again by whoever watches over it. */
async function openPatiently(open: () => Promise<Issuer>): Promise<Issuer> {
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (!(error instanceof TidemarkError && error.retryable)) throw error;
      await sleep(openAgainMs);
    }
  }
}

async function main(options: ClientOptions): Promise<void> {
  const history = new HistoryWriter(options.file);
  const onEvent = (type: string) => history.event(type);
  const onReceiptLost = (conversation: string, messageId: string) =>
    history.receiptLost(conversation, messageId);
  const issuer = await openPatiently(() => openIssuer(options, { replyTimeoutMs, onEvent, onReceiptLost }));
  const client = new Client(options, history, issuer);
  process.on('message', (message: ClientMessage) => {
    if ('turnClockMs' in message) turnClock(message.turnClockMs);
    else client.stop();
  });
  // A client whose runner has gone must not stay.
  process.once('disconnect', () => client.stop());
  await client.run();
  history.end();
  if (process.connected) process.disconnect();
}

await main(JSON.parse(process.argv[2]!) as ClientOptions);
